"""`yqcloud-legacy` from the server's side: always streamed, and the system text is in the prompt.

The wire: docs/protocols/yqcloud-legacy.md, "yqcloud-legacy".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from llmclients.relay.codecs.json_fields import get_field
from llmclients.relay.codecs.raw_text import unflatten
from llmclients.relay.codecs.yqcloud import YqcloudServerCodec, parse_prompt
from llmclients.types.messages import Message

__all__ = ["YqcloudLegacyServerCodec"]


class YqcloudLegacyServerCodec(YqcloudServerCodec):
    """The older generation: a `System:` line of the prompt is the system text, unless there is a field for it."""

    name: ClassVar[str] = "yqcloud-legacy"
    prefix: ClassVar[str] = "/yqcloud-legacy"

    def _messages(self, payload: Mapping[str, Any]) -> list[Message]:
        system = get_field(payload, "system", str, "")
        turns = unflatten(parse_prompt(payload), system_line=not system)
        return [Message("system", system), *turns] if system else turns

    def _stream(self, payload: Mapping[str, Any]) -> bool:
        return True
