"""`local`: chat completions at the local model's server, where an answer has an end even if nobody gave it one.

The wire: docs/protocols/openai-chat.md, "Requests"; the server is llama.cpp's.
"""

from __future__ import annotations

from llmclients.codecs.base import Context, EncodedRequest
from llmclients.codecs.openai_chat.codec import OpenAICodec
from llmclients.types.request import ChatRequest

__all__ = ["DEFAULT_MAX_TOKENS", "LocalCodec"]

DEFAULT_MAX_TOKENS = 512
"""A small model may repeat itself until its context is full. At the limit the finish reason is `length`."""

_LIMITS = {"max_tokens", "max_completion_tokens", "n_predict"}
"""What the server knows a limit by."""


class LocalCodec(OpenAICodec):
    """Chat completions with a limit of tokens by default. Each request has it: one of the server's would cap others."""

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        if request.max_tokens is None and not (request.extra and _LIMITS & request.extra.keys()):
            request = request.model_copy(update={"max_tokens": DEFAULT_MAX_TOKENS})
        return super().encode(request, context)
