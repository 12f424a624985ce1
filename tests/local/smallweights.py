"""Weights with three layers of the model's thirty and the first part of its vocabulary: cheap, and without sense.

Tokenizer, chat template, context size and the file's name are the model's own. So what a test wants of a *server* (its
start, its end, its slots, its wires, its limits, its key) comes out as with the whole model. What an answer says does
not, and texts come to more tokens. The root `conftest.py` has the fixtures that a test asks for.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import NamedTuple

# The format: ggml's documentation of GGUF, "File Structure". This file is one that we know: nothing of it is checked.

LAYERS = (0, 28, 29)  # with the last two, answers are words
WORDS = 4096  # of 49,152: an engine reads all of them when it starts, and scores each for each token of an answer
_UNMADE = 252  # marks and single bytes come first; each word after them is made by one merge, in the same order
_LENGTHS = {
    b"tokenizer.ggml.tokens": WORDS,
    b"tokenizer.ggml.token_type": WORDS,
    b"tokenizer.ggml.merges": WORDS - _UNMADE,
}
_NUMBERS = {b"llama.block_count": len(LAYERS), b"llama.vocab_size": WORDS}

_HEAD_BYTES = 1 << 22  # more than there is before the first tensor's data
_STRING, _ARRAY = 8, 9
_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""By the type's number: how many bytes a number or a bool takes."""
_ALIGNMENT = 32


class _Tensor(NamedTuple):
    """One tensor: its type's number, and where its data is in the data of the whole file."""

    name: bytes
    shape: tuple[int, ...]
    kind: int
    start: int
    size: int


def write_small_weights(whole: Path, folder: Path) -> Path:
    """Write the small part of these weights into a folder, under the same name: 10 MB. Returns the new file."""
    small = folder / whole.name
    with whole.open("rb") as source, small.open("wb") as target:
        head = source.read(_HEAD_BYTES)
        magic, version, tensors, entries = struct.unpack_from("<4sIQQ", head)
        metadata, position = _metadata(head, entries)
        found, position = _tensors(head, position, tensors, whole.stat().st_size)
        kept = [tensor for tensor in map(_small, found) if tensor is not None]
        target.write(struct.pack("<4sIQQ", magic, version, len(kept), entries) + metadata + _table(kept))
        for tensor in kept:
            target.seek(_aligned(target.tell()))
            source.seek(_aligned(position) + tensor.start)
            target.write(source.read(tensor.size))
    return small


def _metadata(head: bytes, entries: int) -> tuple[bytes, int]:
    """The small file's metadata, and where the whole file's end."""
    position, found = struct.calcsize("<4sIQQ"), b""
    for _ in range(entries):
        start = position
        key, position = _text(head, position)
        end = _value_end(head, position)
        if key in _NUMBERS:
            found += head[start : position + 4] + struct.pack("<I", _NUMBERS[key])
        elif key in _LENGTHS:
            some = _value_end(head, position, _LENGTHS[key])
            found += head[start : position + 8] + struct.pack("<Q", _LENGTHS[key]) + head[position + 16 : some]
        else:
            found += head[start:end]
        position = end
    return found, position


def _value_end(head: bytes, position: int, at_most: int | None = None) -> int:
    """Where the value ends whose type stands here; or this many items of an array."""
    count, (kind,) = 1, struct.unpack_from("<I", head, position)
    position += 4
    if kind == _ARRAY:
        kind, count = struct.unpack_from("<IQ", head, position)
        position += 12
    if at_most is not None:
        count = at_most
    if kind != _STRING:
        return position + count * _BYTES[kind]
    for _ in range(count):
        position += 8 + int.from_bytes(head[position : position + 8], "little")
    return position


def _tensors(head: bytes, position: int, count: int, file_size: int) -> tuple[list[_Tensor], int]:
    """What the table of tensors says, and where it ends. Their data stand in its order, to the end of the file."""
    found = []
    for _ in range(count):
        name, position = _text(head, position)
        (dimensions,) = struct.unpack_from("<I", head, position)
        *shape, kind, start = struct.unpack_from(f"<{dimensions}QIQ", head, position + 4)
        position += 4 + 8 * dimensions + 12
        found.append(_Tensor(name, tuple(shape), kind, start, 0))
    ends = [*(tensor.start for tensor in found[1:]), file_size - _aligned(position)]
    return [tensor._replace(size=end - tensor.start) for tensor, end in zip(found, ends, strict=True)], position


def _small(tensor: _Tensor) -> _Tensor | None:
    """The tensor as the small file has it; None if it has it not."""
    if tensor.name == b"token_embd.weight":  # a row for each word
        width, words = tensor.shape
        return tensor._replace(shape=(width, WORDS), size=tensor.size * WORDS // words)
    layer = re.fullmatch(rb"blk\.(\d+)\.(.*)", tensor.name)
    if layer is None:
        return tensor
    number = int(layer[1])
    return tensor._replace(name=b"blk.%d.%b" % (LAYERS.index(number), layer[2])) if number in LAYERS else None


def _table(tensors: list[_Tensor]) -> bytes:
    table, start = b"", 0
    for tensor in tensors:
        table += struct.pack("<Q", len(tensor.name)) + tensor.name + struct.pack("<I", len(tensor.shape))
        table += struct.pack(f"<{len(tensor.shape)}QIQ", *tensor.shape, tensor.kind, start)
        start = _aligned(start + tensor.size)
    return table


def _aligned(position: int) -> int:
    return -(-position // _ALIGNMENT) * _ALIGNMENT


def _text(head: bytes, position: int) -> tuple[bytes, int]:
    end = position + 8 + int.from_bytes(head[position : position + 8], "little")
    return head[position + 8 : end], end
