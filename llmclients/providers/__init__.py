"""The providers by name: what they are, which there are, and where a program adds its own."""
