"""What people write by hand with httpx, over aiohttp's connections."""

from __future__ import annotations

import aiohttp
from httpx_aiohttp import AiohttpTransport

from benchmarks.runners import httpx_loop


class Async(httpx_loop.Async):
    """httpx's interface; aiohttp's default of 100 connections is lifted."""

    def __init__(self, url: str) -> None:
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        super().__init__(url, AiohttpTransport(client=session))
