"""The embedded model: its engine, its weights, and their installation."""
