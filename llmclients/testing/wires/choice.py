"""Which wire a client speaks that asks, and the bytes of a scripted reply in it."""

from __future__ import annotations

from llmclients.testing.answer import Answer, Piece
from llmclients.testing.wires.anthropic import AnthropicWriter
from llmclients.testing.wires.base import ReplyWriter, encode_json
from llmclients.testing.wires.cohere import CohereWriter
from llmclients.testing.wires.gemini import GeminiWriter
from llmclients.testing.wires.ollama import OllamaWriter
from llmclients.testing.wires.openai_chat import OpenAIChatWriter
from llmclients.testing.wires.openai_responses import OpenAIResponsesWriter
from llmclients.testing.wires.raw_text import RawTextWriter
from llmclients.transports.mock import Delay, MockRequest, ScriptError

__all__ = ["answer_steps", "writer_for"]

_WRITERS: dict[str, type[ReplyWriter]] = {
    "openai": OpenAIChatWriter,
    "ylokh": OpenAIChatWriter,
    "openai-responses": OpenAIResponsesWriter,
    "anthropic": AnthropicWriter,
    "gemini": GeminiWriter,
    "cohere": CohereWriter,
    "ollama": OllamaWriter,
    "yqcloud": RawTextWriter,
    "yqcloud-legacy": RawTextWriter,
    "ai365vip": RawTextWriter,
}
"""By the names of the package's own codecs. A codec that is derived from one of these has the same wire."""


def writer_for(request: MockRequest) -> type[ReplyWriter]:
    """The writer for the client that asks.

    Raises:
        ScriptError: it speaks a wire that is not the package's own.
    """
    codec = request.codec
    for kind in type(codec).__mro__:
        if kind.__module__.startswith("llmclients.codecs.") and (writer := _WRITERS.get(vars(kind).get("name", ""))):
            return writer
    raise ScriptError(
        f"{request.provider} speaks a wire of its own ({type(codec).__name__}), which the kit cannot write: give its "
        "reply as bytes, Reply(body=…), Reply(chunks=…) or Reply(json=…)"
    )


def answer_steps(answer: Answer, request: MockRequest, number: int) -> tuple[str, tuple[bytes | Piece, ...]]:
    """The Content-Type, and the steps of the body, of an answer to this request, the transport's `number`th.

    Whole or as a stream, as the request asks.

    Raises:
        ScriptError: the wire has no place for something in the answer.
    """
    kind = writer_for(request)
    complete = answer.for_request(request, number)
    if answer.usage == "words" and not kind.counts:
        complete = complete.without_usage()
    writer = kind(complete)
    writer.check(request.provider)
    if complete.other_texts and request.stream:
        raise ScriptError("the client asks for a stream, which is of one answer: use Reply.stream()")
    if request.stream or not request.codec.whole_replies:
        return writer.stream_type, tuple(_stream_steps(writer))
    silence = [piece for piece in complete.pieces if isinstance(piece, Delay)]
    body = encode_json(writer.whole())
    if complete.fault is None:
        return writer.content_type, (*silence, body)
    return writer.content_type, (*silence, body[: len(body) // 2], complete.fault)


def _stream_steps(writer: ReplyWriter) -> list[bytes | Piece]:
    """The opening, each piece of the text, and the closing: a read each."""
    pieces = [writer.piece(piece) if isinstance(piece, str) else piece for piece in writer.answer.pieces if piece]
    if writer.answer.fault is not None:
        return [*writer.opening(), *pieces]
    return [*writer.opening(), *pieces, *writer.closing()]
