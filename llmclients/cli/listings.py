"""The commands `providers` and `models`: lists that fit the terminal's width, or JSON for programs."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import textwrap
from collections.abc import Sequence

from llmclients.cli.markdown.tables import shrunk
from llmclients.config.credentials import key_origin
from llmclients.providers.provider import Provider
from llmclients.providers.registry import find_provider, provider_names

__all__ = ["models", "providers", "table"]

_HEADS = ("PROVIDER", "MODEL", "KEY", "SERVICE", "NOTES")
_SERVICES = {True: "working", False: "gone", None: "unknown"}
_NARROWEST = 10
_UNBROKEN = 26
"""Longer ones, such as addresses, may be broken."""


def models(arguments: argparse.Namespace) -> int:
    """Print a provider's models, one a line; where that is a terminal, in columns."""
    from llmclients.cli.model_cache import keep_models
    from llmclients.client import Client

    with Client(arguments.provider, base_url=arguments.base_url, timeout=arguments.timeout) as client:
        names = client.models()
    if arguments.base_url is None:
        keep_models(find_provider(arguments.provider.partition("/")[0]).name, names)
    if arguments.json:
        print(json.dumps(names, ensure_ascii=False))
        return 0
    room = _room()
    widest = max(map(len, names), default=0) + 2
    per_line = 1 if room is None else max(room // widest, 1) if len(names) > 10 else 1
    lines = -(-len(names) // per_line)
    for row in range(lines):
        print("".join(name.ljust(widest) for name in names[row::lines]).rstrip())
    return 0


def providers(arguments: argparse.Namespace) -> int:
    """Print the table of providers, and which keys are set."""
    found = [find_provider(name) for name in provider_names()]
    if arguments.json:
        print(json.dumps([_as_dict(provider) for provider in found], ensure_ascii=False))
        return 0
    rows, room = [_row(provider) for provider in found], _room()
    lines = table(_HEADS, rows, room)
    if lines is None:
        assert room is not None
        lines = [line for row in rows for line in _entry(row, room)]
    print("\n".join(lines))
    return 0


def _as_dict(provider: Provider) -> dict[str, object]:
    return {
        "name": provider.name,
        "aliases": list(provider.aliases),
        "model": provider.default_model,
        "key_variables": list(provider.key_variables),
        "key_required": provider.key_required,
        "key": key_origin(provider),
        "service": _SERVICES[provider.working],
        "notes": provider.notes,
    }


def _row(provider: Provider) -> tuple[str, ...]:
    names = " ".join((provider.name, *(f"({alias})" for alias in provider.aliases)))
    origin = key_origin(provider)
    key = " or ".join(provider.key_variables) or "none"
    if provider.key_variables:
        key = f"set: {origin}" if origin else f"not set: {key}"
    return names, provider.default_model or "yours to name", key, _SERVICES[provider.working], provider.notes


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], room: int | None) -> list[str] | None:
    """Lines of a table that has columns as wide as they need, or fits into `room` columns: then cells are wrapped.

    None, if it would have to break words for that.
    """
    columns = [*zip(heads, *rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    if room is not None:
        least = [min(max(len(part) for cell in column for part in cell.split()), _UNBROKEN) for column in columns]
        widths = shrunk(widths, least, room - 2 * len(widths) + 2)
        if sum(widths) + 2 * len(widths) - 2 > room:
            return None
    lines = []
    for row in (heads, *rows):
        cells = [_wrapped(cell, width) or [""] for cell, width in zip(row, widths, strict=True)]
        for number in range(max(map(len, cells))):
            parts = (cell[number] if number < len(cell) else "" for cell in cells)
            lines.append("  ".join(part.ljust(width) for part, width in zip(parts, widths, strict=True)).rstrip())
    return lines


def _entry(row: tuple[str, ...], room: int) -> list[str]:
    """A row where there is no room for a table: the name and its notes, and below them the rest."""
    name, model, key, service, notes = row
    rest = ", ".join(f"{head.lower()} {cell}" for head, cell in (("key", key), ("model", model), ("service", service)))
    return [*_wrapped(f"{name}: {notes}", room), *_wrapped(f"    {rest}", room, subsequent_indent="    ")]


def _wrapped(text: str, width: int, **options: str) -> list[str]:
    return textwrap.wrap(text, max(width, _NARROWEST), break_on_hyphens=False, **options)  # type: ignore[arg-type]


def _room() -> int | None:
    """The terminal's width; None where the output goes elsewhere."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
