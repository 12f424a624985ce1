"""The official SDK for Gemini, google-genai, off the network."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx

from .later import later

if TYPE_CHECKING:
    from google import genai
    from google.genai import types
else:
    genai = later("google.genai")
    types = later("google.genai.types")

__all__ = ["Answer", "sdk"]

Answer = Callable[[httpx.Request], httpx.Response]
_answer: list[Answer] = []


def sdk(answer: Answer) -> genai.Client:
    """The SDK's client, its requests answered so. To make one takes long: it is one for all, until the next call."""
    _answer[:] = [answer]
    return _client()


@functools.cache
def _client() -> genai.Client:
    http = httpx.Client(transport=httpx.MockTransport(lambda request: _answer[0](request)))
    return genai.Client(api_key="g-test", http_options=types.HttpOptions(httpx_client=http, api_version="v1beta"))
