"""The asynchronous transport: connections of its own over asyncio, or the caller's own httpx client."""
