"""The demo, `llmclients demo`: each of six providers is asked in its own wire format, and the embedded model answers.

The relay stands where the providers would: it decodes each wire and passes the question on to the model.
"""

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
from llmclients.local import engine
from llmclients.relay import RelayServer
from llmclients.types.messages import MessageDict
from llmclients.types.response import ChatResponse

__all__ = ["run"]

SYSTEM = "You are a helpful assistant."
QUESTION = "What is the capital of France?"
TURNS = ("The secret word is mango. Please remember it.", "What is the secret word?")
# Short and always the same answers. The raw-text wires have no field for either: there, the relay's defaults decide.
OPTIONS = {"temperature": 0, "max_tokens": 48}
GOOD_FINISH_REASONS = ("stop", "length")


@dataclass(frozen=True, slots=True)
class Target:
    """A provider to ask.

    Attributes:
        provider: its name, as `Client` is given it.
        wire: what goes over its wire, for the title.
        arguments: the client's other arguments.
        options: the options of each call, none where the wire has no fields for them.
    """

    provider: str
    wire: str
    arguments: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


def targets(relay: str) -> list[Target]:
    """The providers, all but the last behind the relay at this URL."""

    def at(prefix: str) -> dict[str, Any]:
        return {"base_url": f"{relay}{prefix}", "trust_env": False}  # no proxy leads to this process

    return [
        Target("ylokh", "POST /v1/chat/completions, events", at("/ylokh"), OPTIONS),
        Target("yqcloud", "POST /api/generateStream, raw text", at("/yqcloud")),
        Target("yqcloud-legacy", "POST /api/generateStream, raw text", at("/yqcloud-legacy")),
        Target("ai365vip", "POST /api/chat, raw text", at("/ai365vip")),
        Target(
            "openai/SmolLM2-135M-Instruct",
            "POST /chat/completions, events",
            at("/openai/v1") | {"api_key": "none"},
            OPTIONS,
        ),
        Target("local", "POST /chat/completions, without the relay", {}, OPTIONS),
    ]


class Report:
    """Prints what happens, checks the answers, and keeps what is wrong with them.

    Attributes:
        checked: how many checks there were.
        failures: a line for each that failed.
    """

    def __init__(self) -> None:
        self.checked = 0
        self.failures: list[str] = []

    def title(self, text: str, note: str) -> None:
        """Begin a section."""
        print(f"\n{text:<16}{note}")

    def begin(self, label: str) -> None:
        """Begin a line."""
        print(f"  {label:<14}", end="", flush=True)

    def text(self, text: str) -> None:
        """Go on with the line."""
        print(" ".join(text.split("\n")), end="", flush=True)

    def end(self, where: str, seconds: float, response: ChatResponse, pieces: list[str] | None = None) -> None:
        """End the line, and check the answer on it.

        Args:
            where: what to call it in a failure.
            seconds: how long it took.
            response: the answer.
            pieces: the text of each chunk, if it was streamed.
        """
        notes = [response.finish_reason or "no finish reason", f"{seconds:.2f} s"]
        if pieces is not None:
            notes.insert(1, f"{len(pieces)} chunks")
        if response.usage is not None and response.usage.total_tokens is not None:
            notes.append(f"{response.usage.total_tokens} tokens")
        print(f"   [{', '.join(notes)}]")
        self.check(where, bool(response.text.strip()), "the answer is empty")
        self.check(where, response.finish_reason in GOOD_FINISH_REASONS, f"it ended with {response.finish_reason}")
        if pieces is not None:
            self.check(where, len(pieces) > 1, "the stream came in one chunk")
            self.check(where, "".join(pieces) == response.text, "the chunks are not the response")

    def check(self, where: str, ok: bool, complaint: str) -> None:
        """Count a check; keep the complaint unless all is well."""
        self.checked += 1
        if not ok:
            self.failures.append(f"{where}: {complaint}")

    def failed(self, where: str, error: LLMClientError) -> None:
        """End the line with an error in the answer's place."""
        print(f"   FAILED: {error}")
        self.checked += 1
        self.failures.append(f"{where}: {error}")


def run() -> int:
    """Run the demo.

    Returns:
        0, or 1 when an answer is empty or not as it must be.

    Raises:
        ConfigurationError: the embedded model, or the relay, is not installed.
    """
    start = time.monotonic()
    report = Report()
    print(f"llmclients {__version__}: every provider's own wire format, each answered by a real model")
    engine.endpoint()
    print(f"The model runs in a process of its own, up after {time.monotonic() - start:.1f} s. To each: {QUESTION!r}")
    with RelayServer("local", defaults=OPTIONS) as relay:
        for target in targets(relay.url):
            report.title(target.provider.partition("/")[0], target.wire)
            _run_part(report, f"{target.provider}, sync", partial(_sync, report, target))
            _run_part(report, f"{target.provider}, async", partial(_run_async, report, target))
        report.title("yqcloud", "a conversation: the second question can be answered only with the first")
        _run_part(report, "conversation", partial(_conversation, report, f"{relay.url}/yqcloud"))
    print(f"\n{_summary(report, time.monotonic() - start)}")
    for line in report.failures:
        print(f"  {line}")
    return 1 if report.failures else 0


def _run_part(report: Report, where: str, part: Callable[[], None]) -> None:
    """Run one part of the demo; its error is a failure of the report, and the others go on."""
    try:
        part()
    except LLMClientError as error:
        report.failed(where, error)


def _messages() -> list[MessageDict]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]


def _sync(report: Report, target: Target) -> None:
    with Client(target.provider, **target.arguments) as client:
        report.begin("chat")
        start = time.monotonic()
        response = client.chat(_messages(), **target.options)
        report.text(response.text)
        report.end(f"{target.provider}, chat", time.monotonic() - start, response)

        report.begin("stream")
        start, pieces = time.monotonic(), []
        with client.stream(_messages(), **target.options) as stream:
            for chunk in stream:
                report.text(chunk.text)
                pieces.append(chunk.text)
        report.end(f"{target.provider}, stream", time.monotonic() - start, stream.response, pieces)


def _run_async(report: Report, target: Target) -> None:
    asyncio.run(_async(report, target))


async def _async(report: Report, target: Target) -> None:
    async with AsyncClient(target.provider, **target.arguments) as client:
        report.begin("async chat")
        start = time.monotonic()
        response = await client.chat(_messages(), **target.options)
        report.text(response.text)
        report.end(f"{target.provider}, async chat", time.monotonic() - start, response)

        report.begin("async stream")
        start, pieces = time.monotonic(), []
        async with client.stream(_messages(), **target.options) as stream:
            async for chunk in stream:
                report.text(chunk.text)
                pieces.append(chunk.text)
        report.end(f"{target.provider}, async stream", time.monotonic() - start, stream.response, pieces)


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
    if report.failures:
        return f"{len(report.failures)} of {report.checked} checks FAILED ({notes}):"
    return f"All {report.checked} checks are good ({notes})."


def _peak_memory() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit
