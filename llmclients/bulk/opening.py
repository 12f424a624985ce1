"""`open_run`: what each run begins with, before anything is sent: its input, its journal, and what that has already."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from llmclients.bulk.arguments import BulkArguments
from llmclients.bulk.index import Index
from llmclients.bulk.inputs import Source, open_source
from llmclients.bulk.journal import Journal, JournalReader, read_records
from llmclients.bulk.row import SPECIAL, RowReader, plain
from llmclients.bulk.shards import ShardFolder
from llmclients.bulk.sorter import Sorter, changed_error
from llmclients.config.client import ClientSettings
from llmclients.config.fallback import REQUEST_FIELDS
from llmclients.errors import ConfigurationError

__all__ = ["open_run"]


def open_run(
    settings: ClientSettings,
    arguments: BulkArguments,
    opened: ExitStack,
    *,
    awaited: bool,
    clock: Callable[[], float],
) -> Sorter:
    """Open them; `opened` closes them.

    Args:
        settings: the client's.
        awaited: whether the rows may be an asynchronous iterable.
        clock: seconds since the run began.

    Raises:
        ConfigurationError: an argument is wrong, the input is another one than the journal's, or another run has the
            journal open.
        OSError: a file cannot be read or written.
    """
    source = open_source(arguments.rows, awaited=awaited)
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
    return Sorter(
        source,
        reader,
        journal,
        index,
        caches=_open_caches(arguments, index, opened),
        retry_failed=arguments.retry_failed,
        strict=arguments.strict,
        clock=clock,
    )


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
        ShardFolder(arguments.out).rescue(journal)
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
