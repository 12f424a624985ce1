"""A provider behind the relay whose wire carries whatever the library has: requests and answers are the library's objects as JSON.

What reaches it is `asked`; what it answers is a `ChatResponse`, or chunks, faults among them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from relaytools import upstream_client

from llmclients import errors
from llmclients.codecs.base import (
    Codec,
    CodecOptions,
    Context,
    EncodedRequest,
    PartRule,
    StreamDecoder,
    encode_json,
)
from llmclients.codecs.errors import status_error
from llmclients.providers import registry as providers
from llmclients.providers.provider import Provider
from llmclients.providers.registry import register_provider
from llmclients.relay import RelayServer
from llmclients.transports.mock import MockTransport, Reply
from llmclients.types.request import ChatRequest
from llmclients.types.response import ChatResponse, Chunk, ToolCallDelta

ALL = frozenset(ChatRequest.model_fields) - {"messages", "model", "extra"}
END = b'{"end":true}\n'


class ScriptedOptions(CodecOptions):
    """What only some providers have, by the names that the library's codecs give it."""

    top_k: int | None = None
    thinking: int | str | None = None
    thinking_display: str | None = None
    summary: str | None = None
    encrypted_reasoning: bool | None = None
    truncation: str | None = None


class ScriptedCodec(Codec):
    """`fields` and `options_type`: what it carries."""

    name: ClassVar[str] = "scripted"
    parts: Mapping[str, PartRule] = {"image": PartRule(), "audio": PartRule(), "file": PartRule()}

    def __init__(self, fields: frozenset[str] = ALL, options_type: type[CodecOptions] = ScriptedOptions) -> None:
        self.fields = fields
        self.options = options_type  # type: ignore[misc]

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        asked = request.model_dump(mode="json", exclude_none=True) | {"model": context.model, "stream": context.stream}
        codec_options = context.options.model_dump(exclude_none=True)
        return EncodedRequest("/scripted", encode_json({"asked": asked, "codec_options": codec_options}))

    def decode(self, body: bytes) -> Chunk:
        answer = ChatResponse.model_validate_json(body)
        calls = [
            ToolCallDelta(index=index, id=call.id, name=call.name, arguments=call.arguments_text)
            for index, call in enumerate(answer.tool_calls)
        ]
        shared = {
            name: getattr(answer, name) for name in ("text", "reasoning", "finish_reason", "usage", "model", "id")
        }
        return Chunk(
            role="assistant",
            tool_calls=calls,
            logprobs=answer.logprobs or (),
            provider_data=answer.provider_data,
            raw=answer.raw,
            **shared,
        )

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        return _Decoder()


class _Decoder:
    def __init__(self) -> None:
        self.done = False
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Chunk]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            entry = json.loads(line)
            if "end" in entry:
                self.done = True
            elif "status" in entry:
                raise status_error(entry["status"], {}, json.dumps({"error": {"message": entry["message"]}}).encode())
            else:
                yield Chunk.model_validate(entry)

    def finish(self) -> Iterator[Chunk]:
        if not self.done:
            raise errors.StreamInterruptedError("no end mark came")
        return iter(())


class Scripted:
    """The provider, as the handler of a MockTransport.

    Attributes:
        answer: a whole answer; what a stream is made of: chunks, `bytes`, faults; or a `Reply` as it is.
        asked: the last request: `ChatRequest`, dumped, with `stream`.
        codec_options: its codec's own options.
        queue: answers that come before `answer`, one for each request.
    """

    def __init__(self) -> None:
        self.answer: ChatResponse | list[Any] | Reply = ChatResponse()
        self.asked: dict[str, Any] = {}
        self.codec_options: dict[str, Any] = {}
        self.queue: list[ChatResponse | list[Any] | Reply] = []

    def __call__(self, request: Any) -> Reply:
        payload = json.loads(request.body)
        self.asked, self.codec_options = payload["asked"], payload["codec_options"]
        answer = self.queue.pop(0) if self.queue else self.answer
        if isinstance(answer, Reply):
            return answer
        if isinstance(answer, ChatResponse):
            return Reply(body=answer.model_dump_json(exclude_defaults=True))
        pieces = [_line(piece) if isinstance(piece, Chunk) else piece for piece in answer]
        return Reply(chunks=pieces)

    def streams(self, *pieces: Any) -> None:
        """Answer with these, and an end mark."""
        self.answer = [*pieces, END]


def _line(chunk: Chunk) -> bytes:
    return chunk.model_dump_json(exclude_defaults=True).encode() + b"\n"


def failing(status: int, message: str) -> bytes:
    """An error inside a stream."""
    return json.dumps({"status": status, "message": message}).encode() + b"\n"


@contextmanager
def scripted_relay(
    fields: frozenset[str] = ALL, options_type: type[CodecOptions] = ScriptedOptions, **arguments: Any
) -> Iterator[tuple[str, Scripted]]:
    """A running relay's address, and the provider behind it."""
    script = Scripted()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(providers, "_registered", dict(providers._registered))
        codec = ScriptedCodec(fields, options_type)
        register_provider(Provider("scripted", codec, "http://scripted", default_model="s-1", models=("s-1", "s-2")))
        client = upstream_client(MockTransport(script), "scripted")
    with RelayServer(client, **arguments) as relay:
        yield relay.url, script
