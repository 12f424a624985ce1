"""Weights with three layers of the model's thirty: they answer at a tenth of the cost, and make no sense.

Vocabulary, chat template, context size and the file's name are the model's own. So what a test wants of a *server* (its
start, its end, its slots, its wires, its limits, its key) comes out as with the whole model; what an answer says does
not. The root `conftest.py` has the fixtures that a test asks for.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

# The format: ggml's documentation of GGUF, "File Structure". This file is one that we know: nothing of it is checked.
_LAYERS = (0, 28, 29)  # with the last two, answers are words
_HEAD_BYTES = 1 << 22  # more than the head of our file, vocabulary included
_STRING, _ARRAY = 8, 9
_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""By the type's number: how many bytes a number or a bool takes."""
_ALIGNMENT = 32


def write_small_weights(whole: Path, folder: Path, layers: tuple[int, ...] = _LAYERS) -> Path:
    """Write these layers, and what is in none, into a folder, under the same name: 38 MB. Returns the new file."""
    small = folder / whole.name
    with whole.open("rb") as source, small.open("wb") as target:
        head = source.read(_HEAD_BYTES)
        magic, version, tensors, entries = struct.unpack_from("<4sIQQ", head)
        metadata, position = _metadata(head, entries, len(layers))
        infos = []
        for _ in range(tensors):
            name, shape, offset, position = _tensor_info(head, position)
            infos.append((_renumbered(name, layers), shape, offset))
        data = _aligned(position)
        starts = [offset for _, _, offset in infos]  # they ascend
        sizes = [end - start for start, end in zip(starts, [*starts[1:], whole.stat().st_size - data], strict=True)]
        kept = [(*info, size) for info, size in zip(infos, sizes, strict=True) if info[0]]

        table, end = b"", 0
        for name, shape, _, size in kept:
            table += _text(name) + shape + struct.pack("<Q", end)
            end += size
        target.write(struct.pack("<4sIQQ", magic, version, len(kept), entries) + metadata + table)
        target.seek(_aligned(target.tell()))
        for _, _, offset, size in kept:
            source.seek(data + offset)
            target.write(source.read(size))
    return small


def _metadata(head: bytes, entries: int, layers: int) -> tuple[bytes, int]:
    """The metadata's bytes, with another number of layers, and where they end."""
    position = start = struct.calcsize("<4sIQQ")
    changed = b""
    for _ in range(entries):
        key, position = _read_text(head, position)
        if key.endswith(b".block_count"):
            changed = head[start : position + 4] + struct.pack("<I", layers)
            start = position + 8
        position = _behind(head, position)
    return changed + head[start:position], position


def _behind(head: bytes, position: int) -> int:
    """Where a value ends whose type stands here."""
    count, (kind,) = 1, struct.unpack_from("<I", head, position)
    position += 4
    if kind == _ARRAY:
        kind, count = struct.unpack_from("<IQ", head, position)
        position += 12
    if kind != _STRING:
        return position + count * _BYTES[kind]
    for _ in range(count):
        position += 8 + int.from_bytes(head[position : position + 8], "little")
    return position


def _tensor_info(head: bytes, position: int) -> tuple[bytes, bytes, int, int]:
    """Its name, its dimensions and type as they stand there, where its data begins, and where the next one stands."""
    name, position = _read_text(head, position)
    (dimensions,) = struct.unpack_from("<I", head, position)
    end = position + 4 + 8 * dimensions + 4
    return name, head[position:end], int.from_bytes(head[end : end + 8], "little"), end + 8


def _renumbered(name: bytes, layers: tuple[int, ...]) -> bytes:
    """A tensor's name among these layers; empty if it is in none of them."""
    match = re.fullmatch(rb"blk\.(\d+)\.(.*)", name)
    if match is None:
        return name
    return b"blk.%d.%b" % (layers.index(int(match[1])), match[2]) if int(match[1]) in layers else b""


def _aligned(position: int) -> int:
    return -(-position // _ALIGNMENT) * _ALIGNMENT


def _text(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _read_text(head: bytes, position: int) -> tuple[bytes, int]:
    end = position + 8 + int.from_bytes(head[position : position + 8], "little")
    return head[position + 8 : end], end
