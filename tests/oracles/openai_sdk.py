"""OpenAI's own SDK without a network: it hears what the tests answer, and the tests hear what it asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

import httpx2
from hypothesis import strategies as st

from llmclients.providers.registry import find_provider

from .later import later

if TYPE_CHECKING:
    import openai
else:
    openai = later("openai")

WORDS = st.text(min_size=1, max_size=12)
NAMES = st.from_regex("[a-z_][a-zA-Z0-9_-]{0,11}", fullmatch=True).filter(
    lambda name: name not in ("auto", "none", "required")
)


def maybe(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


CODEC = find_provider("openai").load_codec()
REPLY = {"id": "c1", "object": "chat.completion", "created": 1767225600, "model": "m"}
EMPTY = json.dumps(
    REPLY | {"choices": [{"index": 0, "message": {"role": "assistant", "content": "{}"}, "finish_reason": "stop"}]}
)


class SDK:
    """The official client over a scripted transport."""

    def __init__(self) -> None:
        self.heard: list[httpx2.Request] = []
        self.answer: Callable[[], httpx2.Response] = lambda: httpx2.Response(200, text=EMPTY)

    @cached_property
    def client(self) -> openai.OpenAI:
        http = httpx2.Client(transport=httpx2.MockTransport(self._handle))
        return openai.OpenAI(api_key="sk-test", base_url="https://api.openai.com/v1", http_client=http, max_retries=0)

    def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.heard.append(request)
        return self.answer()

    def sent(self, call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
        """The body of the request that a call makes."""
        self.answer = lambda: httpx2.Response(200, text=EMPTY, headers={"content-type": "application/json"})
        call(model="m", **arguments)
        body: dict[str, Any] = json.loads(self.heard.pop().content)
        return body

    def stream(self, pieces: Iterable[bytes]) -> Any:
        """What the SDK makes of a streamed answer that comes in these pieces."""
        self.answer = lambda: httpx2.Response(
            200, content=iter(list(pieces)), headers={"content-type": "text/event-stream"}
        )
        with self.client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "Hi"}]) as stream:
            return stream.until_done().current_completion_snapshot


THE_SDK = SDK()


def create(**arguments: Any) -> Any:
    return THE_SDK.client.chat.completions.create(**arguments)
