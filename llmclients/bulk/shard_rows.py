"""The rows of a shard in a file: written by who reads the input, read by the worker that asks them."""

# A row may have what JSON has not (a type as `response_format`, a function as a tool), so it is pickled, one by one,
# that none of a shard has to be in memory as a whole. cloudpickle, which Dask brings and itself uses for tasks, takes
# what is defined in the caller's own program, too. The options of all rows are left out of each: the job has them.

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from llmclients.bulk.journal import sync_folder
from llmclients.bulk.row import Row

__all__ = ["ShardRow", "read_rows", "write_rows"]

ShardRow: TypeAlias = tuple[int, Row]
"""A row, and the line of the input that it stands in."""

_BLOCK = 1 << 20


def write_rows(path: str, rows: Iterable[ShardRow], options: Mapping[str, Any]) -> None:
    """Write a new file, and have it on the disk.

    Args:
        options: those of all rows, which are not written.

    Raises:
        ConfigurationError: a row has something that cannot leave this process.
        OSError: it cannot be written.
    """
    import cloudpickle

    from llmclients.errors import ConfigurationError

    with open(path, "wb", buffering=_BLOCK) as file:
        pickler = cloudpickle.Pickler(file)
        for line, row in rows:
            of_row = {name: value for name, value in row.options.items() if options.get(name, file) is not value}
            try:
                pickler.dump((line, tuple(row._replace(options=of_row))))
            except (TypeError, pickle.PicklingError) as error:
                raise ConfigurationError(
                    f"rows: what stands in line {line} cannot be given to a worker: {error}", argument="rows"
                ) from None
            pickler.clear_memo()
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path)


def read_rows(path: str, options: Mapping[str, Any]) -> Iterator[ShardRow]:
    """The rows of a file, with these options of all."""
    with open(path, "rb", buffering=_BLOCK) as file:
        while True:
            try:
                line, fields = pickle.load(file)  # each by itself: one `Unpickler` would not forget as the writer does
            except EOFError:
                return
            row = Row(*fields)
            yield line, row._replace(options={**options, **row.options} if row.options else options)
