"""`refuse_data_frame`: pandas and polars iterate a data frame by its columns, so its columns' names would be asked."""

from __future__ import annotations

from llmclients.errors import ConfigurationError

__all__ = ["refuse_data_frame"]

_ROWS = {"iterrows": "to_dict('records')", "iter_rows": "iter_rows(named=True)"}
"""A method that only data frames have, of pandas and of polars; and how the library gives rows as dicts."""


def refuse_data_frame(value: object, argument: str) -> None:
    """Raise ConfigurationError for a data frame, saying what to give instead."""
    for method, rows in _ROWS.items():
        if hasattr(type(value), method):
            instead = f"one column, {argument}['…']" + (f", or {argument}.{rows}" if argument == "rows" else "")
            raise ConfigurationError(
                f"{argument} is a data frame, which is iterated by its columns' names: give {instead}",
                argument=argument,
            )
