"""`yqcloud-legacy` from the server's side: always streamed, and the system text is in the prompt (PROTOCOLS 6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from llmclients.relay.codecs.base import member
from llmclients.relay.codecs.raw_text import unflatten
from llmclients.relay.codecs.yqcloud import YqcloudWire, read_prompt
from llmclients.types.messages import Message

__all__ = ["YqcloudLegacyWire"]


class YqcloudLegacyWire(YqcloudWire):
    """The older generation."""

    name: ClassVar[str] = "yqcloud-legacy"
    prefix: ClassVar[str] = "/yqcloud-legacy"

    def _messages(self, payload: Mapping[str, Any]) -> list[Message]:
        system = member(payload, "system", str, "")
        turns = unflatten(read_prompt(payload), system_line=not system)
        return [Message("system", system), *turns] if system else turns

    def _stream(self, payload: Mapping[str, Any]) -> bool:
        return True
