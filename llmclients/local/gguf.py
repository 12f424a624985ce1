"""Reads from the head of a GGUF file how many tokens its model was made for, and its chat template.

The format: ggml's documentation of GGUF, "File Structure". Numbers are little-endian; strings have their length before
them. A file may come from anywhere: nothing of what it says is believed to be there.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["MAGIC", "context_length", "text_value"]

MAGIC = b"GGUF"
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""By the type's number: how `struct` reads it."""
_STRING, _ARRAY = 8, 9
_MAX_KEY_BYTES = 65535
_MAX_HEAD_BYTES = 64 * 1024 * 1024
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
    with path.open("rb") as stream:
        try:
            with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as head:
                entry = _text_entry(key)
                found = head.find(entry, 0, _MAX_HEAD_BYTES)
                if found < 0:
                    return None
                start = found + len(entry) + 8
                (size,) = struct.unpack("<Q", head[start - 8 : start])
                text = head[start : start + size]
        except (struct.error, ValueError, OverflowError):  # ValueError: the file is empty
            return None
    return text.decode("utf-8", "replace") if len(text) == size else None


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
