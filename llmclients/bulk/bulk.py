"""`Bulk`: one run of `bulk`, from its arguments to its report: opens what is needed, runs, writes the output."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial

from llmclients.bulk.arguments import BulkArguments
from llmclients.bulk.asking import Asker
from llmclients.bulk.bulk_report import BulkReport
from llmclients.bulk.opening import open_run
from llmclients.bulk.outputs import write_output
from llmclients.bulk.runner import Runner
from llmclients.bulk.signals import draining
from llmclients.bulk.sorter import Sorter
from llmclients.bulk.status import Status
from llmclients.calls.arguments import ChatArguments
from llmclients.calls.chat import prepare
from llmclients.config.client import ClientSettings
from llmclients.config.fallback import check_names
from llmclients.transports import AsyncClientTransport
from llmclients.types.messages import as_messages

__all__ = ["Bulk", "report_of", "run_in_task", "write_run"]


class Bulk:
    """A run.

    Args:
        settings: the client's.
        arguments: of `bulk`.
        awaited: whether the rows may be an asynchronous iterable.

    Attributes:
        gave_up: whether it was broken off.
    """

    def __init__(self, settings: ClientSettings, arguments: BulkArguments, *, awaited: bool) -> None:
        self._settings = settings
        self._arguments = arguments
        self._awaited = awaited
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runner: Runner | None = None
        self._status: Status | None = None
        self._is_draining = False
        self.gave_up = False

    async def run(self, transport: AsyncClientTransport) -> BulkReport:
        """Run it over this transport, in this event loop.

        Raises:
            ConfigurationError: an argument is wrong, the input is another one than the journal's, another run has the
                journal open; or, with `strict`, a row cannot be asked.
            AuthenticationError: the key is rejected. What was answered until then is kept.
            OSError: a file cannot be read or written.
        """
        arguments, loop = self._arguments, asyncio.get_running_loop()
        check_names(self._settings, arguments.options, "bulk")
        probe = ChatArguments(as_messages("?"), arguments.model, arguments.options)
        prepare(self._settings, transport.clock, probe, stream=False, transport=transport, row=True)
        began = time.monotonic()
        with ExitStack() as opened, ThreadPoolExecutor(1, "llmclients bulk") as disk:
            runner, sorter = await loop.run_in_executor(disk, self._open, transport, began, opened)
            self._status = status = Status(arguments.progress, arguments.prices, runner.source.total)
            self._loop, self._runner = loop, runner
            if self._is_draining:  # the signal came while files were opened
                runner.drain()
            showing = asyncio.create_task(_show(status, runner, began))
            try:
                await runner.run()
                if not runner.drained:
                    sorter.check_end()
                if not self.gave_up:
                    await loop.run_in_executor(disk, write_run, arguments.out, sorter)
            finally:
                showing.cancel()
                with suppress(asyncio.CancelledError):
                    await showing
                status.close(runner, time.monotonic() - began)
            report = report_of(arguments, sorter, time.monotonic() - began, stopped=runner.drained)
        if arguments.report is not None:
            report.write_html(arguments.report)
        return report

    def drain(self) -> None:
        """Take no more rows, and end when those under way are done. From any thread, and from a signal's handler."""
        self._is_draining = True
        if self._loop is not None and self._runner is not None and self._status is not None:
            self._in_loop(self._runner.drain)
            self._in_loop(partial(self._status.note, "stopping: those under way come to their end; again to break off"))

    def cancel(self) -> None:
        """Give up those under way, and end. As `drain`."""
        self.gave_up = self._is_draining = True
        if self._loop is not None and self._runner is not None:
            loop, runner = self._loop, self._runner
            self._in_loop(lambda: loop.create_task(runner.cancel()))

    def _in_loop(self, work: Callable[[], object]) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(work)

    # --- what waits for the disk ------------------------------------------------------------------------------------

    def _open(self, transport: AsyncClientTransport, began: float, opened: ExitStack) -> tuple[Runner, Sorter]:
        """Open the input, the journal and what is known of it."""
        sorter = open_run(
            self._settings, self._arguments, opened, awaited=self._awaited, clock=lambda: time.monotonic() - began
        )
        return Runner(sorter, Asker(self._settings, transport), concurrency=self._arguments.concurrency), sorter


def write_run(out: str, sorter: Sorter) -> None:
    """Write the output of what the journal has."""
    journal = sorter.journal
    write_output(out, (journal.read(record.offset, record.length) for record in sorter.index.records()))


def report_of(arguments: BulkArguments, sorter: Sorter, seconds: float, *, stopped: bool) -> BulkReport:
    """What became of a run that took so long."""
    return BulkReport.of_run(
        arguments.out,
        arguments.journal,
        sorter.stats,
        rows=sorter.index.count(),
        failed=sorter.index.count(errors=True),
        seconds=seconds,
        prices=arguments.prices,
        damaged=sorter.journal.damaged,
        stopped=stopped,
    )


async def run_in_task(
    settings: ClientSettings, transport: AsyncClientTransport, arguments: BulkArguments
) -> BulkReport:
    """Run what an `AsyncClient` was asked for, in the task that awaits it."""
    bulk = Bulk(settings, arguments, awaited=True)
    with draining(bulk.drain, bulk.cancel):
        report = await bulk.run(transport)
    if bulk.gave_up:
        raise KeyboardInterrupt
    await asyncio.sleep(0)  # where asyncio's own handler has cancelled the task, it ends here
    return report


async def _show(status: Status, runner: Runner, began: float) -> None:
    while True:
        await asyncio.sleep(status.interval)
        status.show(runner, time.monotonic() - began)
