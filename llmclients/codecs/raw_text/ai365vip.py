"""`ai365vip`: a browser's request with one flattened message; the reply is raw text.

The wire: docs/protocols/ai365vip.md, "ai365vip".
"""

from __future__ import annotations

from typing import ClassVar

from llmclients.codecs.base import Codec, Context, EncodedRequest
from llmclients.codecs.raw_text.decoder import RawTextDecoder, reject_tool_calls
from llmclients.codecs.raw_text.prompt import format_prompt
from llmclients.types.request import ChatRequest

__all__ = ["Ai365vipCodec"]

_HEADERS = (
    ("accept", "*/*"),
    ("accept-language", "en-US,en;q=0.9"),
    ("content-type", "application/json"),
    ("origin", "https://chat.ai365vip.com"),
    ("referer", "https://chat.ai365vip.com/en"),
    ("sec-ch-ua", '"Chromium";v="127", "Not)A;Brand";v="99"'),
    ("sec-ch-ua-arch", '"x86"'),
    ("sec-ch-ua-bitness", '"64"'),
    ("sec-ch-ua-full-version", '"127.0.6533.119"'),
    ("sec-ch-ua-full-version-list", '"Chromium";v="127.0.6533.119", "Not)A;Brand";v="99.0.0.0"'),
    ("sec-ch-ua-mobile", "?0"),
    ("sec-ch-ua-model", '""'),
    ("sec-ch-ua-platform", '"Linux"'),
    ("sec-ch-ua-platform-version", '"4.19.276"'),
    ("sec-fetch-dest", "empty"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "same-origin"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/127.0.0.0 Safari/537.36",
    ),
)


class Ai365vipCodec(Codec):
    """Whatever the model, the same constants; only its id and the one flattened message change."""

    name: ClassVar[str] = "ai365vip"
    address_endings: ClassVar[str] = "/api(/chat)?"
    whole_replies: ClassVar[bool] = False

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        reject_tool_calls(request)
        payload = {
            # The service's page sends these constants whatever model is chosen.
            "model": {"id": context.model, "name": "GPT-3.5", "maxLength": 3000, "tokenLimit": 2048},
            "messages": [{"role": "user", "content": format_prompt(request.messages)}],
            "key": "",
            "prompt": "You are a helpful assistant.",
            "temperature": 1,
        }
        return EncodedRequest.from_payload("/api/chat", payload, request, _HEADERS)

    def stream_decoder(self, content_type: str) -> RawTextDecoder:
        return RawTextDecoder(content_type)
