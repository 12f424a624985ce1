"""Gathers what a server wants back as it sent it, for `provider_data`: signed reasoning, and members not known here."""

# Theory of operation
#
# Two things of an assistant message go back unchanged with the next turn:
#
# - its reasoning, where it is signed or encrypted, in the one member that the dialect names (`provider_data_field`);
# - members that the library does not know: Gemini's signature, for one, is in `extra_content`, of a message or of a
#   tool call, and the next turn is refused without it. Members of a reply that are known to mean nothing to the server
#   in a request, and that some servers refuse there, are in `_REPLY_MEMBERS`.
#
# A stream has such a member in one delta, or in many. `Member` keeps what has come, each value once if it is repeated,
# and puts it together at the end (`merged`): texts and lists are joined, objects member by member, and of other values
# the last counts. A member that is another in very many deltas belongs to the deltas, and not to the message.

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from llmclients.errors import APIResponseError

__all__ = ["CODEC_NAME", "KeptMembers", "kept_call_members", "kept_members", "merged"]

CODEC_NAME = "openai"
"""The codec's name, and so the key of `provider_data` under which a message or call has what is kept here."""

_UNKNOWN = "members"
"""The key of a message's members that the library does not know, among what is kept."""

_OPAQUE = ("signature", "data")
_TEXTS = ("text", "summary")
_MAX_VALUES = 100
"""Of a member in a stream; with more, it belongs to the deltas."""

_MAX_MEMBERS = 1_000
"""That are not known, in a message."""

_REPLY_MEMBERS = frozenset(
    {
        *("role", "content", "refusal", "name", "tool_calls", "function_call", "tool_call_id", "index", "prefix"),
        *("reasoning", "reasoning_content", "reasoning_details", "reasoning_text", "thinking", "thinking_content"),
        *("annotations", "audio", "images", "citations", "search_results", "executed_tools", "context", "parsed"),
        *("logprobs", "token_id", "token_ids", "stop_reason", "finish_reason", "obfuscation", "padding", "channel"),
    }
)
"""What a message of a reply has that is read, or that does not go back. Servers refuse many of them in a request."""


def kept_members(provider_data: Mapping[str, Any] | None, field: str | None, *, unknown: bool) -> dict[str, Any]:
    """The members of a message that go back with it.

    Args:
        provider_data: the message's; it may be another codec's.
        field: the dialect's `provider_data_field`.
        unknown: whether members that the library does not know go back.
    """
    kept = provider_data.get(CODEC_NAME) if provider_data else None
    if not isinstance(kept, dict):
        return {}
    members = kept.get(_UNKNOWN) if unknown else None
    found = {name: members[name] for name in members} if isinstance(members, dict) else {}
    return found | ({field: kept[field]} if field and field in kept else {})


def kept_call_members(provider_data: Mapping[str, Any] | None) -> dict[str, Any]:
    """The same of a tool call: all of them are members that the library does not know."""
    kept = provider_data.get(CODEC_NAME) if provider_data else None
    return dict(kept) if isinstance(kept, dict) else {}


class KeptMembers:
    """The members of an assistant message that are to go back, put together from its pieces.

    Args:
        field: a member of a message, or of a stream's deltas, that is a list. Its entries come whole, or in pieces with
            the same type and `index`. A member that is no list has none.
    """

    def __init__(self, field: str | None) -> None:
        self._field = field
        self._entries: list[Any] = []
        self._open: dict[Any, dict[str, Any]] = {}
        self._unknown: dict[str, list[Any]] = {}
        self._is_opaque = False
        self._kept: dict[str, Any] | None = None  # as it was last put together
        self._is_changed = False

    def add_message(self, message: Mapping[str, Any]) -> None:
        """Take the members of a whole message."""
        entries = self._listed(message)
        self._entries += entries
        for entry in entries:
            self._look_at(entry)
        self._add_unknown(message)

    def add_delta(self, delta: Mapping[str, Any]) -> None:
        """Take the pieces of members in a delta."""
        if self._field is not None:
            for piece in self._listed(delta):
                self._add_piece(piece)
        if not delta.keys() <= _REPLY_MEMBERS:
            self._add_unknown(delta)

    def provider_data(self) -> dict[str, Any] | None:
        """What an assistant message is to keep; None if its text and its calls say as much."""
        if self._is_changed:
            self._is_changed = False
            unknown = {name: merged(values) for name, values in self._unknown.items() if len(values) <= _MAX_VALUES}
            kept: dict[str, Any] = {self._field: self._entries} if self._field and self._is_opaque else {}
            if unknown:
                kept[_UNKNOWN] = unknown
            self._kept = {CODEC_NAME: kept} if kept else None
        return self._kept

    def _look_at(self, entry: Any) -> None:
        """Note what a new entry, or a piece of one, has."""
        self._is_changed = True
        self._is_opaque = self._is_opaque or (isinstance(entry, dict) and any(map(entry.get, _OPAQUE)))

    def _add_unknown(self, holder: Mapping[str, Any]) -> None:
        for name, value in holder.items():
            if name in _REPLY_MEMBERS or name == self._field or value is None:
                continue
            values = self._unknown.setdefault(name, [])
            if len(self._unknown) > _MAX_MEMBERS:
                raise APIResponseError(f"a message has more than {_MAX_MEMBERS:,} members that are not known")
            if not values or (len(values) <= _MAX_VALUES and values[-1] != value):
                values.append(value)
                self._is_changed = True

    def _listed(self, holder: Mapping[str, Any]) -> list[Any]:
        entries = holder.get(self._field) if self._field else None
        return entries if isinstance(entries, list) else []

    def _add_piece(self, piece: Any) -> None:
        self._look_at(piece)
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


def merged(values: Sequence[Any]) -> Any:
    """The values of one member, in the order in which they came, as one."""
    last = values[-1]
    if all(value == last for value in values):
        return last
    if isinstance(last, dict):
        objects = [value for value in values if isinstance(value, dict)]
        names = dict.fromkeys(name for value in objects for name in value)
        return {name: merged([value[name] for value in objects if name in value]) for name in names}
    if isinstance(last, list):
        return [entry for value in values if isinstance(value, list) for entry in value]
    if isinstance(last, str):
        return "".join(value for value in values if isinstance(value, str))
    return last
