"""Markdown for a terminal, rendered while it is written: what comes in once goes out once."""
