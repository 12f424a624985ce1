"""A small codec that is right in everything, in pieces that a test can break one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmclients.codecs.base import (
    Codec,
    CodecOptions,
    Context,
    EncodedRequest,
    PartRule,
    StreamDecoder,
    decode_json,
    encode_json,
)
from llmclients.codecs.framing import LineDecoder
from llmclients.errors import APIResponseError, InternalServerError, RateLimitError, StreamInterruptedError
from llmclients.testing.codec_suite import CodecSuite
from llmclients.types.content import TextPart
from llmclients.types.messages import Message
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk, FinishReason, Usage

REASONS: dict[str, FinishReason] = {"done": "stop", "tired": "length"}


class TalkOptions(CodecOptions):
    mood: str = "cheerful"


class TalkCodec(Codec):
    """JSON out, a JSON object or JSON lines in."""

    name = "talk"
    fields = frozenset({"temperature", "max_tokens", "stop", "tools", "tool_choice"})
    parts: Mapping[str, PartRule] = {"image": PartRule(frozenset({"image/png", "image/jpeg"}))}
    options = TalkOptions

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        return EncodedRequest(self.path(context), self.body(self.payload(request, context)), self.headers(context))

    def path(self, context: Context) -> str:
        return "/talk"

    def headers(self, context: Context) -> tuple[tuple[str, str], ...]:
        return (("Content-Type", "application/json"), ("x-talk-key", context.api_key or ""))

    def body(self, payload: Mapping[str, Any]) -> bytes:
        return encode_json(payload)

    def payload(self, request: ChatRequest, context: Context) -> dict[str, Any]:
        found = {
            "talk": [self.message(message) for message in request.messages],
            "mood": getattr(context.options, "mood", ""),
            "stream": context.stream,
        }
        found |= {
            name: value
            for name in ("temperature", "max_tokens", "stop", "tool_choice")
            if (value := getattr(request, name)) is not None
        }
        if request.tools:
            found["tools"] = [{"name": tool.name, "parameters": tool.parameters} for tool in request.tools]
        return found | (request.extra or {})

    def message(self, message: Message) -> dict[str, Any]:
        found: dict[str, Any] = {"who": message.role}
        found["what"] = [
            part.text if isinstance(part, TextPart) else {"image": part.url or part.base64} for part in message.parts
        ]
        if message.tool_calls:
            found["calls"] = [[call.id, call.name, call.arguments_text] for call in message.tool_calls]
        if message.tool_call_id is not None:
            found["answers"] = message.tool_call_id
        return found

    def decode(self, body: bytes) -> Chunk:
        payload = decode_json(body)
        words, end = read(payload, "say"), read(payload, "end")
        if end is None:
            raise APIResponseError("the reply has no end: not what the protocol says")
        return end.model_copy(update={"role": "assistant", "text": words.text if words else ""})

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        return TalkDecoder()

    def encode_models(self, context: Context) -> EncodedRequest | None:
        return EncodedRequest("/models", b"", method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        models = decode_json(body).get("models")
        if not isinstance(models, list) or not all(isinstance(one, dict) and "id" in one for one in models):
            raise APIResponseError("the list of models has no models[].id: not what the protocol says")
        return [str(one["id"]) for one in models]


def read(payload: dict[str, Any], name: str) -> Chunk | None:
    """The chunk that a member makes, if it is there."""
    if "oops" in payload:
        raise InternalServerError(f"the talk failed: {payload['oops']}", status_code=500, body=payload)
    value = payload.get(name)
    if value is None:
        return None
    if type(value) is not str:
        raise APIResponseError(f"{name} is {type(value).__name__}: not what the protocol says")
    if name == "say":
        return Chunk(text=value, raw=payload)
    count = payload.get("count")
    usage = Usage(output_tokens=count) if type(count) is int else None
    return Chunk(finish_reason=REASONS.get(value, "error"), usage=usage, raw=payload)


class TalkDecoder:
    """JSON lines to chunks."""

    def __init__(self) -> None:
        self.done = False
        self.lines: Any = LineDecoder()

    def feed(self, data: bytes) -> Iterator[Chunk]:
        for line in self.lines.feed(data):
            if line and not self.done:
                yield from self.line(line)

    def line(self, line: bytes) -> Iterator[Chunk]:
        payload = decode_json(line, "line")
        for name in ("say", "end"):
            chunk = read(payload, name)
            if chunk is not None:
                self.done = self.done or name == "end"
                yield chunk

    def finish(self) -> Iterator[Chunk]:
        if not self.done:
            raise StreamInterruptedError("the stream ended without its last line")
        return iter(())


# --- its recordings -------------------------------------------------------------------------------------------------

STREAM = '{"say": "Grüß"}\n{"say": " dich!"}\n{"end": "done", "count": 2}\n'.encode()


class TalkSuite(CodecSuite):
    requests = (
        (
            {"messages": "Hi", "options": {"max_tokens": 5}, "path": "/talk", "method": "POST"},
            b'{"talk":[{"who":"user","what":["Hi"]}],"mood":"cheerful","stream":false,"max_tokens":5}',
        ),
    )
    replies = (
        (
            b'{"say": "Hi.", "end": "done", "count": 1}',
            {"text": "Hi.", "finish_reason": "stop", "usage": {"output_tokens": 1}},
        ),
        (b'{"oops": "asleep"}', InternalServerError),
    )
    streams = (
        (
            STREAM,
            "application/x-ndjson",
            {"text": "Grüß dich!", "finish_reason": "stop", "usage": {"output_tokens": 2}},
        ),
        (b'{"say": "Hel"}\n{"say": "lo"}\n{"oops": "asleep"}\n', "", {"text": "Hello"}, InternalServerError),
        (b'{"say": "Hel"}\n[]\n', "", APIResponseError),
    )
    errors = ((429, {"retry-after": "2"}, b'{"oops": "slowly"}', RateLimitError), (500, {}, b"", InternalServerError))
