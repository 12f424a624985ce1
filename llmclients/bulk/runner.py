"""`Runner`: asks the rows of one input that are not answered yet, so many at a time, each into the journal."""

# One event loop, whose thread reads the input, asks, and writes the journal; what waits for the disk, `sync`, has a
# thread of its own. The tasks are `map`'s (`AsyncWork`): each takes a row, deals with it, and takes the next one.
#
#     taken ──to be asked (`Sorter`)──► asked ──► its record ──► the journal ──► safe, at the next `sync`
#
# A run ends when all rows are dealt with; or it drains, after `drain`: no row is taken any more, and those under way
# come to their end; or it breaks off, after `cancel`, or an error: those under way are given up, and are asked again by
# the next run. A kill is the same as the last. What is in the journal stays in either case.
#
# A key that is rejected is an error of the run, not of its rows, as all would have it: at once if no row of the run was
# answered yet; later, when many in a row have it, since single ones come from servers that are not well.
#
# A runner knows nothing of outputs, signals and clients. It is what one process does with one shard: many of them may
# run side by side, each with a source, a journal and an index, and share limits by their `Asker`s.

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from llmclients.bulk.asking import Asker
from llmclients.bulk.async_map import AsyncMapResults, AsyncWork
from llmclients.bulk.record import answer_record, error_record
from llmclients.bulk.rows import Rows
from llmclients.bulk.sorter import Item, Sorter
from llmclients.errors import AuthenticationError, ConfigurationError, LLMClientError
from llmclients.types.usage import Usage

__all__ = ["Runner"]

_SYNC_SECONDS = 0.5
_BREATH = 256  # rows that need no wait, after which the others have their turn
_REJECTED = 20  # rows one after the other, of a key that was good


class Runner:
    """One run over one input.

    Args:
        sorter: says which of its rows are to be asked.
        asker: asks them.
        concurrency: how many rows are asked at a time.

    Attributes:
        drained: whether no row is taken any more.
        exhausted: whether all rows were taken.
    """

    def __init__(self, sorter: Sorter, asker: Asker, *, concurrency: int) -> None:
        self.stats = sorter.stats
        self.source = sorter.source
        self.drained = self.exhausted = False
        self._sorter = sorter
        self._asker = asker
        self._journal = sorter.journal
        self._concurrency = concurrency
        self._broken: BaseException | None = None
        self._rejected, self._rejections_allowed = 0, 0
        self._idle = 0
        self._draining: asyncio.Future[None] | None = None
        self._results: AsyncMapResults | None = None

    @property
    def safe(self) -> int:
        """The rows that are finished and on the disk."""
        return self._sorter.safe

    @property
    def under_way(self) -> int:
        """The rows that were taken, and are not finished."""
        return self.source.taken - self.stats.kept - self.stats.finished

    async def run(self) -> None:
        """Deal with all rows.

        Raises:
            ConfigurationError: a row is another one than in the journal; or, with `strict`, it cannot be asked.
            AuthenticationError: the key is rejected.
            OSError: the journal cannot be written.
        """
        self._draining = asyncio.get_running_loop().create_future()
        work = AsyncWork(self._items(), Rows(self._concurrency, True, None), self._deal_with, self._concurrency)
        results = self._results = AsyncMapResults(work)
        disk = ThreadPoolExecutor(1, "llmclients journal")
        syncing = asyncio.create_task(self._sync_now_and_then(disk))
        try:
            async for result in results:
                if result.error is not None:
                    raise result.error
        finally:
            await results.close()
            syncing.cancel()
            with suppress(asyncio.CancelledError):
                await syncing
            await asyncio.get_running_loop().run_in_executor(disk, self._journal.sync)
            disk.shutdown(wait=False)

    def drain(self) -> None:
        """Take no more rows; `run` returns when those under way are done."""
        self.drained = True
        if self._draining is not None and not self._draining.done():
            self._draining.set_result(None)

    async def cancel(self) -> None:
        """Give up those under way."""
        self.drained = True
        if self._results is not None:
            await self._results.close()

    def _items(self) -> Iterator[Item] | AsyncIterator[Item]:
        rows = self.source.rows
        return self._sync_items(rows) if isinstance(rows, Iterator) else self._async_items(rows)

    def _sync_items(self, rows: Iterator[tuple[int, Any]]) -> Iterator[Item]:
        source = self.source
        while not self.drained:
            try:
                line, raw = next(rows)
            except StopIteration:
                self.exhausted = True
                return
            number, source.taken = source.taken, source.taken + 1
            yield number, line, raw

    async def _async_items(self, rows: AsyncIterator[Any]) -> AsyncIterator[Item]:
        source, draining = self.source, self._draining
        assert draining is not None
        while not self.drained:
            coming = asyncio.ensure_future(anext(rows))
            try:
                await asyncio.wait({coming, draining}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    return
                raw = coming.result()
            except StopAsyncIteration:
                self.exhausted = True
                return
            finally:
                coming.cancel()
            number, source.taken = source.taken, source.taken + 1
            yield number, number + 1, raw

    async def _deal_with(self, item: Item) -> Any:
        """All that is to be done with a row. What is raised ends the run."""
        if self._broken is not None:
            raise self._broken
        sorter = self._sorter
        row = sorter.to_ask(item)
        if row is None:
            return await self._breathe()
        response, error, attempts, seconds = await self._asker.ask(row)
        if isinstance(error, AuthenticationError):
            self._rejected += 1
            if self._rejected > self._rejections_allowed:
                self._broken = error
                raise error
        else:
            self._rejected = 0
        if error is None:
            assert response is not None
            self._rejections_allowed = _REJECTED
            sorter.write(row, False, answer_record(row.id, response, attempts, seconds, row.columns))
            self.stats.add(sorter.clock(), seconds, attempts, response.usage)
            return None
        if not attempts:
            error = self._located(item[1], error)
            if sorter.strict:
                raise error
        sorter.write(row, True, error_record(row.id, error, attempts, seconds, row.columns))
        self.stats.add(sorter.clock(), seconds, attempts, _usage(error), type(error).__name__)
        return None if attempts else await self._breathe()

    async def _breathe(self) -> None:
        """Let the others have their turn, now and then: this row did not wait for anything."""
        self._idle += 1
        if self._idle % _BREATH == 0:
            await asyncio.sleep(0)

    def _located(self, line: int, error: LLMClientError) -> LLMClientError:
        """The error of a row that cannot be sent, with where it stands."""
        if not isinstance(error, ConfigurationError):
            return error
        return type(error)(f"{self.source.unit} {line}: {error}", argument=error.argument)

    async def _sync_now_and_then(self, disk: ThreadPoolExecutor) -> None:
        loop, journal = asyncio.get_running_loop(), self._journal
        while True:
            await asyncio.sleep(_SYNC_SECONDS)
            if journal.written == journal.synced:
                continue
            try:
                await loop.run_in_executor(disk, journal.sync)
            except OSError as error:
                self._broken = error
                return


def _usage(error: LLMClientError) -> Usage | None:
    usage = getattr(getattr(error, "partial", None), "usage", None)
    return usage if isinstance(usage, Usage) else None
