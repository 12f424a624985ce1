"""What a server of chat completions wants back with the next turn as it sent it: signed or encrypted reasoning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmclients.codecs.base import StreamDecoder
from llmclients.types.response import Chunk

__all__ = ["EchoDecoder", "echoed", "entries_of"]

_OPAQUE = ("signature", "data")
_TEXTS = ("text", "summary")


def echoed(member: str, entries: list[Any]) -> dict[str, Any] | None:
    """What an assistant message is to keep of these entries; None if its text and its calls say as much."""
    if any(isinstance(entry, dict) and any(map(entry.get, _OPAQUE)) for entry in entries):
        return {member: entries}
    return None


def entries_of(payload: Any, where: str, member: str) -> list[Any]:
    """The entries of a member in the message, or the delta, of the first choice; of another type, it has none."""
    for choice in payload.get("choices") or () if isinstance(payload, Mapping) else ():
        if not choice.get("index"):
            holder = choice.get(where)
            found = holder.get(member) if isinstance(holder, dict) else None
            return found if isinstance(found, list) else []
    return []


class EchoDecoder:
    """A stream's decoder that also gathers a member of its deltas, for `Chunk.provider_data`.

    Args:
        inner: what decodes the stream.
        codec: the name under which the member is kept.
        member: a list in deltas whose entries come whole, or in pieces with the same type and `index`.
    """

    def __init__(self, inner: StreamDecoder, codec: str, member: str) -> None:
        self.done = False
        self._inner = inner
        self._codec = codec
        self._member = member
        self._entries: list[Any] = []
        self._open: dict[Any, dict[str, Any]] = {}
        self._finished = False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        return self._with_echo(self._inner.feed(data))

    def finish(self) -> Iterator[Chunk]:
        return self._with_echo(self._inner.finish())

    def _with_echo(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            for piece in entries_of(chunk.raw, "delta", self._member):
                self._take(piece)
            self._entries += entries_of(chunk.raw, "message", self._member)  # a reply where a stream was asked for
            self._finished = self._finished or chunk.finish_reason is not None
            if self._finished and (kept := echoed(self._member, self._entries)):
                yield chunk.model_copy(update={"provider_data": {self._codec: kept}})
            else:
                yield chunk
        self.done = self._inner.done

    def _take(self, piece: Any) -> None:
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
