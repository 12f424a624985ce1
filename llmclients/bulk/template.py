"""`Template`: makes a row's prompt of its columns: a text with `{column}` in it, or a function of the caller's."""

from __future__ import annotations

import inspect
import json
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from llmclients.errors import ConfigurationError, InvalidRequestError

__all__ = ["AnyTemplate", "Template"]

AnyTemplate: TypeAlias = str | Callable[[Any], Any]


class Template:
    """What a caller may give as `template`.

    Args:
        template: text, in which `{name}` stands for a column and `{{` for a brace; or what makes a row of a row: text,
            a list of messages, or a dict as the input may have.

    Raises:
        ConfigurationError: it is neither, or its text has no column in it.

    Attributes:
        names: the columns in its text.
        function: the caller's function; None of a text.
    """

    def __init__(self, template: AnyTemplate) -> None:
        self.names: tuple[str, ...] = ()
        self.function: Callable[[Any], Any] | None = None
        self._template = template
        if isinstance(template, str):
            self._pieces = _pieces(template)
            self.names = tuple(dict.fromkeys(name for _, name in self._pieces if name is not None))
            if not self.names:
                raise ConfigurationError("template has no {column} in it", argument="template")
        elif callable(template):
            self.function = template
        else:
            raise ConfigurationError(
                f"template must be text or a function, not {type(template).__name__}", argument="template"
            )

    @property
    def fingerprint(self) -> str:
        """What tells whether it is the same: the text, or the function's source where there is one."""
        if isinstance(self._template, str):
            return self._template
        try:
            return inspect.getsource(self._template)
        except (OSError, TypeError):
            return f"{self._template.__module__}.{getattr(self._template, '__qualname__', type(self._template))}"

    def check(self, columns: Sequence[str]) -> None:
        """Raise ConfigurationError for a column that a table does not have."""
        for name in self.names:
            if name not in columns:
                raise ConfigurationError(
                    f"template: there is no column {name!r}; there are {', '.join(columns)}", argument="template"
                )

    def fill(self, columns: Mapping[str, Any]) -> str:
        """The text, with the columns in their places.

        Raises:
            InvalidRequestError: the row has not all of them.
        """
        found: list[str] = []
        for text, name in self._pieces:
            found.append(text)
            if name is None:
                continue
            value = columns.get(name)
            if value is None:
                raise InvalidRequestError(f"it has no {name!r}, which the template needs", argument="template")
            found.append(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
        return "".join(found)


def _pieces(template: str) -> list[tuple[str, str | None]]:
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(
            f"template: {error}; a brace that stands for itself is written twice", argument="template"
        ) from None
    for _, name, spec, conversion in parsed:
        if name is not None and (not name or spec or conversion):
            place = f"{{{name}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}}}"
            raise ConfigurationError(
                f"template: {place} is no column: give its name alone; a brace that stands for itself is written twice",
                argument="template",
            )
    return [(text, name) for text, name, _, _ in parsed]
