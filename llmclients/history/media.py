"""A message's parts in the history: JSON, with the bytes of images and files stored once for each hash."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from llmclients.types.content import MediaPart, Part, TextPart, as_part

__all__ = ["Blob", "load_part", "stored_parts", "write_blobs"]


class Blob(NamedTuple):
    """The bytes of an image, a sound or a file, and what they are, such as `image/png`."""

    media_type: str
    data: bytes


def stored_parts(parts: Sequence[Part]) -> tuple[list[dict[str, Any]], dict[str, Blob]]:
    """The parts as JSON has them, each with a hash in place of its bytes; and the bytes by hash."""
    found: list[dict[str, Any]] = []
    blobs: dict[str, Blob] = {}
    for part in parts:
        if isinstance(part, TextPart) or part.data is None:
            found.append(part.model_dump(mode="json", exclude_none=True))
            continue
        name = hashlib.sha256(part.data).hexdigest()
        blobs[name] = Blob(part.media_type or "application/octet-stream", part.data)
        fields = part.model_dump(mode="json", exclude_none=True, exclude={"data"})
        found.append({**fields, "blob": name, "bytes": len(part.data)})
    return found, blobs


def write_blobs(connection: sqlite3.Connection, turn: int, blobs: Mapping[str, Blob]) -> None:
    """Store the bytes that are not stored yet, and that the turn has them."""
    for name, blob in blobs.items():
        connection.execute("INSERT OR IGNORE INTO blob (hash, media_type, data) VALUES (?, ?, ?)", (name, *blob))
        connection.execute("INSERT INTO turn_blob (turn, hash) VALUES (?, ?)", (turn, name))


def load_part(stored: Mapping[str, Any], blob: Callable[[str], Blob]) -> Part:
    """The part again, with its bytes."""
    fields = {name: value for name, value in stored.items() if name not in ("blob", "bytes")}
    if "blob" in stored:
        fields["data"] = blob(stored["blob"]).data
    part: TextPart | MediaPart = as_part(fields)
    return part  # type: ignore[return-value]  # of the four kinds, as each came from one
