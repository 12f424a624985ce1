"""The tables, and their places in `docs/providers.md`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from helpers import every_provider

from llmclients.codecs.base import CodecOptions
from llmclients.providers.provider import Provider
from llmclients.providers.registry import find_provider

from .ask import TABLES
from .subject import Subject

__all__ = ["PAGE", "with_tables"]

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
_PLACE = re.compile(r"(<!-- (providers|features): .*? -->\n).*?(<!-- end -->)", re.DOTALL)


def with_tables(page: str) -> str:
    """The page with the tables as they are now."""
    made = {"providers": providers, "features": features}
    return _PLACE.sub(lambda place: f"{place[1]}\n{made[place[2]]()}\n{place[3]}", page)


def providers() -> str:
    """What the registry knows of each provider."""
    rows = []
    for name in every_provider():
        provider = find_provider(name)
        options = provider.load_codec().options.model_fields
        own = [f"`{option}`" for option in options if option not in CodecOptions.model_fields]
        names = ", also ".join(f"`{one}`" for one in (name, *provider.aliases))
        rows.append([names, _key(provider), " ".join(own) or "none", provider.notes])
    return _table(["name", "key", "options of its own", "notes"], rows)


def features() -> str:
    """What each provider does with each feature: all of it asked."""
    subjects = [Subject(name) for name in every_provider()]
    parts = []
    for title, columns in TABLES.items():
        rows = [[f"`{subject.name}`", *(ask(subject) for ask in columns.values())] for subject in subjects]
        parts.append(f"### {title}\n\n{_table(['provider', *columns], rows)}")
    return "\n".join(parts)


def _key(provider: Provider) -> str:
    names = " or ".join(f"`{name}`" for name in (*provider.key_variables, *provider.token_variables))
    return names + ("" if provider.key_required else ", if there is one") if names else "none"


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    return "".join("| " + " | ".join(line) + " |\n" for line in (head, ["---"] * len(head), *rows))
