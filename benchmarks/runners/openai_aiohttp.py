"""openai over aiohttp, which its documentation offers for more concurrency."""

from __future__ import annotations

from openai import DefaultAioHttpClient

from benchmarks.runners import openai_sdk


class Async(openai_sdk.Async):
    """`AsyncOpenAI(http_client=DefaultAioHttpClient())`."""

    def __init__(self, url: str) -> None:
        super().__init__(url, http_client=DefaultAioHttpClient())
