"""`yqcloud`: a flattened prompt to `api.binjie.fun`; the reply is raw text (docs/protocols/yqcloud.md, "yqcloud")."""

from __future__ import annotations

from typing import Any, ClassVar

from llmclients.codecs.base import Codec, CodecOptions, Context, EncodedRequest
from llmclients.codecs.raw_text.decoder import BLOCKED_NOTICE, RawTextDecoder, reject_tool_calls
from llmclients.codecs.raw_text.prompt import format_prompt
from llmclients.errors import InvalidRequestError
from llmclients.types.request import ChatRequest

__all__ = ["YqcloudCodec"]

_HEADERS = (
    ("accept", "application/json, text/plain, */*"),
    ("accept-language", "en-US,en;q=0.9"),
    ("content-type", "application/json"),
    ("origin", "https://chat9.yqcloud.top"),
    ("referer", "https://chat9.yqcloud.top/"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
    ),
)


class YqcloudOptions(CodecOptions):
    """`network`: let the service search the web. `without_context`: ask it to ignore earlier turns."""

    network: bool = True
    without_context: bool = False


class YqcloudCodec(Codec):
    """The first system message has a field of its own; a conversation keeps its `userId`."""

    name: ClassVar[str] = "yqcloud"
    address_endings: ClassVar[str] = "/api(/generateStream)?"
    options: ClassVar[type[CodecOptions]] = YqcloudOptions
    whole_replies: ClassVar[bool] = False

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        reject_tool_calls(request)
        assert isinstance(context.options, YqcloudOptions)
        messages, system = request.messages, ""
        if messages[0].role == "system":
            messages, system = messages[1:], messages[0].text
        if not messages:
            raise InvalidRequestError("messages: there must be more than a system message", argument="messages")
        payload = {
            "prompt": format_prompt(messages),
            "userId": context.state.get("userId") or self.conversation_state(context.unix_time)["userId"],
            "network": context.options.network,
            "system": system,
            "withoutContext": context.options.without_context,
            "stream": context.stream,
        }
        return EncodedRequest.from_payload("/api/generateStream", payload, request, _HEADERS)

    def stream_decoder(self, content_type: str) -> RawTextDecoder:
        return RawTextDecoder(content_type, BLOCKED_NOTICE)

    def conversation_state(self, unix_time: float) -> dict[str, Any]:
        return {"userId": f"#/chat/{int(unix_time * 1000)}"}
