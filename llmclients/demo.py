"""The whole library in one run: every provider's own wire format, answered by the embedded model."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from llmclients._version import __version__
from llmclients.async_client import AsyncClient
from llmclients.client import Client
from llmclients.conversation import Conversation
from llmclients.errors import LLMClientError
from llmclients.local import engine as local
from llmclients.relay import RelayServer
from llmclients.types.response import ChatResponse

__all__ = ["run"]

SYSTEM = "You are a helpful assistant."
QUESTION = "What is the capital of France?"
TURNS = ("The secret word is mango. Please remember it.", "What is the secret word?")
# Short and always the same answers. The raw-text wires have no field for either: there, the relay's defaults decide.
OPTIONS = {"temperature": 0, "max_tokens": 48}
GOOD_ENDS = ("stop", "length")


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach a provider: the client's arguments, and what its wire can say."""

    provider: str
    path: str
    arguments: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


def ways(relay: str) -> list[Way]:
    """Every provider, each through its own wire."""

    def at(prefix: str) -> dict[str, Any]:
        return {"base_url": f"{relay}{prefix}", "trust_env": False}  # no proxy leads to this process

    return [
        Way("ylokh", "POST /v1/chat/completions, events", at("/ylokh"), OPTIONS),
        Way("yqcloud", "POST /api/generateStream, raw text", at("/yqcloud")),
        Way("yqcloud-legacy", "POST /api/generateStream, raw text", at("/yqcloud-legacy")),
        Way("ai365vip", "POST /api/chat, raw text", at("/ai365vip")),
        Way(
            "openai/SmolLM2-135M-Instruct",
            "POST /chat/completions, events",
            at("/openai/v1") | {"api_key": "none"},
            OPTIONS,
        ),
        Way("local", "POST /chat/completions, without the relay", {}, OPTIONS),
    ]


class Report:
    """Prints what happens, and counts what is not as it must be."""

    def __init__(self) -> None:
        self.checked = 0
        self.wrong: list[str] = []

    def title(self, text: str, note: str) -> None:
        print(f"\n{text:<16}{note}")

    def begin(self, what: str) -> None:
        print(f"  {what:<14}", end="", flush=True)

    def text(self, text: str) -> None:
        print(" ".join(text.split("\n")), end="", flush=True)

    def end(self, where: str, seconds: float, response: ChatResponse, pieces: list[str] | None = None) -> None:
        """Close a line, and check the answer on it."""
        notes = [response.finish_reason or "no finish reason", f"{seconds:.2f} s"]
        if pieces is not None:
            notes.insert(1, f"{len(pieces)} chunks")
        if response.usage is not None and response.usage.total_tokens is not None:
            notes.append(f"{response.usage.total_tokens} tokens")
        print(f"   [{', '.join(notes)}]")
        self.check(where, bool(response.text.strip()), "the answer is empty")
        self.check(where, response.finish_reason in GOOD_ENDS, f"it ended with {response.finish_reason}")
        if pieces is not None:
            self.check(where, len(pieces) > 1, "the stream came in one chunk")
            self.check(where, "".join(pieces) == response.text, "the chunks are not the response")

    def check(self, where: str, good: bool, complaint: str) -> None:
        self.checked += 1
        if not good:
            self.wrong.append(f"{where}: {complaint}")

    def failed(self, where: str, error: LLMClientError) -> None:
        print(f"   FAILED: {error}")
        self.checked += 1
        self.wrong.append(f"{where}: {error}")


def run() -> int:
    """Run the demo.

    Returns:
        0, or 1 when an answer is empty or not of the form it must have.

    Raises:
        ConfigurationError: the embedded model, or the relay, is not installed.
    """
    begun = time.monotonic()
    report = Report()
    print(f"llmclients {__version__}: every provider's own wire format, each answered by a real model")
    local.endpoint()
    print(f"The model runs in this process, up after {time.monotonic() - begun:.1f} s. To each: {QUESTION!r}")
    with RelayServer("local", defaults=OPTIONS) as relay:
        for way in ways(relay.url):
            report.title(way.provider.partition("/")[0], way.path)
            _guarded(report, f"{way.provider}, sync", partial(_sync, report, way))
            _guarded(report, f"{way.provider}, async", partial(_run_async, report, way))
        report.title("yqcloud", "a conversation: the second question can be answered only with the first")
        _guarded(report, "conversation", partial(_conversation, report, f"{relay.url}/yqcloud"))
    print(f"\n{_summary(report, time.monotonic() - begun)}")
    for line in report.wrong:
        print(f"  {line}")
    return 1 if report.wrong else 0


def _guarded(report: Report, where: str, part: Callable[[], None]) -> None:
    try:
        part()
    except LLMClientError as error:
        report.failed(where, error)


def _messages() -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]


def _sync(report: Report, way: Way) -> None:
    with Client(way.provider, **way.arguments) as client:
        report.begin("chat")
        start = time.monotonic()
        response = client.chat(_messages(), **way.options)
        report.text(response.text)
        report.end(f"{way.provider}, chat", time.monotonic() - start, response)

        report.begin("stream")
        start, pieces = time.monotonic(), []
        with client.stream(_messages(), **way.options) as stream:
            for chunk in stream:
                report.text(chunk.text)
                pieces.append(chunk.text)
        report.end(f"{way.provider}, stream", time.monotonic() - start, stream.response, pieces)


def _run_async(report: Report, way: Way) -> None:
    asyncio.run(_async(report, way))


async def _async(report: Report, way: Way) -> None:
    async with AsyncClient(way.provider, **way.arguments) as client:
        report.begin("async chat")
        start = time.monotonic()
        response = await client.chat(_messages(), **way.options)
        report.text(response.text)
        report.end(f"{way.provider}, async chat", time.monotonic() - start, response)

        report.begin("async stream")
        start, pieces = time.monotonic(), []
        async with client.stream(_messages(), **way.options) as stream:
            async for chunk in stream:
                report.text(chunk.text)
                pieces.append(chunk.text)
        report.end(f"{way.provider}, async stream", time.monotonic() - start, stream.response, pieces)


def _conversation(report: Report, base_url: str) -> None:
    with Client("yqcloud", base_url=base_url, trust_env=False) as client:
        conversation = client.conversation(system=SYSTEM)
        user = conversation.state.get("userId")
        for turn, question in enumerate(TURNS, 1):
            where = f"conversation, turn {turn}"
            report.begin("you")
            print(question)
            _answer(report, where, conversation, question)
            state = conversation.state.get("userId")
            print(f"  {'':<14}userId {state}, {len(conversation.messages)} messages in its history")
            report.check(where, bool(user) and state == user, "the userId has changed")
            report.check(where, len(conversation.messages) == 2 * turn, "the history has not grown by two messages")


def _answer(report: Report, where: str, conversation: Conversation, question: str) -> None:
    report.begin("the model")
    start, pieces = time.monotonic(), []
    with conversation.stream(question) as stream:
        for chunk in stream:
            report.text(chunk.text)
            pieces.append(chunk.text)
    report.end(where, time.monotonic() - start, stream.response, pieces)


def _summary(report: Report, seconds: float) -> str:
    memory = _peak_memory()
    notes = f"{seconds:.1f} s" + (f", {memory} MB of memory" if memory else "")
    if report.wrong:
        return f"{len(report.wrong)} of {report.checked} checks FAILED ({notes}):"
    return f"All {report.checked} checks are good ({notes})."


def _peak_memory() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
