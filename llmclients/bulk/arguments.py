"""`BulkArguments`: the arguments of a `bulk`, checked before anything is read or sent."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Collection, Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from llmclients.bulk.inputs import load_pyarrow, suffix_of
from llmclients.bulk.progress import bar_for
from llmclients.bulk.stats import Prices
from llmclients.bulk.template import Template
from llmclients.errors import ConfigurationError

__all__ = ["AsyncBulkRows", "BulkArguments", "BulkCache", "BulkRows"]

BulkRows: TypeAlias = str | os.PathLike[str] | Iterable[Any]
"""What `Client.bulk` takes as its rows."""
AsyncBulkRows: TypeAlias = str | os.PathLike[str] | Iterable[Any] | AsyncIterable[Any]
"""What `AsyncClient.bulk` takes."""
BulkCache: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""Outputs of other runs, or one."""


class BulkArguments(NamedTuple):
    """The arguments of `Client.bulk`, which says what they mean.

    Attributes:
        journal: the journal's path, beside the output's.
        caches: the journals that serve as a cache.
        cluster: a Dask scheduler's address, or a Dask client.
    """

    rows: Any
    out: str
    journal: str
    concurrency: int
    model: str | None
    system: str | None
    template: Template | None
    columns: Collection[str] | bool
    retry_failed: bool
    strict: bool
    allow_changes: bool
    caches: tuple[str, ...]
    prices: Prices | None
    progress: Any
    report: str | None
    options: Mapping[str, Any]
    cluster: Any

    @classmethod
    def checked(
        cls,
        rows: Any,
        out: Any,
        *,
        concurrency: Any,
        template: Any,
        columns: Any,
        cache: Any,
        prices: Any,
        report: Any,
        progress: Any,
        cluster: Any,
        **others: Any,
    ) -> BulkArguments:
        """The arguments as a caller gives them.

        Raises:
            ConfigurationError: naming the one that is wrong.
        """
        path = _output(out, rows)
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise ConfigurationError("concurrency must be a positive whole number", argument="concurrency")
        if progress is not True:
            bar_for(progress, None)  # which says what it must be
        return cls(
            rows=rows,
            out=path,
            journal=f"{path}.journal",
            concurrency=concurrency,
            template=None if template is None else Template(template),
            columns=_columns(columns),
            caches=_caches(cache),
            prices=_prices(prices),
            report=None if report is None else _writable(report, "report"),
            progress=progress,
            cluster=_checked_cluster(cluster),
            **others,
        )


def _output(out: Any, rows: Any) -> str:
    path = _writable(out, "out")
    if suffix_of(path, "out") == ".parquet":
        load_pyarrow("out")
    is_file = isinstance(rows, str | os.PathLike) and Path(rows).exists()
    if is_file and Path(path).exists() and os.path.samefile(rows, path):
        raise ConfigurationError("out is the file that the rows come from", argument="out")
    return path


def _writable(path: Any, argument: str) -> str:
    """A path in a folder that is there."""
    if not isinstance(path, str | os.PathLike):
        raise ConfigurationError(f"{argument} must be a file's path, not {type(path).__name__}", argument=argument)
    found = Path(path)
    if not found.parent.is_dir():
        raise ConfigurationError(f"{argument}: there is no folder {str(found.parent)!r}", argument=argument)
    if found.is_dir():
        raise ConfigurationError(f"{argument}: {str(found)!r} is a folder", argument=argument)
    return str(found)


def _columns(columns: Any) -> Collection[str] | bool:
    if isinstance(columns, bool):
        return columns
    if isinstance(columns, str) or not isinstance(columns, Collection):
        raise ConfigurationError("columns must be a list of names, or True for all", argument="columns")
    if not all(isinstance(name, str) for name in columns):
        raise ConfigurationError("columns must be names", argument="columns")
    return tuple(columns)


def _caches(cache: Any) -> tuple[str, ...]:
    given = (cache,) if isinstance(cache, str | os.PathLike) else cache
    if not isinstance(given, Sequence) or not all(isinstance(path, str | os.PathLike) for path in given):
        raise ConfigurationError("cache must be the path of an earlier output, or a list of them", argument="cache")
    found = []
    for path in map(os.fspath, given):
        journal = path if path.endswith((".journal", ".old")) else f"{path}.journal"
        if not Path(journal).is_file():
            raise ConfigurationError(f"cache: there is no journal {journal!r}", argument="cache")
        found.append(journal)
    return tuple(found)


def _checked_cluster(cluster: Any) -> Any:
    """A cluster, if what it needs is installed."""
    if cluster is not None and find_spec("distributed") is None:
        raise ConfigurationError('cluster needs: pip install "llmclients[dask]"', argument="cluster")
    return cluster


def _prices(prices: Any) -> Prices | None:
    if prices is None:
        return None
    if (
        not isinstance(prices, Sequence)
        or len(prices) != 2
        or not all(isinstance(price, int | float) and price >= 0 for price in prices)
    ):
        raise ConfigurationError(
            "prices must be two numbers: of a million tokens of requests, and of answers", argument="prices"
        )
    return Prices(*map(float, prices))
