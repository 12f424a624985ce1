"""The tables, and their places in `docs/providers.md`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from helpers import every_provider

from llmclients.codecs.base import CodecOptions
from llmclients.providers.provider import Provider
from llmclients.providers.registry import find_provider

from .ask import TABLES, Ask
from .sources import ADDRESS, CONTRADICTIONS, SOURCES
from .subject import Subject

__all__ = ["PAGE", "with_tables"]

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
_PLACE = re.compile(r"(<!-- (providers|features|sources): .*? -->\n).*?(<!-- end -->)", re.DOTALL)
_DISPUTED = " †"


def with_tables(page: str) -> str:
    """The page with the tables as they are now."""
    made = {"providers": providers, "features": features, "sources": sources}
    return _PLACE.sub(lambda place: f"{place[1]}\n{made[place[2]]()}\n{place[3]}", page)


def providers() -> str:
    """What the registry knows of each provider."""
    rows = []
    for name in every_provider():
        provider = find_provider(name)
        options = provider.load_codec().options.model_fields
        own = [f"`{option}`" for option in options if option not in CodecOptions.model_fields]
        names = ", also ".join(f"`{one}`" for one in (name, *provider.aliases))
        address = f"`{provider.base_url}`" if provider.base_url else f"`{provider.base_url_variable}`"
        if provider.endpoint:
            address = "none"
        address += _DISPUTED if (name, ADDRESS) in disputed() else ""
        rows.append([names, address, _key(provider), " ".join(own) or "none", provider.notes])
    return _table(["name", "address", "key", "options of its own", "notes"], rows)


def features() -> str:
    """What each provider does with each feature: all of it asked."""
    subjects = [Subject(name) for name in every_provider()]
    parts = []
    for title, columns in TABLES.items():
        rows = [
            [f"`{subject.name}`", *(_cell(subject, column, ask) for column, ask in columns.items())]
            for subject in subjects
        ]
        parts.append(f"### {title}\n\n{_table(['provider', *columns], rows)}")
    return "\n".join(parts)


def sources() -> str:
    """The documents behind the cells, and those that contradict each other."""
    documents = []
    for name in every_provider():
        for source in SOURCES[name]:
            rest = "all others" if len(SOURCES[name]) > 1 else "all"
            cells = ", ".join(source.cells) or rest
            documents.append([f"`{name}`", cells, source.document, source.kind, source.read])
    contradictions = [
        [f"`{one.provider}`", ", ".join(one.cells), one.one, one.other, one.done] for one in CONTRADICTIONS
    ]
    return (
        f"{_table(['provider', 'cells', 'source', 'kind', 'read'], documents)}\n"
        "### Where sources contradict each other\n\n"
        f"{_table(['provider', 'cells', 'one says', 'another says', 'so it is'], contradictions)}"
    )


def disputed() -> set[tuple[str, str]]:
    """The cells of which two sources do not say the same, each as provider and column."""
    return {(one.provider, cell) for one in CONTRADICTIONS for cell in one.cells}


def _cell(subject: Subject, column: str, ask: Ask) -> str:
    return ask(subject) + (_DISPUTED if (subject.name, column) in disputed() else "")


def _key(provider: Provider) -> str:
    names = " or ".join(f"`{name}`" for name in (*provider.key_variables, *provider.token_variables))
    return names + ("" if provider.key_required else ", if there is one") if names else "none"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    return "".join("| " + " | ".join(line) + " |\n" for line in (head, ["---"] * len(head), *rows))
