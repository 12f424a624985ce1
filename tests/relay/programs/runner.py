"""Runs one program behind a relay in front of a scripted provider, and prints what happened, as JSON.

A process of its own, so that it can be in a network namespace of its own, where nothing but loopback is: `unshare -rn
python runner.py`. Standard input has, as JSON:

    program     the command, `{url}` in it for the relay's address
    env         its environment, `{url}` likewise
    cwd         where it runs
    calls       the calls of tools that the provider answers with, [name, arguments], one for each turn
    text        what it says after them
    lenient     whether the relay is

What it prints: the program's `status`, `stdout` and `stderr`; `sent`, the bodies that it sent for an answer; `asked`, what
the provider was asked; and the relay's `log`.
"""

from __future__ import annotations

import fcntl
import json
import logging
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from typing import Any

from llmclients import AsyncClient
from llmclients.relay import RelayServer
from llmclients.relay.codecs.anthropic import AnthropicServerCodec
from llmclients.relay.codecs.base import RelayedCall, ServerCodec
from llmclients.relay.codecs.openai_responses import OpenAIResponsesServerCodec
from llmclients.transports.mock import MockTransport, Reply

SECONDS = 90


def raise_loopback() -> None:
    """In a new namespace, loopback is down."""
    SIOCSIFFLAGS, IFF_UP_RUNNING = 0x8914, 0x41
    with suppress(OSError), socket.socket() as any_socket:  # where it is not ours to change, it is up
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP_RUNNING))


class Provider:
    """A provider with chat completions' wire: it calls tools, one each turn, and then says a text.

    Attributes:
        asked: what it was asked, request by request.
    """

    def __init__(self, calls: list[tuple[str, dict[str, Any]]], text: str) -> None:
        self.asked: list[dict[str, Any]] = []
        self._calls, self._text = calls, text

    def __call__(self, request: Any) -> Reply:
        if request.url.endswith("/models"):
            return Reply(json={"data": [{"id": "scripted"}]})
        payload = json.loads(request.body)
        self.asked.append(payload)
        # A program may ask for a title, say, with a request of its own, without tools.
        turn = sum(message["role"] == "tool" for message in payload["messages"])
        calls = self._calls if payload.get("tools") else []
        if turn < len(calls):
            name, arguments = calls[turn]
            function = {"name": name, "arguments": json.dumps(arguments)}
            delta: dict[str, Any] = {"tool_calls": [{"index": 0, "id": f"call_{turn}", "function": function}]}
            reason = "tool_calls"
        else:
            delta, reason = {"content": self._text}, "stop"
        chunks = [
            {"choices": [{"index": 0, "delta": delta, "finish_reason": None}], "model": "scripted"},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]},
            {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}},
        ]
        if not payload.get("stream"):
            message = {"role": "assistant", "content": None, **delta}
            return Reply(json={"choices": [{"index": 0, "message": message, "finish_reason": reason}]})
        events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
        return Reply(chunks=[*events, b"data: [DONE]\n\n"], headers={"content-type": "text/event-stream"})


class Lines(logging.Handler):
    """The relay's log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def record(codec_type: type[ServerCodec], sent: list[Any]) -> None:
    """Keep the bodies that requests of this wire have."""
    decode = codec_type.decode

    def recorded(codec: ServerCodec, body: bytes) -> RelayedCall:
        sent.append(json.loads(body))
        return decode(codec, body)

    codec_type.decode = recorded  # type: ignore[method-assign]


def main() -> None:
    task = json.load(sys.stdin)
    raise_loopback()
    provider, log, sent = Provider(task["calls"], task["text"]), Lines(), list[Any]()
    for codec_type in (AnthropicServerCodec, OpenAIResponsesServerCodec):
        record(codec_type, sent)
    relay_log = logging.getLogger("llmclients.relay")
    relay_log.setLevel(logging.INFO)
    relay_log.addHandler(log)
    client = AsyncClient(
        "openai/scripted", base_url="http://provider/v1", api_key="k", transport=MockTransport(provider), retry=None
    )
    with RelayServer(client, lenient=task["lenient"]) as relay:
        command = [part.replace("{url}", relay.url) for part in task["program"]]
        env = {name: value.replace("{url}", relay.url) for name, value in task["env"].items()}
        done = subprocess.run(
            command, env=env, cwd=task["cwd"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
        )
    result = {"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}
    json.dump({**result, "sent": sent, "asked": provider.asked, "log": log.lines}, sys.stdout)


if __name__ == "__main__":
    main()
