"""`azure`: chat completions at Azure OpenAI, by its newer address and by its older one.

The wire: docs/protocols/openai-dialects.md, "Azure OpenAI".
"""

from __future__ import annotations

import re
from typing import ClassVar

from llmclients.codecs.base import CodecOptions, Context, EncodedRequest
from llmclients.codecs.openai_chat.codec import OpenAICodec
from llmclients.errors import InvalidRequestError
from llmclients.types.base import Text

__all__ = ["AzureCodec"]

_IN_A_PATH = re.compile(r"[A-Za-z0-9_.-]+")


class AzureOptions(CodecOptions):
    """`api_version`: take the older address, which has the deployment's name and this version in it."""

    api_version: Text | None = None


class AzureCodec(OpenAICodec):
    """Chat completions at a resource's endpoint. The model is the deployment's name."""

    options: ClassVar[type[CodecOptions]] = AzureOptions

    def encode_models(self, context: Context) -> EncodedRequest:
        return EncodedRequest("/openai/v1/models", b"", self._headers(context), method="GET")

    def _path(self, context: Context) -> str:
        assert isinstance(context.options, AzureOptions)
        version = context.options.api_version
        if version is None:
            return "/openai/v1/chat/completions"
        for argument, value in (("model", context.model), ("api_version", version)):
            if not _IN_A_PATH.fullmatch(value):
                raise InvalidRequestError(f"{value!r} cannot stand in Azure's address", argument=argument)
        return f"/openai/deployments/{context.model}/chat/completions?api-version={version}"
