"""What a worker of a cluster does with a shard of a run: asks its rows, each into the shard's journal."""

# A task is a shard. Its arguments are a path and two names, and what it returns are counts: rows and answers go by the
# folder that all share (`shards.py`).
#
# A process has for each run one event loop, in a thread, with one set of connections: the tasks of Dask's threads give
# their shards to it and wait. So connections outlive shards, and several threads cost no more than one.
#
# While the last rows of a shard are under way, the process has less to do than it could. So when half of `concurrency`
# is left, the task says that it needs its thread no more (`secede`), and the next shard begins beside it: a row that
# takes a minute holds up nothing but itself.
#
# A shard whose first worker has died, or seems so to the scheduler, goes on with the journal that is there. If that
# worker does live, it has the journal's lock, and the second waits for it.

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from concurrent.futures import Future
from typing import Any, NamedTuple

import distributed

from llmclients.bulk.asking import Asker
from llmclients.bulk.file_lock import try_lock
from llmclients.bulk.index import Index
from llmclients.bulk.inputs import Source
from llmclients.bulk.journal import Journal, JournalBusyError
from llmclients.bulk.row import Row
from llmclients.bulk.runner import Runner
from llmclients.bulk.shard_job import ShardJob, load_job
from llmclients.bulk.shard_rows import read_rows
from llmclients.bulk.shards import ShardFolder
from llmclients.bulk.shared_cooldown import SharedCoolDown
from llmclients.bulk.sorter import Sorter
from llmclients.bulk.stats import Stats
from llmclients.errors import ConfigurationError, LLMClientError
from llmclients.transports import async_transport

__all__ = ["ShardResult", "ask_shard", "leave_run", "why_unfit"]

_LOOK = 0.05  # seconds between two looks at how far a shard is
_STATE_LOOKS = 10  # of these looks, after which the folder's state is read
_BUSY = 0.2  # seconds after which a journal's lock is tried again


class ShardResult(NamedTuple):
    """What became of a shard.

    Attributes:
        stats: of the rows that were asked here; `kept` are those that were in the journal before.
        error: what ends the whole run.
        is_unfit: whether that is because this worker cannot ask at all.
    """

    stats: Stats
    error: LLMClientError | None = None
    is_unfit: bool = False


class _Connected:
    """A client to fall back on, over connections of this process."""

    _is_async = True

    def __init__(self, client: Any) -> None:
        self._settings = client._settings
        self._transport = async_transport(self._settings.transport, None)


class _Engine:
    """Asks the shards of one run in this process."""

    def __init__(self, folder: ShardFolder, run: str, job: ShardJob) -> None:
        self._folder = folder
        self._run = run
        self._job = job
        settings = job.settings
        others = tuple(
            other if other.client is None else other._replace(client=_Connected(other.client))
            for other in settings.fallbacks
        )
        if settings.limits is None:
            settings = settings._replace(limits=SharedCoolDown(folder.wait))
        self._transport = async_transport(settings.transport, None)
        self._transports = [self._transport, *(other.client._transport for other in others if other.client is not None)]
        self._asker = Asker(settings._replace(fallbacks=others), self._transport)
        self._runners: set[Runner] = set()
        self._asking: set[asyncio.Task[Any]] = set()
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._serve, name="llmclients shards", daemon=True).start()

    def _serve(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    def ask(self, shard: int, winding_down: threading.Event) -> Future[ShardResult]:
        """Ask a shard. The event is set when the process could begin with another one."""
        return asyncio.run_coroutine_threadsafe(self._ask(shard, winding_down), self._loop)

    async def _ask(self, shard: int, winding_down: threading.Event) -> ShardResult:
        task = asyncio.current_task()
        assert task is not None
        self._asking.add(task)
        try:
            journal = await self._open_journal(self._folder.journal(self._run, shard))
            if journal is None:
                return ShardResult(Stats())
            try:
                return await self._ask_into(journal, shard, winding_down)
            finally:
                journal.close()
        finally:
            self._asking.discard(task)
            winding_down.set()

    async def _open_journal(self, path: str) -> Journal | None:
        """The shard's journal, when nobody else has it; None: the run has been told to end."""
        while self._folder.wanted(self._run) == "go":
            try:
                journal = Journal(path)
            except JournalBusyError:
                await asyncio.sleep(_BUSY)
                continue
            if journal.header is None:
                journal.begin(self._job.header)
            return journal
        return None

    async def _ask_into(self, journal: Journal, shard: int, winding_down: threading.Event) -> ShardResult:
        job, index = self._job, Index()
        try:
            index.load(journal.records())
            rows = read_rows(self._folder.rows(self._run, shard), job.options)
            sorter = Sorter(
                Source(rows, unit=job.unit),
                _Ready(),
                journal,
                index,
                caches=(),
                retry_failed=False,
                strict=job.strict,
                clock=lambda: max(time.time() - job.began, 0.0),
            )
            runner = Runner(sorter, self._asker, concurrency=job.concurrency)
            self._runners.add(runner)
            watching = asyncio.create_task(self._watch(runner, winding_down))
            error: LLMClientError | None = None
            try:
                await runner.run()
            except LLMClientError as failure:
                error = failure.with_traceback(None)
            finally:
                self._runners.discard(runner)
                watching.cancel()
                await asyncio.wait([watching])
            return ShardResult(sorter.stats, error)
        finally:
            index.close()

    async def _watch(self, runner: Runner, winding_down: threading.Event) -> None:
        looks = 0
        while True:
            await asyncio.sleep(_LOOK)
            under_way = sum(one.under_way for one in self._runners)
            if runner.exhausted and under_way <= self._job.concurrency // 2:
                winding_down.set()
            looks += 1
            if looks % _STATE_LOOKS == 0:
                wanted = await self._loop.run_in_executor(None, self._folder.wanted, self._run)
                if wanted == "drain":
                    runner.drain()
                elif wanted == "stop":
                    await runner.cancel()

    def close(self) -> None:
        """Close the connections, and end the thread, when no shard is under way any more."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop)

    async def _close(self) -> None:
        while self._asking:
            await asyncio.wait(self._asking)
        for transport in self._transports:
            await transport.close()
        await self._loop.shutdown_default_executor()
        self._loop.call_soon(self._loop.stop)


class _Ready:
    """Rows that were read before."""

    def read(self, number: int, line: int, raw: Row, index: Index) -> Row:
        return raw


_engines: dict[str, _Engine] = {}
_lock = threading.Lock()


def _engine(path: str, run: str) -> _Engine:
    """This process's for the run.

    Raises:
        ConfigurationError: this worker cannot ask.
    """
    with _lock:
        engine = _engines.get(run)
        if engine is None:
            folder = ShardFolder(path)
            job = _checked_job(folder, run)
            for other in [other for other in _engines if other != run]:  # of a caller that has died
                _engines.pop(other).close()
            engine = _engines[run] = _Engine(folder, run, job)
        return engine


def _checked_job(folder: ShardFolder, run: str) -> ShardJob:
    try:
        job = load_job(folder.job(run))
    except FileNotFoundError:
        raise ConfigurationError(
            f"it does not see {folder.job(run)!r}: the output must be in a folder that all workers and the caller "
            "share, by the same path"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"it cannot read {folder.job(run)!r}: {error.strerror}") from None
    try:
        with tempfile.TemporaryFile(dir=folder.path):
            pass
    except OSError as error:
        raise ConfigurationError(f"it cannot write to {folder.path!r}: {error.strerror}") from None
    file = os.open(f"{folder.out}.journal", os.O_RDWR)
    try:
        if try_lock(file):
            raise ConfigurationError(
                f"it could lock {folder.out + '.journal'!r}, which the caller has locked: the file system that they "
                "share must have locks that hold between machines"
            )
    finally:
        os.close(file)
    path = getattr(job.settings.limits, "path", None)
    if path is not None and not os.path.exists(path):
        raise ConfigurationError(f"it does not see {path!r}, the file of the limits")
    return job


def why_unfit(path: str, run: str) -> str | None:
    """Why this worker cannot ask the shards of a run; None: it can. Nothing is sent."""
    try:
        _engine(path, run)
    except ConfigurationError as error:
        return str(error)
    return None


def ask_shard(path: str, run: str, shard: int) -> ShardResult:
    """The task: ask the rows of a shard.

    Args:
        path: the output's.
    """
    try:
        engine = _engine(path, run)
    except ConfigurationError as error:
        if ShardFolder(path).wanted(run) != "go":  # the run has ended, and so has what it shared
            return ShardResult(Stats())
        return ShardResult(Stats(), ConfigurationError(str(error)), is_unfit=True)
    winding_down = threading.Event()
    asking = engine.ask(shard, winding_down)
    winding_down.wait()
    if not asking.done():
        distributed.secede()
    return asking.result()


def leave_run(run: str) -> None:
    """The run is over: close what this worker has of it."""
    with _lock:
        engine = _engines.pop(run, None)
    if engine is not None:
        engine.close()
