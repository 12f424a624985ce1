"""Reads from the head of a GGUF file how many tokens its model was made for, and its chat template.

The format: ggml's documentation of GGUF, "File Structure". Numbers are little-endian; strings have their length before
them. A file may come from anywhere: nothing of what it says is believed to be there.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["MAGIC", "context_length", "text_value"]

MAGIC = b"GGUF"
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""By the type's number: how `struct` reads it."""
_STRING, _ARRAY = 8, 9
_MAX_KEY_BYTES = 65535
_PIECE_BYTES = 64 * 1024
_MAX_HEAD_BYTES = 1024 * _PIECE_BYTES
"""Where a key is looked for. Vocabularies take up to 20 MB of the head."""


def context_length(path: Path) -> int | None:
    """The most tokens of a prompt and its answer together; None if the file does not say it, or is damaged.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        try:
            magic, _, _, entries = struct.unpack("<4sIQQ", stream.read(24))
            for _ in range(entries if magic == MAGIC else 0):
                key = stream.read(min(_number(stream, "Q"), _MAX_KEY_BYTES))
                kind = _number(stream, "I")
                if key.endswith(b".context_length") and kind in _NUMBERS:
                    return int(_number(stream, _NUMBERS[kind]))
                _skip(stream, kind)
        except (struct.error, KeyError, OverflowError, ValueError):
            pass
    return None


def text_value(path: Path, key: str) -> str | None:
    """The text that the file has under a key; None if it has none, or is damaged.

    The key is searched for, not walked to: that would read a hundred thousand words of the vocabulary, one by one. It
    has its length before it and its type behind it, so that nothing else looks like it.

    Raises:
        OSError: it cannot be read.
    """
    entry = _text_entry(key)
    with path.open("rb") as stream:
        start = _find(stream, entry)
        if start is None:
            return None
        stream.seek(start + len(entry))
        try:
            size = _number(stream, "Q")
            text = stream.read(size) if size <= _MAX_HEAD_BYTES else b""
        except struct.error:
            return None
    return text.decode("utf-8", "replace") if len(text) == size else None


def _find(stream: BinaryIO, entry: bytes) -> int | None:
    """Where the head has these bytes first. Read piece by piece: mapped, all of it would count as memory in use."""
    before = b""  # of the last piece: the bytes may be in both
    for start in range(0, _MAX_HEAD_BYTES, _PIECE_BYTES):
        piece = stream.read(_PIECE_BYTES)
        found = (before + piece).find(entry)
        if found >= 0:
            return start - len(before) + found
        if len(piece) < _PIECE_BYTES:
            break
        before = piece[1 - len(entry) :]
    return None


def _text_entry(key: str) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", _STRING)


def _number(stream: BinaryIO, code: str) -> int:
    number: int
    (number,) = struct.unpack(f"<{code}", stream.read(struct.calcsize(f"<{code}")))
    return number


def _skip(stream: BinaryIO, kind: int) -> None:
    """Go past a value. An array of arrays is none that a model has: KeyError."""
    count = 1
    if kind == _ARRAY:
        kind, count = _number(stream, "I"), _number(stream, "Q")
    if kind == _STRING:
        for _ in range(count):
            stream.seek(_number(stream, "Q"), 1)
    else:
        stream.seek(count * struct.calcsize(f"<{_NUMBERS[kind]}"), 1)
