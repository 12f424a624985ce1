"""`Bulk`: one run of `bulk`, from its arguments to its report: opens what is needed, runs, writes the output."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from llmclients.bulk.arguments import BulkArguments
from llmclients.bulk.asking import Asker
from llmclients.bulk.bulk_report import BulkReport
from llmclients.bulk.index import Index
from llmclients.bulk.inputs import Source, open_source
from llmclients.bulk.journal import Journal, JournalReader, read_records
from llmclients.bulk.outputs import write_output
from llmclients.bulk.row import SPECIAL, RowReader, plain
from llmclients.bulk.runner import Runner, changed_error
from llmclients.bulk.signals import draining
from llmclients.bulk.status import Status
from llmclients.calls.arguments import ChatArguments
from llmclients.calls.chat import prepare
from llmclients.config.client import ClientSettings
from llmclients.config.fallback import REQUEST_FIELDS, check_names
from llmclients.errors import ConfigurationError
from llmclients.transports import AsyncClientTransport
from llmclients.types.messages import as_messages

__all__ = ["Bulk", "run_in_task"]


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
            OSError: a file cannot be read or written.
        """
        arguments, loop = self._arguments, asyncio.get_running_loop()
        check_names(self._settings, arguments.options, "bulk")
        probe = ChatArguments(as_messages("?"), arguments.model, arguments.options)
        prepare(self._settings, transport.clock, probe, stream=False, transport=transport, row=True)
        began = time.monotonic()
        with ExitStack() as opened, ThreadPoolExecutor(1, "llmclients bulk") as disk:
            runner, journal, index = await loop.run_in_executor(disk, self._open, transport, began, opened)
            self._status = status = Status(arguments.progress, arguments.prices, runner.source.total)
            self._loop, self._runner = loop, runner
            if self._is_draining:  # the signal came while files were opened
                runner.drain()
            showing = asyncio.create_task(_show(status, runner, began))
            try:
                await runner.run()
                if not self.gave_up:
                    await loop.run_in_executor(disk, self._write, journal, index)
            finally:
                showing.cancel()
                with suppress(asyncio.CancelledError):
                    await showing
                status.close(runner, time.monotonic() - began)
            report = BulkReport.of_run(
                arguments.out,
                arguments.journal,
                runner.stats,
                rows=index.count(),
                failed=index.count(errors=True),
                seconds=time.monotonic() - began,
                prices=arguments.prices,
                damaged=journal.damaged,
                stopped=runner.drained,
            )
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

    def _open(self, transport: AsyncClientTransport, began: float, opened: ExitStack) -> tuple[Runner, Journal, Index]:
        """Open the input, the journal and what is known of it."""
        arguments, settings = self._arguments, self._settings
        source = open_source(arguments.rows, awaited=self._awaited)
        opened.callback(source.close)
        known = REQUEST_FIELDS | settings.codec.options.model_fields.keys()
        _check_columns(source, arguments, known)
        asked = _asked(settings, arguments)
        reader = RowReader(
            template=arguments.template,
            columns=arguments.columns,
            options=arguments.options,
            model=arguments.model,
            system=arguments.system,
            known=known,
            asked=json.dumps(asked, sort_keys=True).encode(),
            is_table=source.columns is not None,
            unit=source.unit,
        )
        journal = _open_journal(arguments, {"input": source.fingerprint, **_header(arguments, asked)})
        opened.callback(journal.close)
        index = Index()
        opened.callback(index.close)
        index.load(journal.records())
        runner = Runner(
            source,
            reader,
            Asker(settings, transport),
            journal,
            index,
            caches=_open_caches(arguments, index, opened),
            concurrency=arguments.concurrency,
            retry_failed=arguments.retry_failed,
            strict=arguments.strict,
            clock=lambda: time.monotonic() - began,
        )
        return runner, journal, index

    def _write(self, journal: Journal, index: Index) -> None:
        write_output(self._arguments.out, (journal.read(record.offset, record.length) for record in index.records()))


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


def _check_columns(source: Source, arguments: BulkArguments, known: frozenset[str]) -> None:
    """Raise ConfigurationError for a table that does not have what is needed, or has what nobody asked for."""
    if source.columns is None:
        return
    template, kept = arguments.template, arguments.columns
    if template is not None:
        template.check(source.columns)
    if not isinstance(kept, bool):
        for name in kept:
            if name not in source.columns:
                there = ", ".join(source.columns)
                raise ConfigurationError(f"columns: there is no {name!r}; there are {there}", argument="columns")
    if template is None and kept is not True:
        for name in source.columns:
            if name not in known and name not in SPECIAL and not (kept and name in kept):
                raise ConfigurationError(
                    f"rows: the column {name!r} is no option of a call: with columns=[{name!r}] it is kept in the "
                    "output, with template= a prompt can be made of it",
                    argument="rows",
                )


def _asked(settings: ClientSettings, arguments: BulkArguments) -> dict[str, Any]:
    """What all requests have in common, in plain values."""
    try:
        options = json.loads(json.dumps({**settings.defaults, **arguments.options}, default=plain))
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"an option cannot be kept in a journal: {error}") from None
    return {
        "provider": settings.provider.name,
        "address": settings.base_url,
        "model": arguments.model or settings.model,
        "system": arguments.system,
        "options": options,
    }


def _header(arguments: BulkArguments, asked: Mapping[str, Any]) -> dict[str, Any]:
    columns = arguments.columns
    template = arguments.template
    return {
        "template": None if template is None else template.fingerprint,
        "columns": columns if isinstance(columns, bool) else sorted(columns),
        **asked,
    }


def _open_journal(arguments: BulkArguments, header: dict[str, Any]) -> Journal:
    """The journal, begun with this header, or begun before with the same."""
    path = arguments.journal
    if Path(arguments.out).exists() and not Path(path).exists():
        raise ConfigurationError(
            f"out: {arguments.out!r} is there already, and no journal of it: move it away", argument="out"
        )
    journal = Journal(path)
    try:
        if journal.header is not None:
            changed = _changed(journal.header, header)
            if changed and not arguments.allow_changes:
                raise changed_error(path, changed)
            has_proof = header["input"] is not None and (arguments.template is None or arguments.template.names)
            if changed or (arguments.allow_changes and not has_proof):
                journal.set_aside()
        if journal.header is None:
            journal.begin(header)
    except BaseException:
        journal.close()
        raise
    return journal


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What of a journal's header is another thing now; nothing: all is the same. Iterables are compared row by row."""
    for name, value in now.items():
        if name == "input" and (value is None or before.get(name) is None):
            continue
        if before.get(name) != value:
            return {"options": "an option", "system": "the system text"}.get(name, f"the {name}")
    return ""


def _open_caches(arguments: BulkArguments, index: Index, opened: ExitStack) -> list[Callable[[int, int], bytes]]:
    """What reads the answers of other journals; the first is of what was set aside from this one."""
    old = f"{arguments.journal}.old"
    paths = [old if Path(old).is_file() else None, *arguments.caches]
    if not any(paths):
        return []
    readers: list[Callable[[int, int], bytes]] = []
    for number, path in enumerate(paths):
        if path is None:
            readers.append(lambda offset, length: b"")  # the index has no answer of it
            continue
        index.add_answers(number, read_records(path))
        readers.append(opened.enter_context(JournalReader(path)).read)
    return readers
