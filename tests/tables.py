"""`table`: the cases of a test in one item, since what pytest does around an item costs more than most cases do."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

__all__ = ["table"]

Ids = Callable[[Any], object] | Sequence[object] | None
_PARAM = type(pytest.param())
_SAID = 60
"""How many characters of a value are in its row's name."""


def table(names: str, rows: Iterable[Any], ids: Ids = None) -> Callable[[Any], Any]:
    """As `pytest.mark.parametrize`, but all rows are subtests of one test, each named after its values.

    Each row is given a `monkeypatch` of its own; other fixtures are shared by all of them.
    """
    arguments = [name.strip() for name in names.split(",")]
    cases = list(_cases(rows, ids, len(arguments)))
    assert cases, "a table without rows tests nothing"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        parameters = inspect.signature(test).parameters
        assert not inspect.iscoroutinefunction(test), "nobody would await it"

        def every_row(subtests: pytest.Subtests, **fixtures: Any) -> None:
            if "subtests" in parameters:  # of a table below this one
                fixtures["subtests"] = subtests
            for name, values in cases:
                with subtests.test(name), pytest.MonkeyPatch.context() as patch:
                    if "monkeypatch" in parameters:
                        fixtures["monkeypatch"] = patch
                    test(**fixtures, **dict(zip(arguments, values, strict=True)))

        given = {*arguments, "subtests", "monkeypatch"}
        others = [parameter for name, parameter in parameters.items() if name not in given]
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            setattr(every_row, name, getattr(test, name))
        every_row.__dict__.update(vars(test))  # its marks
        first = inspect.Parameter("subtests", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        every_row.__signature__ = inspect.Signature([first, *others])  # type: ignore[attr-defined]
        return every_row

    return decorate


def _cases(rows: Iterable[Any], ids: Ids, count: int) -> Iterable[tuple[str, tuple[Any, ...]]]:
    rows = list(rows)
    names = [None] * len(rows) if ids is None or callable(ids) else ids
    for row, name in zip(rows, names, strict=True):  # else rows without a name would be left out in silence
        given = isinstance(row, _PARAM)
        assert not (given and row.marks), "a row has no marks of its own"
        values = tuple(row.values if given else row if count > 1 else (row,))
        yield str((row.id if given else None) or name or ", ".join(_said(value, ids) for value in values)), values


def _said(value: Any, ids: Ids) -> str:
    if callable(ids):
        return str(ids(value))[:_SAID]
    return repr(value[:_SAID] if isinstance(value, (str, bytes)) else value)[:_SAID]  # it may be megabytes
