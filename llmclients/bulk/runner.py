"""`Runner`: asks the rows of one input that are not answered yet, so many at a time, each into the journal."""

# One event loop, whose thread reads the input, asks, and writes the journal; what waits for the disk, `sync`, has a
# thread of its own. The tasks are `map`'s (`AsyncWork`): each takes a row, deals with it, and takes the next one.
#
#     taken ──bad─────────────────────────────► an error's record ─┐
#       ├──in the journal, as it was──► kept                       ├──► the journal ──► safe, at the next `sync`
#       ├──in another journal (a cache)───────► its answer's record┤
#       └──else──► asked ─────────────────────► its record ────────┘
#
# A run ends when all rows are dealt with; or it drains, after `drain`: no row is taken any more, and those under way
# come to their end; or it breaks off, after `cancel`, or an error: those under way are given up, and are asked again by
# the next run. A kill is the same as the last. What is in the journal stays in either case.
#
# A runner knows nothing of outputs, signals and clients. It is what one process does with one shard: many of them may
# run side by side, each with a source, a journal and an index of its own, and share limits by their `Asker`s.

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from llmclients.bulk.asking import Asker
from llmclients.bulk.async_map import AsyncMapResults, AsyncWork
from llmclients.bulk.index import Index
from llmclients.bulk.inputs import Source
from llmclients.bulk.journal import Journal, Record
from llmclients.bulk.record import answer_record, cached_record, error_record
from llmclients.bulk.row import BadRow, Row, RowReader
from llmclients.bulk.rows import Rows
from llmclients.bulk.stats import Stats
from llmclients.errors import ConfigurationError, LLMClientError
from llmclients.types.usage import Usage

__all__ = ["Runner"]

_SYNC_SECONDS = 0.5
_BREATH = 256  # rows that need no wait, after which the others have their turn

Item = tuple[int, int, Any]
"""A row's number, its line, and the row."""


class Runner:
    """One run over one input.

    Args:
        source: the rows.
        reader: says what each asks for.
        asker: asks them.
        journal: has what is done, and gets what will be.
        index: of that journal, and of the caches.
        caches: read the answers of other journals, by the numbers that the index has for them.
        concurrency: how many rows are asked at a time.
        retry_failed: whether rows whose record is an error are asked again.
        strict: whether a row that cannot be asked ends the run.
        clock: seconds since the run began.
    """

    def __init__(
        self,
        source: Source,
        reader: RowReader,
        asker: Asker,
        journal: Journal,
        index: Index,
        *,
        caches: Sequence[Callable[[int, int], bytes]],
        concurrency: int,
        retry_failed: bool,
        strict: bool,
        clock: Callable[[], float],
    ) -> None:
        self.stats = Stats()
        self.source = source
        self.drained = False
        self._reader = reader
        self._asker = asker
        self._journal = journal
        self._index = index
        self._caches = caches
        self._concurrency = concurrency
        self._retry_failed = retry_failed
        self._strict = strict
        self._clock = clock
        self._broken: BaseException | None = None
        self._idle = 0
        self._draining: asyncio.Future[None] | None = None
        self._results: AsyncMapResults | None = None

    @property
    def safe(self) -> int:
        """The rows that are finished and on the disk."""
        return self.stats.kept + self._journal.synced

    async def run(self) -> None:
        """Deal with all rows.

        Raises:
            ConfigurationError: the input is another one than the journal's; or, with `strict`, a row cannot be asked.
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
            if not self.drained and self._index.kept and self._index.count(begin=self.source.taken):
                raise self._changed(f"it had more rows than {self.source.taken}")
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
                return
            finally:
                coming.cancel()
            number, source.taken = source.taken, source.taken + 1
            yield number, number + 1, raw

    async def _deal_with(self, item: Item) -> Any:
        """All that is to be done with a row. What is raised ends the run."""
        if self._broken is not None:
            raise self._broken
        number = item[0]
        row = self._reader.read(*item, self._index)
        found = self._index.get(number)
        if found is not None:
            if (found.key, found.request) != (row.key, row.request):
                raise self._changed(f"row {number + 1} was another one")
            if not (found.is_error and self._retry_failed):
                self.stats.kept += 1
                return await self._breathe()
        if isinstance(row, BadRow):
            return await self._reject(row)
        if self._caches and (cached := self._index.answer(row.request, row.key)) is not None:
            answer = self._caches[cached.file](cached.offset, cached.length)
            self._write(row, False, cached_record(answer, row.id, row.columns))
            self.stats.cached += 1
            return await self._breathe()
        response, error, attempts, seconds = await self._asker.ask(row)
        if error is None:
            assert response is not None
            self._write(row, False, answer_record(row.id, response, attempts, seconds, row.columns))
            self.stats.add(self._clock(), seconds, attempts, response.usage)
            return None
        if not attempts:
            error = self._located(item[1], error)
            if self._strict:
                raise error
        self._write(row, True, error_record(row.id, error, attempts, seconds, row.columns))
        self.stats.add(self._clock(), seconds, attempts, _usage(error), type(error).__name__)
        return None if attempts else await self._breathe()

    async def _reject(self, row: BadRow) -> None:
        if self._strict:
            raise row.error
        self._write(row, True, error_record(row.id, row.error, 0, 0.0, row.columns))
        self.stats.add(self._clock(), 0.0, 0, None, type(row.error).__name__)
        await self._breathe()

    def _write(self, row: Row | BadRow, is_error: bool, record: bytes) -> None:
        offset, length = self._journal.append(row.number, is_error, row.key, row.request, record)
        self._index.put(Record(row.number, is_error, row.key, row.request, offset, length))

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

    def _changed(self, what: str) -> ConfigurationError:
        return changed_error(self._journal.path, f"the input ({what})")

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


def changed_error(path: str, what: str) -> ConfigurationError:
    """The error of a run that is not the one whose journal is there."""
    return ConfigurationError(
        f"{what} is not what it was when {path!r} was begun. allow_changes=True keeps the answers to requests that are "
        "as they were, and asks the others; to ask all anew, delete it",
        argument="allow_changes",
    )


def _usage(error: LLMClientError) -> Usage | None:
    usage = getattr(getattr(error, "partial", None), "usage", None)
    return usage if isinstance(usage, Usage) else None
