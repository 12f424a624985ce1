"""`Source`: the rows of a run one by one, from a file of JSON lines, CSV or Parquet, or from any iterable."""

# A file is read as the rows are taken, never whole. A line that cannot be read is a row, too: an `Unreadable` one, so
# that it has a line in the output that says why. What a table has is read as it is: a cell of a CSV is text, and an
# empty one is none.

from __future__ import annotations

import csv
import hashlib
import importlib
import json
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from pydantic_core import from_json

from llmclients.bulk.data_frames import refuse_data_frame
from llmclients.errors import ConfigurationError
from llmclients.types.messages import Message

__all__ = ["Source", "Unreadable", "load_pyarrow", "open_source", "suffix_of"]

_BLOCK = 1 << 20
_LONGEST_CELL = 64 << 20
_BATCH = 256  # rows of a Parquet file in memory
_FORMATS = (".jsonl", ".ndjson", ".csv", ".parquet")


class Unreadable(NamedTuple):
    """In the place of a row that cannot be read."""

    reason: str


class Source:
    """Rows, each with the line that it stands in, from 1.

    Args:
        rows: the rows; of an iterable that is awaited, awaited.
        total: how many there are, where that is known.
        columns: of a table, their names.
        fingerprint: what tells whether it is the same input; None of an iterable.
        file: what they are read from, to be closed; its position says how far it is.
        size: of that file, in bytes.

    Attributes:
        unit: `line` of a file of lines, else `row`.
        taken: how many were taken.
    """

    def __init__(
        self,
        rows: Iterator[tuple[int, Any]] | AsyncIterator[Any],
        *,
        total: int | None = None,
        columns: tuple[str, ...] | None = None,
        fingerprint: Mapping[str, Any] | None = None,
        file: Any = None,
        size: int = 0,
        unit: str = "row",
    ) -> None:
        self.rows = rows
        self.total = total
        self.columns = columns
        self.fingerprint = fingerprint
        self.unit = unit
        self.taken = 0
        self._file = file
        self._size = size

    def share(self) -> float | None:
        """How much of it was taken, from 0 to 1; None where nobody can know."""
        if self.total is not None:
            return self.taken / self.total if self.total else 1.0
        return min(self._file.tell() / self._size, 1.0) if self._size else None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def open_source(rows: Any, *, awaited: bool) -> Source:
    """The rows of a path or of an iterable; with `awaited`, of an asynchronous one, too.

    Raises:
        ConfigurationError: it is neither, or the file cannot be read.
    """
    if isinstance(rows, str | os.PathLike):
        return _open_file(Path(rows))
    if isinstance(rows, bytes | Mapping | Message):
        raise ConfigurationError(f"rows must be many, or a file's path, not one {type(rows).__name__}", argument="rows")
    refuse_data_frame(rows, "rows")
    if isinstance(rows, Iterable):
        many: Any = rows
        return Source(enumerate(many, 1), total=len(many) if hasattr(many, "__len__") else None)
    if isinstance(rows, AsyncIterable):
        if awaited:
            return Source(aiter(rows))
        raise ConfigurationError("rows is an asynchronous iterable: AsyncClient takes those", argument="rows")
    raise ConfigurationError(
        f"rows must be a file's path or an iterable of rows, not {type(rows).__name__}", argument="rows"
    )


def suffix_of(path: str | os.PathLike[str], argument: str) -> str:
    """A path's ending, of those that have a format.

    Raises:
        ConfigurationError: it has another one.
    """
    suffix = Path(path).suffix.lower()
    formats = _FORMATS if argument == "rows" else (".jsonl", ".ndjson", ".parquet")
    if suffix not in formats:
        raise ConfigurationError(f"{argument}: {str(path)!r} must end in {' or '.join(formats)}", argument=argument)
    return suffix


def _open_file(path: Path) -> Source:
    suffix = suffix_of(path, "rows")
    try:
        fingerprint = _fingerprint(path)
        if suffix == ".parquet":
            return _parquet(path, fingerprint)
        if suffix == ".csv":
            return _csv(path, fingerprint)
        file = path.open("rb", buffering=_BLOCK)
    except OSError as error:
        raise ConfigurationError(f"rows: {str(path)!r} cannot be read: {error.strerror}", argument="rows") from None
    return Source(_json_lines(file), fingerprint=fingerprint, file=file, size=fingerprint["bytes"], unit="line")


def _fingerprint(path: Path) -> dict[str, Any]:
    digest, size = hashlib.blake2b(digest_size=16), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return {"bytes": size, "blake2b": digest.hexdigest()}


def _json_lines(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(file, 1):
        if line.isspace():
            continue
        try:
            row = from_json(line, cache_strings="keys")
        except ValueError:
            row = _read_slowly(line)
        yield number, row


def _read_slowly(line: bytes) -> Any:
    """A line that the quick parser has refused: it may have half a character, or be no JSON."""
    try:
        return json.loads(line)
    except RecursionError:
        return Unreadable("its JSON is nested too deeply")
    except ValueError as error:  # of its text, too
        return Unreadable(f"no JSON: {error}")


def _csv(path: Path, fingerprint: Mapping[str, Any]) -> Source:
    raw = path.open("rb", buffering=_BLOCK)
    try:
        lines = _text_lines(raw)
        reader = csv.reader(lines, strict=True)
        try:
            names = next(reader, None)
        except csv.Error as error:
            raise ConfigurationError(f"rows: {str(path)!r} is no CSV: {error}", argument="rows") from None
        if not names or len(set(names)) != len(names):
            raise ConfigurationError(
                f"rows: the first line of {str(path)!r} must be the names of its columns, each once", argument="rows"
            )
    except BaseException:
        raw.close()
        raise
    return Source(
        _cells(reader, names), columns=tuple(names), fingerprint=fingerprint, file=raw, size=fingerprint["bytes"],
        unit="line",
    )  # fmt: skip


def _text_lines(file: IO[bytes]) -> Iterator[str]:
    """Lines as text. Bytes that are no UTF-8 become half characters, by which `_cells` knows them."""
    for index, line in enumerate(file):
        text = line.decode("utf-8", "surrogateescape")
        yield text.removeprefix("\ufeff") if index == 0 else text


def _cells(reader: Any, names: list[str]) -> Iterator[tuple[int, Any]]:
    while True:
        begin = reader.line_num + 1
        limit = csv.field_size_limit(_LONGEST_CELL)  # which is the whole process's
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield begin, Unreadable(f"no CSV: {error}")
            continue
        finally:
            csv.field_size_limit(limit)
        if not cells:
            continue
        if len(cells) != len(names):
            yield begin, Unreadable(f"{len(cells)} cells, but {len(names)} columns")
        elif any(not cell.isascii() and _has_halves(cell) for cell in cells):
            yield begin, Unreadable("its text is no UTF-8")
        else:
            yield begin, {name: cell or None for name, cell in zip(names, cells, strict=True)}


def _has_halves(text: str) -> bool:
    with suppress(UnicodeEncodeError):
        text.encode()
        return False
    return True


def load_pyarrow(argument: str) -> Any:
    """pyarrow's module for Parquet.

    Raises:
        ConfigurationError: it is not installed.
    """
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ConfigurationError('Parquet needs: pip install "llmclients[parquet]"', argument=argument) from None


def _parquet(path: Path, fingerprint: Mapping[str, Any]) -> Source:
    parquet = load_pyarrow("rows")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"rows: {str(path)!r} is no Parquet: {error}", argument="rows") from None
    rows = (row for batch in file.iter_batches(_BATCH) for row in batch.to_pylist())
    return Source(
        enumerate(rows, 1), total=file.metadata.num_rows, columns=tuple(file.schema_arrow.names),
        fingerprint=fingerprint, file=file,
    )  # fmt: skip
