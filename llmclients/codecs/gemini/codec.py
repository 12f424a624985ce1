"""The codec `gemini`: Google's Gemini API, generateContent and streamGenerateContent.

The wire: docs/protocols/gemini.md, "Gemini".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from llmclients.codecs.base import (
    Codec,
    CodecOptions,
    Context,
    EncodedRequest,
    PartRule,
    StreamDecoder,
    decode_json,
    given,
)
from llmclients.codecs.gemini.names import CODEC_NAME
from llmclients.codecs.gemini.reply import decode_error, decode_reply, make_decoder
from llmclients.codecs.gemini.request import (
    contents,
    generation_config,
    system_instruction,
    thinking_config,
    tool_config,
    tools,
)
from llmclients.codecs.json_fields import get_list
from llmclients.errors import APIResponseError, APIStatusError
from llmclients.types.request import POSITIVE, ChatRequest, ThinkingBudget, TopK
from llmclients.types.response import Chunk

__all__ = ["GeminiCodec", "GeminiOptions"]

_IMAGES = frozenset({"image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"})
_RESERVED = re.compile(rb"[^A-Za-z0-9._~-]")
_MAX_BYTES = 15_000_000
"""Of a part: in base64 this is the 20 MB that a request may have."""


class GeminiOptions(CodecOptions):
    """What only this wire has.

    Args:
        top_k: how many of the likeliest tokens are sampled from.
        thinking_budget: tokens of thinking, in place of `reasoning_effort`; 0: none, -1: as the model decides.
        include_thoughts: whether a summary of the thoughts is sent, as `reasoning`; by default, if there is a
            `reasoning_effort`.
        safety_settings: `{"category": "HARM_CATEGORY_…", "threshold": "BLOCK_…"}` for each category to change.
        cached_content: the name of a cached content, `cachedContents/…`, that precedes the messages.
        generation_config: further members of the wire's `generationConfig`, such as `mediaResolution`, as they are;
            over what the other options make.
    """

    top_k: Annotated[TopK, POSITIVE] | None = None
    thinking_budget: ThinkingBudget | None = None
    include_thoughts: bool | None = None
    safety_settings: list[dict[str, Any]] | None = None
    cached_content: str | None = None
    generation_config: dict[str, Any] | None = None


class GeminiCodec(Codec):
    """generateContent. Only what the caller has set is sent.

    The bytes of parts go inline. Addresses go as they are, for the API to fetch: those of files uploaded to it, `gs://`
    and YouTube's are sure to be taken.
    """

    name: ClassVar[str] = CODEC_NAME
    address_endings: ClassVar[str] = (
        r"/v1(alpha|beta)?(/models(/(?P<model>[^/:?#]+)(:\w+)?)?|/openai(/chat/completions|/models)?)?"
    )
    options: ClassVar[type[CodecOptions]] = GeminiOptions
    fields = frozenset(
        {
            *("temperature", "top_p", "max_tokens", "stop", "seed", "presence_penalty", "frequency_penalty"),
            *("tools", "tool_choice", "response_format", "reasoning_effort", "logprobs", "top_logprobs"),
            *("n", "service_tier"),
        }
    )
    parts: Mapping[str, PartRule] = {
        "image": PartRule(_IMAGES, max_bytes=_MAX_BYTES),
        "audio": PartRule(max_bytes=_MAX_BYTES),
        "file": PartRule(max_bytes=_MAX_BYTES),
    }

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        options = context.options
        assert isinstance(options, GeminiOptions)
        thinking = thinking_config(
            context.model, request.reasoning_effort, options.thinking_budget, options.include_thoughts
        )
        config = (
            generation_config(request, options.top_k)
            | ({"thinkingConfig": thinking} if thinking else {})
            | (options.generation_config or {})
        )
        payload = given(
            systemInstruction=system_instruction(request.messages),
            contents=contents(request.messages),
            tools=tools(request.tools) if request.tools else None,
            toolConfig=tool_config(request.tool_choice) if request.tool_choice else None,
            safetySettings=options.safety_settings,
            cachedContent=options.cached_content,
            serviceTier=request.service_tier,
            generationConfig=config or None,
        )
        method = "streamGenerateContent?alt=sse" if context.stream else "generateContent"
        path = f"/v1beta/{_model_path(context.model)}:{method}"
        return EncodedRequest.from_payload(path, payload, request, _headers(context))

    def decode(self, body: bytes) -> Chunk:
        return decode_reply(body)

    def stream_decoder(self, content_type: str) -> StreamDecoder:
        return make_decoder(content_type)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        return decode_error(status, headers, body)

    def encode_models(self, context: Context) -> EncodedRequest:
        return EncodedRequest("/v1beta/models?pageSize=1000", b"", _headers(context), method="GET")

    def decode_models(self, body: bytes) -> list[str]:
        """Those that can generate content; the others embed, count or draw."""
        entries = decode_json(body).get("models")
        if not isinstance(entries, list) or not all(
            isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in entries
        ):
            raise APIResponseError("the list of models has no models[].name: not what the protocol says")
        return [
            entry["name"].removeprefix("models/")
            for entry in entries
            if "generateContent" in (get_list(entry, "supportedGenerationMethods") or ["generateContent"])
        ]


def _model_path(model: str) -> str:
    """A model's place in the path: a plain name is one of `models/`, others say whose they are."""
    collection, slash, name = model.partition("/")
    if not slash or collection not in ("models", "tunedModels"):
        collection, name = "models", model
    return f"{collection}/{_RESERVED.sub(_escaped, name.encode()).decode()}"


def _escaped(byte: re.Match[bytes]) -> bytes:
    return b"%%%02X" % ord(byte[0])


def _headers(context: Context) -> tuple[tuple[str, str], ...]:
    accept = ("Accept", "application/json")
    return (accept, ("x-goog-api-key", context.api_key)) if context.api_key else (accept,)
