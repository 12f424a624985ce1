"""`ShardLoop`: gives the shards of a run to a cluster, and takes what has become of them into the run's journal."""

# Theory of operation
# -------------------
# One thread of the caller's process, which holds the run's journal: it reads the input and makes shards (`Sharder`),
# gives each to the cluster as a task (`DaskCluster`), and when one is done, copies the shard's journal into the run's
# (`ShardFolder`).
#
#     made ──► given to the cluster ──done──► copied ──► on the disk ──► deleted
#                  ▲            └──its worker has died, the scheduler is gone, rows are missing──┐
#                  └─────────────────────────────────────────────────────────────────────────────┘
#
# - A worker dies: Dask gives its task to another one, which goes on with the shard's journal: what was under way is
#   asked again. Dask itself gives a task up whose workers have died several times, and so does this run where such a
#   shard, given anew, has not got one more row in several tries.
# - The scheduler, or the connection to it, dies: the shards that were given to it are given to the next one that
#   answers at the address within a minute.
# - The caller dies: Dask forgets its tasks; those under way come to their end by themselves, and no others begin. The
#   next run takes what they have left.
# - Ctrl-C: what has not begun is taken back, and rows under way come to their end. A second one gives those up.

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4

from llmclients.bulk.arguments import BulkArguments
from llmclients.bulk.dask_cluster import DaskCluster, Task
from llmclients.bulk.journal import JournalBusyError, Record
from llmclients.bulk.record import read_outcome
from llmclients.bulk.shard_job import ShardJob, dump_job
from llmclients.bulk.shard_worker import ShardResult, ask_shard, leave_run, why_unfit
from llmclients.bulk.sharder import Sharder
from llmclients.bulk.shards import Order, ShardFolder
from llmclients.bulk.sorter import Sorter
from llmclients.bulk.stats import Stats
from llmclients.bulk.status import Status
from llmclients.config.client import ClientSettings
from llmclients.errors import ConfigurationError

__all__ = ["ShardLoop"]

_LOOK = 0.2  # seconds
_AHEAD = 4  # shards for each thread of the workers
_FEWEST_AHEAD = 32  # which are what an adaptive cluster sees of the work that is to do
_AHEAD_SECONDS = 5.0  # after which the workers' threads are counted again
_TRIES = 3
_BUSY_SECONDS = 60.0


class _Shard:
    """A shard that was given to the cluster."""

    def __init__(self, number: int, rows: int) -> None:
        self.number = number
        self.rows = rows
        self.given = self.tries = self.size = 0
        self.task: Task | None = None

    @property
    def is_done(self) -> bool:
        return self.task is not None and self.task.is_done

    def drop(self) -> None:
        if self.task is not None:
            self.task.drop()


class ShardLoop:
    """What is between an open journal and an output.

    Args:
        settings: the client's.
        rows_loop: the event loop of a caller whose rows may be awaited.
        order: what the run was told, from another thread.
    """

    def __init__(
        self,
        cluster: DaskCluster,
        folder: ShardFolder,
        sorter: Sorter,
        arguments: BulkArguments,
        settings: ClientSettings,
        *,
        rows_loop: asyncio.AbstractEventLoop | None,
        order: Callable[[], Order],
    ) -> None:
        self._name = uuid4().hex[:12]
        self._cluster = cluster
        self._folder = folder
        self._sorter = sorter
        self._wanted = order
        self._order: Order = "go"
        self._shards: dict[int, _Shard] = {}
        self._ended: SimpleQueue[_Shard] = SimpleQueue()
        self._ahead, self._ahead_until = 0, 0.0
        self._is_new = True
        self._shown_at = 0.0
        self._sharder = Sharder(
            sorter,
            folder,
            self._name,
            concurrency=arguments.concurrency,
            options=arguments.options,
            loop=rows_loop,
            is_over=lambda: order() != "go",
        )
        self._begin(arguments, settings)
        self._status = Status(arguments.progress, arguments.prices, sorter.source.total)

    def _begin(self, arguments: BulkArguments, settings: ClientSettings) -> None:
        """Make the folder, with what all shards have in common."""
        folder, limits = self._folder, settings.limits
        os.makedirs(folder.path, exist_ok=True)
        try:
            job = ShardJob(
                settings=settings if limits is None else settings._replace(limits=limits.shared(folder.limits)),
                options=arguments.options,
                concurrency=arguments.concurrency,
                strict=arguments.strict,
                unit=self._sorter.source.unit,
                header=self._sorter.journal.header or {},
                began=time.time() - self._sorter.clock(),
            )
            folder.begin(self._name, dump_job(job))
        except BaseException:
            folder.remove()
            raise

    # --- what the run looks like to `Status` ------------------------------------------------------------------------

    @property
    def stats(self) -> Stats:
        return self._sorter.stats

    @property
    def source(self) -> ShardLoop:
        return self

    @property
    def safe(self) -> int:
        return self._sorter.safe

    @property
    def total(self) -> int | None:
        """How many rows there are, where that is known."""
        return self._sorter.source.total

    def share(self) -> float | None:
        """How much of the input is done: it is read ahead of that."""
        source, share = self._sorter.source, self._sorter.source.share()
        return None if share is None else share * self.safe / max(source.taken, 1)

    # --- the loop ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Until all shards are done, or the run is told to end."""
        self._check_workers()
        while True:
            self._obey()
            if not self._cluster.is_connected:
                self._mend()
            made = self._sharder.make() if self._wants_more() else None
            if made is not None:
                shard = self._shards[made[0]] = _Shard(*made)
                self._give(shard)
            elif not self._shards and (self._sharder.exhausted or self._order != "go"):
                return
            self._collect(0.0 if made is not None else _LOOK)
            at = self._sorter.clock()
            if at - self._shown_at >= self._status.interval:
                self._status.show(self, at)
                self._shown_at = at

    def close(self) -> None:
        """Show the end of it, and have the workers leave, whatever they are at."""
        self._status.close(self, self._sorter.clock())
        if os.path.isdir(self._folder.path):  # it was broken off: the next run takes what is there
            with suppress(OSError):
                self._folder.order(self._name, "stop")
        for shard in self._shards.values():
            shard.drop()
        if self._is_new:
            self._folder.remove()
        if self._cluster.is_connected:
            with suppress(Exception):
                self._cluster.everywhere(leave_run, self._name)

    def _check_workers(self) -> None:
        """Raise ConfigurationError if a worker that is there cannot ask. Where none is, wait for the first."""
        found = self._ask_workers()
        if not found:
            self._status.note("waiting for the cluster's first worker")
            # An adaptive cluster starts one when there is a task. A worker without this package would die of a function
            # of it, so this is one of Python's.
            task = self._cluster.submit(f"llmclients-{self._name}-first", time.time, on_end=lambda: None)
            while not task.is_done and self._wanted() == "go":
                time.sleep(_LOOK)
            task.drop()
            found = self._ask_workers()
        unfit = {worker: why for worker, why in found.items() if why is not None and not isinstance(why, OSError)}
        for worker, why in unfit.items():
            if isinstance(why, Exception):
                why = f"it cannot run llmclients, which must be installed there as it is here: {why}"
            more = f" (and {len(unfit) - 1} more)" if len(unfit) > 1 else ""
            raise ConfigurationError(f"cluster: worker {worker}{more}: {why}", argument="cluster")

    def _ask_workers(self) -> dict[str, Any]:
        return self._cluster.everywhere(why_unfit, self._folder.out, self._name)

    def _obey(self) -> None:
        """Tell the workers what the run was told."""
        order = self._wanted()
        if order == self._order:
            return
        self._order = order
        self._folder.order(self._name, order)
        if order == "drain":
            self._status.note("stopping: those under way come to their end; again to break off")
        for shard in list(self._shards.values()):
            if order == "stop" or not os.path.exists(self._folder.journal(self._name, shard.number)):
                shard.drop()  # nothing of it has begun
                del self._shards[shard.number]

    def _mend(self) -> None:
        """The scheduler is gone: wait for the next one, and give it the shards."""
        if not self._cluster.mend(lambda: self._wanted() != "go") and self._wanted() == "go":
            raise OSError("the Dask scheduler is gone; the same run, begun again, goes on where this one was")
        if self._wanted() == "go":
            for shard in self._shards.values():
                self._give(shard)

    def _wants_more(self) -> bool:
        if self._order != "go" or self._sharder.exhausted:
            return False
        now = time.monotonic()
        if now > self._ahead_until:
            with suppress(OSError):
                self._ahead = max(self._cluster.threads * _AHEAD, _FEWEST_AHEAD)
            self._ahead_until = now + _AHEAD_SECONDS
        return len(self._shards) < self._ahead

    def _give(self, shard: _Shard) -> None:
        shard.given += 1
        self._is_new = False
        shard.task = self._cluster.submit(
            f"llmclients-{self._name}-{shard.number}-{shard.given}",
            ask_shard,
            self._folder.out,
            self._name,
            shard.number,
            on_end=lambda: self._ended.put(shard),
        )

    def _collect(self, seconds: float) -> None:
        """Take what has ended; wait so long for the first."""
        try:
            ended = [self._ended.get(timeout=seconds) if seconds else self._ended.get_nowait()]
            with suppress(Empty):
                while True:
                    ended.append(self._ended.get_nowait())
        except Empty:
            ended = list(self._shards.values()) if seconds else []  # an end that nobody told of
        for shard in ended:
            if shard.is_done and self._shards.get(shard.number) is shard:
                self._end(shard)

    def _end(self, shard: _Shard) -> None:
        assert shard.task is not None
        result: ShardResult | None = None
        failure: Exception | None = None
        try:
            result = shard.task.result()
        except Exception as error:  # noqa: BLE001 - its worker has died, or Dask has lost it: it is asked again
            failure = error
        if result is not None and result.error is not None:
            if result.is_unfit:
                raise ConfigurationError(f"cluster: a worker: {result.error}", argument="cluster")
            raise result.error
        is_over = self._order != "go"
        if result is not None or is_over:
            rows = self._merge(shard, result)
            if rows >= shard.rows or is_over:
                self._folder.drop(self._name, shard.number)
                del self._shards[shard.number]
                return
        self._give_again(shard, failure)

    def _give_again(self, shard: _Shard, failure: Exception | None) -> None:
        """Give a shard once more, unless it does not get on."""
        try:
            size = os.path.getsize(self._folder.journal(self._name, shard.number))
        except OSError:
            size = 0
        shard.tries = 1 if size > shard.size else shard.tries + 1
        shard.size = size
        if shard.tries > _TRIES:
            raise OSError(f"a shard of {shard.rows} rows has failed {shard.tries} times: {failure}") from failure
        self._give(shard)

    def _merge(self, shard: _Shard, result: ShardResult | None) -> int:
        """Copy its journal, and count what its workers could not tell. Returns how many rows it has."""
        sorter, path = self._sorter, self._folder.journal(self._name, shard.number)
        if not os.path.exists(path):
            return 0
        uncounted = float("inf") if result is None else result.stats.kept
        seen: set[int] = set()
        missed: list[Record] = []
        until = time.monotonic() + _BUSY_SECONDS
        while not seen:
            try:
                for number, record in enumerate(self._folder.merge(path, sorter.journal)):
                    sorter.index.put(record)
                    seen.add(record.number)
                    if number < uncounted:
                        missed.append(record)
                break
            except JournalBusyError:
                if time.monotonic() > until or self._wanted() == "stop":
                    raise
                time.sleep(_LOOK)
        sorter.journal.sync()
        if result is not None:
            sorter.stats.merge(result.stats)
        for record in missed:
            sorter.stats.add(sorter.clock(), *read_outcome(sorter.journal.read(record.offset, record.length)))
        return len(seen)
