"""`local`: chat completions at the local model's server, where an answer ends, and a call that must come does.

The wire: docs/protocols/openai-dialects.md, "The local model's server"; the server is llama.cpp's.
"""

from __future__ import annotations

from typing import Any

from llmclients.codecs.base import Context, EncodedRequest, StreamDecoder
from llmclients.codecs.openai_chat.codec import OpenAICodec
from llmclients.codecs.openai_chat.grammar_calls import CallDecoder, CallReader, calls_schema, read_calls
from llmclients.errors import APIResponseError, InvalidRequestError, UnsupportedOptionError
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk
from llmclients.types.response_format import ResponseFormat

__all__ = ["DEFAULT_MAX_TOKENS", "LocalCodec"]

DEFAULT_MAX_TOKENS = 512
"""A small model may repeat itself until its context is full. At the limit the finish reason is `length`."""

_LIMITS = {"max_tokens", "max_completion_tokens", "n_predict"}
"""What the server knows a limit by."""

_GRAMMARS = ("grammar", "json_schema", "response_format")
"""What the server knows a grammar by. A request has one."""

_NO_TOOLS = {"tools": None, "tool_choice": None, "parallel_tool_calls": None}


class LocalCodec(OpenAICodec):
    """Chat completions with a limit of tokens by default, and with calls by grammar.

    Each request has the limit: one of the server's would cap others. A call that `tool_choice` demands is asked for as
    JSON by a schema, and so is an answer in a form where a call may come in its place. A call that the model may make
    by its own choice is llama.cpp's to constrain and to read.
    """

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        changes: dict[str, Any] = {}
        if request.max_tokens is None and not (request.extra and _LIMITS & request.extra.keys()):
            changes["max_tokens"] = DEFAULT_MAX_TOKENS
        _check_calls(request)
        if request.tools:
            changes |= _tool_fields(request)
        return super().encode(request.model_copy(update=changes) if changes else request, context)

    def decode(self, body: bytes) -> Chunk:
        return read_calls(super().decode(body), CallReader())

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        return CallDecoder(super().stream_decoder(content_type))


def _check_calls(request: ChatRequest) -> None:
    """Raise InvalidRequestError for a call whose arguments are no JSON: the engine would call that its own mistake."""
    for index, message in enumerate(request.messages):
        for call in message.tool_calls or ():
            try:
                _ = call.arguments
            except APIResponseError as error:  # an answer that was cut, sent back
                raise InvalidRequestError(f"messages[{index}]: {error}", argument="messages") from None


def _tool_fields(request: ChatRequest) -> dict[str, Any]:
    """What changes in a request with tools.

    Raises:
        UnsupportedOptionError: it has a grammar of the caller's own, too.
    """
    choice = request.tool_choice or "auto"
    if choice == "none":
        return _NO_TOOLS  # the server would tell the model of them all the same
    for name in _GRAMMARS:
        if request.extra and name in request.extra:
            raise UnsupportedOptionError(f"extra: the engine takes {name!r} or tools, not both", argument="extra")
    wanted = request.response_format
    if choice == "auto" and wanted is None:
        return {}
    tools = [tool for tool in request.tools or () if choice in ("auto", "required", tool.name)]
    answer = None if choice != "auto" or wanted is None else wanted.json_schema or {"type": "object"}
    schema = calls_schema(tools, parallel=bool(request.parallel_tool_calls), answer=answer)
    return _NO_TOOLS | {"tools": tools, "response_format": ResponseFormat(name="call", json_schema=schema)}
