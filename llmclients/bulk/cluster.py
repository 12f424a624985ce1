"""`run_on_cluster`: a run of `bulk` whose rows are asked by the workers of a Dask cluster."""

# One thread of the caller's process has the run's journal, and does what `shard_loop.py` says. What a cluster has asked
# is in the end the same journal, and the output the same output, as of a run without one; each of the two may go on
# with what the other has begun.
#
# The limits that all workers keep to are in a file of the folder (`Limits(path=…)`, or `SharedCoolDown`), not in a Dask
# actor: an actor lives in one worker and dies with it, and with it what was learned and what the minute has used up. A
# file outlives all of them, and the folder is there anyway.

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from contextlib import ExitStack, closing, suppress
from typing import Any

from llmclients.bulk.arguments import BulkArguments
from llmclients.bulk.bulk import report_of, write_run
from llmclients.bulk.bulk_report import BulkReport
from llmclients.bulk.dask_cluster import DaskCluster
from llmclients.bulk.opening import open_run
from llmclients.bulk.shard_loop import ShardLoop
from llmclients.bulk.shards import Order, ShardFolder
from llmclients.bulk.signals import draining
from llmclients.calls.arguments import ChatArguments
from llmclients.calls.chat import prepare
from llmclients.config.fallback import check_names
from llmclients.errors import ConfigurationError
from llmclients.types.messages import as_messages

__all__ = ["run_on_cluster", "run_on_cluster_in_task"]

_LOOK = 0.2  # seconds


class ClusterRun:
    """A run. As `Bulk`, but for that it has a thread in place of an event loop.

    Args:
        client: a `Client` or an `AsyncClient`, by whose connections nothing is sent.
        arguments: of `bulk`.
        loop: of a caller whose rows may be awaited.
    """

    def __init__(self, client: Any, arguments: BulkArguments, loop: asyncio.AbstractEventLoop | None = None) -> None:
        if client._given_transport is not None:
            raise ConfigurationError(
                "cluster: a client with transport= stays in its process: the workers make their own connections",
                argument="cluster",
            )
        self._settings = client._settings
        self._transport = client._transport
        self._arguments = arguments
        self._loop = loop
        self._order: Order = "go"

    @property
    def gave_up(self) -> bool:
        """Whether it was broken off."""
        return self._order == "stop"

    def drain(self) -> None:
        """Give no more rows to workers, and end when those under way are done. From any thread, or a handler."""
        self._order = "drain"

    def cancel(self) -> None:
        """Have the workers give up the rows under way, and end. As `drain`."""
        self._order = "stop"

    def run(self) -> BulkReport:
        """Run it, in a thread that has nothing else to do.

        Raises:
            ConfigurationError: as of `Bulk.run`; or a worker cannot ask: then nothing is sent.
            OSError: a file cannot be read or written, or the cluster does not get on.
        """
        arguments = self._arguments
        check_names(self._settings, arguments.options, "bulk")
        probe = ChatArguments(as_messages("?"), arguments.model, arguments.options)
        prepare(self._settings, self._transport.clock, probe, stream=False, transport=self._transport, row=True)
        began, folder = time.monotonic(), ShardFolder(arguments.out)
        with ExitStack() as opened:
            cluster = opened.enter_context(closing(DaskCluster(arguments.cluster)))
            sorter = open_run(
                self._settings,
                arguments,
                opened,
                awaited=self._loop is not None,
                clock=lambda: time.monotonic() - began,
            )
            loop = ShardLoop(
                cluster, folder, sorter, arguments, self._settings, rows_loop=self._loop, order=lambda: self._order
            )
            try:
                loop.run()
                if self._order == "go":
                    sorter.check_end()
                if not self.gave_up:
                    write_run(arguments.out, sorter)
                    folder.rescue(sorter.journal)
            finally:
                loop.close()
            report = report_of(arguments, sorter, time.monotonic() - began, stopped=self._order != "go")
        if arguments.report is not None:
            report.write_html(arguments.report)
        return report


def run_on_cluster(client: Any, arguments: BulkArguments) -> BulkReport:
    """Run what a `Client` was asked for, and wait for it.

    Raises:
        KeyboardInterrupt: it was broken off, or drained, by a signal.
        Exception: as of `ClusterRun.run`.
    """
    run = ClusterRun(client, arguments)
    with draining(run.drain, run.cancel), ThreadPoolExecutor(1, "llmclients bulk") as executor:
        running = executor.submit(run.run)
        try:
            while not running.done():
                with suppress(NotYetError):
                    running.exception(_LOOK)  # a signal that another thread has got is handled when this one wakes
        except BaseException:  # not a signal's: those are handled
            run.cancel()
            raise
    if run.gave_up:
        raise KeyboardInterrupt
    return running.result()


async def run_on_cluster_in_task(client: Any, arguments: BulkArguments) -> BulkReport:
    """Run what an `AsyncClient` was asked for, in the task that awaits it."""
    loop = asyncio.get_running_loop()
    run = ClusterRun(client, arguments, loop)
    with draining(run.drain, run.cancel), ThreadPoolExecutor(1, "llmclients bulk") as executor:
        running = loop.run_in_executor(executor, run.run)
        try:
            report = await asyncio.shield(running)
        except asyncio.CancelledError:
            run.cancel()
            with suppress(Exception):
                await running
            raise
    if run.gave_up:
        raise KeyboardInterrupt
    await asyncio.sleep(0)  # where asyncio's own handler has cancelled the task, it ends here
    return report
