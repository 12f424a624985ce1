"""The asynchronous transport, over httpx."""
