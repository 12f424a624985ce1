"""The synchronous transport, over requests."""
