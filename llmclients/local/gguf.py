"""Reads from the head of a GGUF file how many tokens its model was made for.

The format: ggml's documentation of GGUF, "File Structure". Numbers are little-endian; strings have their length before
them. A file may come from anywhere: nothing of what it says is believed to be there.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

__all__ = ["MAGIC", "context_length"]

MAGIC = b"GGUF"
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""By the type's number: how `struct` reads it."""
_STRING, _ARRAY = 8, 9
_MAX_KEY_BYTES = 65535


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
