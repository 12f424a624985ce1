"""`Table`: one table of a configuration file, whose members are taken by name and type; what is left is unknown.

An error names the file and the member by its full name, and never a value: that may be a key.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from llmclients.config.environment import environ
from llmclients.errors import ConfigurationError

__all__ = ["Table"]

T = TypeVar("T")

_VARIABLE = re.compile(r"\$(\w+|\{\w+\})", re.ASCII)
_BARE = re.compile(r"[\w-]+", re.ASCII)


class Table:
    """One table.

    Args:
        values: its members.
        source: the file's name, for errors.
        name: the table's full name; "" for the whole file.
    """

    def __init__(self, values: Mapping[str, Any], source: str, name: str = "") -> None:
        self._values = dict(values)
        self._source = source
        self._name = name
        self._known: list[str] = []

    def error(self, member: str, problem: str) -> ConfigurationError:
        """The error that says what is unexpected about a member; about the table itself where `member` is ""."""
        place = ".".join(filter(None, (self._name, _quoted(member) if member else "")))
        return ConfigurationError(f"{self._source}: {place + ': ' if place else ''}{problem}", argument=place or None)

    def take(self, member: str, types: type[T] | tuple[type[T], ...], kind: str) -> T | None:
        """A member of these types, None where it is missing. `kind`: what it should be, in words.

        Raises:
            ConfigurationError: it is something else.
        """
        self._known.append(member)
        value = self._values.pop(member, None)
        # To TOML and Python alike, true is no number.
        takes_bool = bool in types if isinstance(types, tuple) else types is bool
        if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and not takes_bool)):
            raise self.error(member, f"must be {kind}, not {_kind(value)}")
        return value

    def text(self, member: str) -> str | None:
        """A text that is not empty."""
        value = self.take(member, str, "a text")
        if value is not None and not value.strip():
            raise self.error(member, "must not be empty")
        return value

    def texts(self, member: str) -> tuple[str, ...]:
        """A list of texts, or one text."""
        value = self.take(member, (str, list), "a text or a list of texts")
        items = [value] if isinstance(value, str) else value or []
        if not all(isinstance(item, str) and item.strip() for item in items):
            raise self.error(member, "must be texts that are not empty")
        return tuple(items)

    def secret(self, member: str) -> str | None:
        """A secret: as it is, or where it begins with `$`, from the environment variable of that name.

        Raises:
            ConfigurationError: the variable is not set.
        """
        value = self.text(member)
        return None if value is None else self.resolved(member, value)

    def resolved(self, member: str, value: str) -> str:
        """A value, or what the environment variable that it names has."""
        found = _VARIABLE.fullmatch(value)
        if found is None:
            return value
        variable = found[1].strip("{}")
        held = environ(variable)
        if held is None:
            raise self.error(member, f"the environment variable {variable} is not set")
        return held

    def number(self, member: str) -> float | None:
        """A number above 0."""
        value = self.take(member, (int, float), "a number")
        if value is not None and not 0 < value < math.inf:
            raise self.error(member, "must be a number above 0")
        return value

    def whole(self, member: str) -> int | None:
        """A whole number above 0."""
        value = self.take(member, int, "a whole number")
        if value is not None and value < 1:
            raise self.error(member, "must be a whole number above 0")
        return value

    def text_members(self, member: str) -> dict[str, str]:
        """A table of texts."""
        inner = self.table(member)
        return {name: inner.text(name) or "" for name in list(inner._values)}

    def secret_members(self, member: str) -> dict[str, str]:
        """A table of secrets."""
        inner = self.table(member)
        return {name: inner.secret(name) or "" for name in list(inner._values)}

    def mapping(self, member: str) -> dict[str, Any]:
        """A table as it is; empty where it is missing."""
        return dict(self.take(member, dict, "a table") or {})

    def table(self, member: str) -> Table:
        """A table inside this one; empty where it is missing."""
        return self._inner(member, self.mapping(member))

    def tables(self, member: str) -> Iterator[tuple[str, Table]]:
        """The tables of a table, by their names."""
        outer = self._inner(member, self.mapping(member))
        for name, value in outer._values.items():
            if not isinstance(value, dict):
                raise outer.error(name, f"must be a table, not {_kind(value)}")
            yield name, outer._inner(name, value)

    def end(self, known: Iterable[str] = ()) -> None:
        """Raise ConfigurationError for a member that nobody has taken. `known`: further names that might be meant."""
        for member in self._values:
            near = difflib.get_close_matches(member.replace("-", "_"), [*self._known, *known], n=1)
            hint = f"did you mean {near[0]}" if near else f"known are {', '.join([*self._known, *known])}"
            raise self.error("", f"unknown member {member!r}: {hint}")

    def _inner(self, member: str, values: Mapping[str, Any]) -> Table:
        return Table(values, self._source, ".".join(filter(None, (self._name, _quoted(member)))))


def _quoted(member: str) -> str:
    """A member's name as the file has it."""
    return member if _BARE.fullmatch(member) else repr(member)


def _kind(value: Any) -> str:
    names = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "a table"}
    return next((name for type_, name in names.items() if type(value) is type_), f"a {type(value).__name__}")
