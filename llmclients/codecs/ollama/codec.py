"""The codec `ollama`: Ollama's native API, which is not the one that copies OpenAI's.

The wire: docs/protocols/ollama.md, "Ollama".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from llmclients.codecs.base import (
    Codec,
    CodecOptions,
    Context,
    EncodedRequest,
    PartRule,
    StreamDecoder,
    bearer_headers,
    given,
    model_names,
)
from llmclients.codecs.ollama.names import CODEC_NAME
from llmclients.codecs.ollama.reply import LineStreamDecoder, decode_reply
from llmclients.codecs.payloads import tool_payload
from llmclients.errors import APIResponseError, InvalidRequestError
from llmclients.types.base import Text
from llmclients.types.content import MediaPart
from llmclients.types.messages import Message, ToolCall
from llmclients.types.request import ChatRequest, Number, TopK
from llmclients.types.response import Chunk

__all__ = ["OllamaCodec", "OllamaOptions"]

_THINK: Mapping[str, bool | str] = {
    "none": False,
    "on": True,
    **{effort: effort for effort in ("low", "medium", "high", "max")},
}
"""The wire's `think` for each `reasoning_effort`."""


class OllamaOptions(CodecOptions):
    """What only this wire has.

    Args:
        num_ctx: tokens of context that the model is loaded with.
        top_k: how many of the likeliest tokens are sampled from.
        keep_alive: how long the model stays loaded: seconds, or a text such as `5m`; negative: for good.
    """

    num_ctx: int | None = None
    top_k: TopK | None = None
    keep_alive: Number | Text | None = None


class OllamaCodec(Codec):
    """Sampling options apart from the rest, images beside the text, arguments as objects, lines of JSON back."""

    name: ClassVar[str] = CODEC_NAME
    address_endings: ClassVar[str] = "/api(/chat|/generate|/tags)?|/v1(/chat/completions|/completions|/models)?"
    fields = frozenset(
        {"temperature", "top_p", "max_tokens", "stop", "seed", "presence_penalty", "frequency_penalty"}
        | {"tools", "response_format", "reasoning_effort", "logprobs", "top_logprobs"}
    )
    parts: Mapping[str, PartRule] = {"image": PartRule(urls=False)}
    options: ClassVar[type[CodecOptions]] = OllamaOptions

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        assert isinstance(context.options, OllamaOptions)
        response_format = request.response_format
        payload = given(
            model=context.model,
            messages=_messages(request.messages),
            tools=[tool_payload(tool, None, with_strict=False) for tool in request.tools or ()] or None,
            format=response_format and ("json" if response_format.json_schema is None else response_format.json_schema),
            think=_think(request.reasoning_effort),
            logprobs=request.logprobs,
            top_logprobs=request.top_logprobs,
            options=_options(request, context.options) or None,
            keep_alive=context.options.keep_alive,
            stream=context.stream,  # left out, it is true
        )
        return EncodedRequest.from_payload("/api/chat", payload, request, bearer_headers(context))

    def decode(self, body: bytes) -> Chunk:
        return decode_reply(body)

    def is_stream(self, body: bytes) -> bool:
        """Whether a plain reply is lines that go on, or events made of them."""
        first, _, rest = body.strip().partition(b"\n")
        return super().is_stream(body) or (bool(rest) and first.startswith(b"{") and first.rstrip().endswith(b"}"))

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        return LineStreamDecoder()  # one plain reply is a stream of one line

    def encode_models(self, context: Context) -> EncodedRequest:
        return EncodedRequest("/api/tags", b"", bearer_headers(context), method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        return model_names(body, "models", "name", bare_list=False)


# --- requests -------------------------------------------------------------------------------------------------------


def _messages(messages: list[Message]) -> list[dict[str, Any]]:
    names: dict[str, str] = {}  # of the functions called so far, by the calls' ids
    found = []
    for index, message in enumerate(messages):
        payload: dict[str, Any] = {"role": "system" if message.role == "developer" else message.role}
        if message.role == "tool":
            name = message.name or names.get(message.tool_call_id or "")
            if name is None:
                raise InvalidRequestError(
                    f"messages[{index}]: Ollama wants the name of the function: no call before has the id "
                    f"{message.tool_call_id!r}, and the message has no name",
                    argument="messages",
                )
            payload["tool_name"] = name
            if message.tool_call_id is not None:
                payload["tool_call_id"] = message.tool_call_id
        payload["content"] = message.text
        if images := [part.base64 for part in message.parts if isinstance(part, MediaPart)]:
            payload["images"] = images
        if message.role == "assistant":
            if message.reasoning:
                payload["thinking"] = message.reasoning
            if message.tool_calls:
                payload["tool_calls"] = [_call(index, call) for call in message.tool_calls]
                names |= {call.id: call.name for call in message.tool_calls}
        found.append(payload)
    return found


def _call(index: int, call: ToolCall) -> dict[str, Any]:
    try:
        arguments = call.arguments
    except APIResponseError as error:  # an answer that was cut, sent back
        raise InvalidRequestError(f"messages[{index}]: {error}", argument="messages") from None
    members = (call.provider_data or {}).get(CODEC_NAME)
    known = {"id": call.id, "function": {"name": call.name, "arguments": arguments}}
    return {**members, **known} if isinstance(members, dict) else known


def _options(request: ChatRequest, options: OllamaOptions) -> dict[str, Any]:
    """The sampling and the length, as far as they are set."""
    return given(
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=options.top_k,
        seed=request.seed,
        num_predict=request.max_tokens,
        stop=[request.stop] if isinstance(request.stop, str) else request.stop,
        presence_penalty=request.presence_penalty,
        frequency_penalty=request.frequency_penalty,
        num_ctx=options.num_ctx,
    )


def _think(effort: str | None) -> bool | str | None:
    if effort is None:
        return None
    if effort not in _THINK:
        raise InvalidRequestError(
            f"reasoning_effort: Ollama's is {', '.join(_THINK)}, not {effort!r}", argument="reasoning_effort"
        )
    return _THINK[effort]
