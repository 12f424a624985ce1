"""`azure`: chat completions at Azure OpenAI, by its newer address and by its older one.

The wire: docs/protocols/openai-dialects.md, "Azure OpenAI".
"""

from __future__ import annotations

import re
from typing import ClassVar

from llmclients.codecs.addresses import Address
from llmclients.codecs.base import CodecOptions, Context, EncodedRequest
from llmclients.codecs.openai_chat.codec import OpenAICodec
from llmclients.errors import InvalidRequestError
from llmclients.types.base import Text

__all__ = ["AzureCodec"]

_IN_A_PATH = re.compile(r"(?!\.\.?$)[A-Za-z0-9_.-]+")
_ONLY_VERSION = re.compile(r"api-version=([^&#]+)", re.IGNORECASE)
_UNDATED_VERSIONS = ("v1", "preview", "latest")
"""Versions of the newer address; the older one's are dates."""


class AzureOptions(CodecOptions):
    """`api_version`: a date takes the older address, which has the deployment's name and this version in it; `preview`
    and `v1` are versions of the newer one.
    """

    api_version: Text | None = None


class AzureCodec(OpenAICodec):
    """Chat completions at a resource's endpoint. The model is the deployment's name."""

    options: ClassVar[type[CodecOptions]] = AzureOptions
    address_endings: ClassVar[str] = (
        "/openai(/deployments(/(?P<model>[^/?#]+)(/chat/completions)?)?)?|/models(/chat/completions)?"
        "|/openai/v1(/chat/completions|/completions|/models|/responses)?"
    )

    def parse_address(self, url: str) -> Address:
        """The resource's endpoint: given as that, or as a deployment's address or the newer one, which portals show.

        A version in its query is the `api_version` of calls that name none. The newer address is chosen by being given.
        """
        url, _, query = url.partition("?")
        address = super().parse_address(url)
        if version := _ONLY_VERSION.fullmatch(query):
            return address._replace(options={"api_version": version[1]})
        if query:
            return address._replace(base_url=f"{address.base_url}?{query}")  # not ours to drop
        newer = re.search(r"/openai/v1\b", url[len(address.base_url) :], re.IGNORECASE)
        return address._replace(options={"api_version": None}) if newer else address

    def encode_models(self, context: Context) -> EncodedRequest:
        return EncodedRequest("/openai/v1/models", b"", self._headers(context), method="GET")

    def _path(self, context: Context) -> str:
        assert isinstance(context.options, AzureOptions)
        version = context.options.api_version
        if version is None:
            return "/openai/v1/chat/completions"
        if version in _UNDATED_VERSIONS:
            return f"/openai/v1/chat/completions?api-version={version}"
        for argument, value in (("model", context.model), ("api_version", version)):
            if not _IN_A_PATH.fullmatch(value):
                raise InvalidRequestError(f"{value!r} cannot stand in Azure's address", argument=argument)
        return f"/openai/deployments/{context.model}/chat/completions?api-version={version}"
