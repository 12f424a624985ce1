"""The output of a run, JSON lines or Parquet: made of the journal at the end, in the order of the input."""

# The output is not appended to while the run goes on: a row that is asked again would have two lines, and Parquet has
# no torn tail to heal. It is written beside its place, synced, and renamed: so it is there whole, or as it was before,
# whatever happens meanwhile, and to write it again is no harm. A line is what the journal has of the row, byte by byte.

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from llmclients.bulk.inputs import load_pyarrow, suffix_of
from llmclients.bulk.journal import sync_folder

__all__ = ["write_output"]

_BLOCK = 1 << 20
_GROUP_ROWS = 10_000
_GROUP_BYTES = 16 << 20  # of JSON
_COUNTS = (
    *("input_tokens", "output_tokens", "total_tokens", "reasoning_tokens", "cached_tokens", "cache_write_tokens"),
)


def write_output(path: str, rows: Iterable[bytes]) -> None:
    """Write the rows, each the JSON of its record, in place of what is there.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    write = _write_parquet if suffix_of(path, "out") == ".parquet" else _write_lines
    beside = f"{path}.part"
    try:
        write(beside, rows)
        with open(beside, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
        sync_folder(path)
    except BaseException:
        with suppress(OSError):
            Path(beside).unlink()
        raise


def _write_lines(path: str, rows: Iterable[bytes]) -> None:
    with open(path, "wb", buffering=_BLOCK) as file:
        for row in rows:
            file.write(row)
            file.write(b"\n")


def _write_parquet(path: str, rows: Iterable[bytes]) -> None:
    parquet = load_pyarrow("out")
    pyarrow = importlib.import_module("pyarrow")
    schema = _schema(pyarrow)
    with parquet.ParquetWriter(path, schema) as writer:
        for group in _groups(rows):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def _schema(pyarrow: Any) -> Any:
    text, whole = pyarrow.string(), pyarrow.int64()
    return pyarrow.schema(
        {
            "id": text,
            "text": text,
            "parsed": text,
            "tool_calls": text,
            "usage": pyarrow.struct(dict.fromkeys(_COUNTS, whole)),
            "finish_reason": text,
            "error": pyarrow.struct({"type": text, "message": text}),
            "attempts": whole,
            "seconds": pyarrow.float64(),
            "row": text,
            "other_texts": pyarrow.list_(text),
        }
    )


def _groups(rows: Iterable[bytes]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(_as_parquet(json.loads(row)))
        size += len(row)
        if len(group) >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


def _as_parquet(row: dict[str, Any]) -> dict[str, Any]:
    """What has no fixed type, as JSON."""
    id, parsed, columns = row["id"], row["parsed"], row.get("row")
    return {
        **row,
        "id": id if id is None else str(id),
        "parsed": None if parsed is None else json.dumps(parsed, ensure_ascii=False),
        "tool_calls": json.dumps(row["tool_calls"], ensure_ascii=False),
        "row": None if columns is None else json.dumps(columns),  # it may have half a character
    }
