"""`Sorter`: which rows of an input have to be asked; the others go into the journal at once, or are there already."""

#     taken ──bad─────────────────────────────► an error's record ─┐
#       ├──in the journal, as it was──► kept                       ├──► the journal
#       ├──in another journal (a cache)───────► its answer's record┘
#       └──else──► to be asked
#
# One thread at a time uses it: that of a `Runner`, or the one which makes shards for the workers of a cluster. On a
# worker, the rows of a shard come ready from its file, and this sorts out those that a worker before it had asked.

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from llmclients.bulk.index import Index
from llmclients.bulk.inputs import Source
from llmclients.bulk.journal import Journal, Record
from llmclients.bulk.record import cached_record, error_record
from llmclients.bulk.row import BadRow, Row
from llmclients.bulk.stats import Stats
from llmclients.errors import ConfigurationError

__all__ = ["Item", "Reader", "Sorter", "changed_error"]

Item: TypeAlias = tuple[int, int, Any]
"""A row's number, its line, and the row."""


class Reader(Protocol):
    """Says what a row asks for: a `RowReader`, or what has rows that were read before."""

    def read(self, number: int, line: int, raw: Any, index: Index) -> Row | BadRow: ...


class Sorter:
    """The rows of one run.

    Args:
        source: the rows.
        reader: says what each asks for.
        journal: has what is done, and gets what will be.
        index: of that journal, and of the caches.
        caches: read the answers of other journals, by the numbers that the index has for them.
        retry_failed: whether rows whose record is an error are asked again.
        strict: whether a row that cannot be asked ends the run.
        clock: seconds since the run began.

    Attributes:
        stats: of the run.
    """

    def __init__(
        self,
        source: Source,
        reader: Reader,
        journal: Journal,
        index: Index,
        *,
        caches: Sequence[Callable[[int, int], bytes]],
        retry_failed: bool,
        strict: bool,
        clock: Callable[[], float],
    ) -> None:
        self.stats = Stats()
        self.source = source
        self.journal = journal
        self.index = index
        self.strict = strict
        self.clock = clock
        self._reader = reader
        self._caches = caches
        self._retry_failed = retry_failed

    @property
    def safe(self) -> int:
        """The rows that are finished and on the disk."""
        return self.stats.kept + self.journal.synced

    def to_ask(self, item: Item) -> Row | None:
        """The row, if it has to be asked.

        Raises:
            ConfigurationError: the input is another one than the journal's; or, with `strict`, a row cannot be asked.
            OSError: the journal cannot be written.
        """
        row = self._reader.read(*item, self.index)
        found = self.index.get(row.number)
        if found is not None:
            if (found.key, found.request) != (row.key, row.request):
                raise self._changed(f"row {row.number + 1} was another one")
            if not (found.is_error and self._retry_failed):
                self.stats.kept += 1
                return None
        if isinstance(row, BadRow):
            if self.strict:
                raise row.error
            self.write(row, True, error_record(row.id, row.error, 0, 0.0, row.columns))
            self.stats.add(self.clock(), 0.0, 0, None, type(row.error).__name__)
            return None
        if self._caches and (cached := self.index.answer(row.request, row.key)) is not None:
            answer = self._caches[cached.file](cached.offset, cached.length)
            self.write(row, False, cached_record(answer, row.id, row.columns))
            self.stats.cached += 1
            return None
        return row

    def write(self, row: Row | BadRow, is_error: bool, record: bytes) -> None:
        """A row is finished."""
        offset, length = self.journal.append(row.number, is_error, row.key, row.request, record)
        self.index.put(Record(row.number, is_error, row.key, row.request, offset, length))

    def check_end(self) -> None:
        """All rows were taken: raise ConfigurationError if the journal has more."""
        if self.index.kept and self.index.count(begin=self.source.taken):
            raise self._changed(f"it had more rows than {self.source.taken}")

    def _changed(self, what: str) -> ConfigurationError:
        return changed_error(self.journal.path, f"the input ({what})")


def changed_error(path: str, what: str) -> ConfigurationError:
    """The error of a run that is not the one whose journal is there."""
    return ConfigurationError(
        f"{what} is not what it was when {path!r} was begun. allow_changes=True keeps the answers to requests that are "
        "as they were, and asks the others; to ask all anew, delete it",
        argument="allow_changes",
    )
