"""`Sharder`: makes shards of the rows of a run that are to be asked: files for the workers of a cluster."""

# The input is read once, in its order, by the thread that the run has at the caller's: who knows of all rows which ids
# have come, and which rows are done. A shard is as many rows as keep a worker busy for some rounds of `concurrency`, or
# fewer where they are long; one shard at a time is in memory.

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import wait
from typing import Any

from llmclients.bulk.shard_rows import ShardRow, write_rows
from llmclients.bulk.shards import ShardFolder
from llmclients.bulk.sorter import Sorter
from llmclients.types.messages import Message

__all__ = ["Sharder"]

_ROUNDS = 5
_FEWEST = 200
_CHARACTERS = 8 << 20
_LOOK = 0.2  # seconds


class Sharder:
    """Reads the input.

    Args:
        sorter: says which rows are to be asked.
        folder: where the shards go.
        run: their run's name.
        concurrency: how many rows a worker asks at a time.
        options: of all rows.
        loop: of a caller whose rows are awaited.
        is_over: whether no more rows are wanted.

    Attributes:
        exhausted: whether there are no more rows.
    """

    def __init__(
        self,
        sorter: Sorter,
        folder: ShardFolder,
        run: str,
        *,
        concurrency: int,
        options: Mapping[str, Any],
        loop: asyncio.AbstractEventLoop | None,
        is_over: Callable[[], bool],
    ) -> None:
        self._sorter = sorter
        self._folder = folder
        self._run = run
        self._rows = max(concurrency * _ROUNDS, _FEWEST)
        self._options = options
        self._is_over = is_over
        self._made = 0
        self.exhausted = False
        rows: Any = sorter.source.rows
        self._items = rows if isinstance(rows, Iterator) else self._awaited(rows, loop)

    def make(self) -> tuple[int, int] | None:
        """Read as many rows as make a shard, and write it: its number, and how many rows it has. None: none was left.

        Raises:
            ConfigurationError: as of `Sorter.to_ask`.
            OSError: the input cannot be read, or the shard not written.
        """
        rows: list[ShardRow] = []
        size = 0
        while len(rows) < self._rows and size < _CHARACTERS and not self._is_over():
            found = self._next()
            if found is None:
                break
            rows.append(found)
            size += sum(_length(message) for message in found[1].messages)
        if not rows:
            return None
        shard, self._made = self._made, self._made + 1
        write_rows(self._folder.rows(self._run, shard), rows, self._options)
        return shard, len(rows)

    def _next(self) -> ShardRow | None:
        """The next row that is to be asked."""
        source = self._sorter.source
        while not self._is_over():
            item = next(self._items, None)
            if item is None:
                self.exhausted = not self._is_over()
                return None
            number, source.taken = source.taken, source.taken + 1
            row = self._sorter.to_ask((number, *item))
            if row is not None:
                return item[0], row
        return None

    def _awaited(self, rows: AsyncIterator[Any], loop: asyncio.AbstractEventLoop | None) -> Iterator[tuple[int, Any]]:
        """Rows of the caller's event loop, which is another thread's."""
        assert loop is not None
        line = 0
        while True:
            coming = asyncio.run_coroutine_threadsafe(_one(rows), loop)
            while not wait([coming], _LOOK).done:
                if self._is_over():
                    coming.cancel()
                    return
            found = coming.result()
            if not found:
                return
            line += 1
            yield line, found[0]


async def _one(rows: AsyncIterator[Any]) -> tuple[Any, ...]:
    """A row; nothing at the end: `StopAsyncIteration` does not go through a future."""
    async for row in rows:
        return (row,)
    return ()


def _length(message: Message) -> int:
    """About how long a message is, in characters or bytes."""
    content = message.content
    if isinstance(content, str):
        return len(content)
    return sum(len(getattr(part, "data", None) or getattr(part, "text", None) or "") for part in content or ())
