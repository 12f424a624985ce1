"""Gathers the reasoning that a server wants back as it sent it, signed or encrypted, for `Message.provider_data`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["CODEC_NAME", "KeptEntries", "kept_member"]

CODEC_NAME = "openai"
"""The codec's name, and so the key of `provider_data` under which a message has what is kept here."""

_OPAQUE = ("signature", "data")
_TEXTS = ("text", "summary")


def kept_member(provider_data: Mapping[str, Any] | None, field: str) -> dict[str, Any]:
    """The member as a message's `provider_data` has it; empty where it has none, or is another codec's."""
    kept = provider_data.get(CODEC_NAME) if provider_data else None
    return {field: kept[field]} if isinstance(kept, dict) and field in kept else {}


class KeptEntries:
    """One field of an assistant message, a list, put together from its pieces.

    Args:
        field: the member of a message, or of a stream's deltas. Its entries come whole, or in pieces with the same type
            and `index`. A member that is no list has none.
    """

    def __init__(self, field: str) -> None:
        self._field = field
        self._entries: list[Any] = []
        self._open: dict[Any, dict[str, Any]] = {}

    def add_message(self, message: Mapping[str, Any]) -> None:
        """Take the entries of a whole message."""
        self._entries += self._listed(message)

    def add_delta(self, delta: Mapping[str, Any]) -> None:
        """Take the pieces of entries in a delta."""
        for piece in self._listed(delta):
            self._add_piece(piece)

    def provider_data(self) -> dict[str, Any] | None:
        """What an assistant message is to keep; None if its text and its calls say as much."""
        if any(isinstance(entry, dict) and any(map(entry.get, _OPAQUE)) for entry in self._entries):
            return {CODEC_NAME: {self._field: self._entries}}
        return None

    def _listed(self, holder: Mapping[str, Any]) -> list[Any]:
        entries = holder.get(self._field)
        return entries if isinstance(entries, list) else []

    def _add_piece(self, piece: Any) -> None:
        if not isinstance(piece, dict):
            self._entries.append(piece)
            return
        key = (str(piece.get("type")), str(piece.get("index")))
        entry = self._open.get(key)
        if entry is None or piece.get("data") is not None:  # encrypted reasoning comes whole
            self._open[key] = entry = dict(piece)
            self._entries.append(entry)
            return
        for name, value in piece.items():
            before = entry.get(name)
            if name in _TEXTS and isinstance(before, str) and isinstance(value, str):
                entry[name] = before + value
            elif before is None:
                entry[name] = value
