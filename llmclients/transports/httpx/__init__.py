"""The asynchronous transport, over httpx and aiohttp. Only this package imports them."""
