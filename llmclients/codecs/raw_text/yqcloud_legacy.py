"""`yqcloud-legacy`: the older client of the same family of sites, at `api.aichatos.cloud`.

The wire: docs/protocols/yqcloud-legacy.md, "yqcloud-legacy".
"""

from __future__ import annotations

from typing import ClassVar

from llmclients.codecs.base import Codec, CodecOptions, Context, EncodedRequest
from llmclients.codecs.raw_text.decoder import BLOCKED_NOTICE, RawTextDecoder, reject_tool_calls
from llmclients.codecs.raw_text.prompt import format_prompt
from llmclients.types.request import ChatRequest

__all__ = ["YqcloudLegacyCodec"]

_HEADERS = (
    ("accept", "application/json, text/plain, */*"),
    ("content-type", "application/json"),
    ("origin", "https://chat9.yqcloud.top"),
    ("referer", "https://chat9.yqcloud.top/"),
)
_FIRST_USER, _LAST_USER = 1690000544336, 2093025544336


class YqcloudLegacyOptions(CodecOptions):
    """`system_message`: the service's own system text. `user_id`: the chat's number; if not set, random each time."""

    system_message: str = ""
    user_id: int | str | None = None


class YqcloudLegacyCodec(Codec):
    """A system message stays in the prompt; each request has a random `userId`."""

    name: ClassVar[str] = "yqcloud-legacy"
    address_endings: ClassVar[str] = "/api(/generateStream)?"
    options: ClassVar[type[CodecOptions]] = YqcloudLegacyOptions
    whole_replies: ClassVar[bool] = False

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        reject_tool_calls(request)
        assert isinstance(context.options, YqcloudLegacyOptions)
        payload = {
            "prompt": format_prompt(request.messages),
            "network": True,
            "system": context.options.system_message,
            "withoutContext": False,
            "stream": True,
            "userId": f"#/chat/{context.options.user_id or context.random.randint(_FIRST_USER, _LAST_USER)}",
        }
        return EncodedRequest.from_payload("/api/generateStream", payload, request, _HEADERS)

    def stream_decoder(self, content_type: str) -> RawTextDecoder:
        return RawTextDecoder(content_type, BLOCKED_NOTICE)
