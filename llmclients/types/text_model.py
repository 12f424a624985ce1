"""`TextModel`, the base of what has a text: an answer, a chunk, a message. Where it is used as one, it is its text."""

# `response == "Rome"`, `"Rome" in response`, `response + "!"`, `text += chunk`, `len(response)` and `f"{response:>9}"`
# mean the text. Indexing and iteration do not: characters are hardly what `for x in response` is after, so it says what
# to write. Of pydantic, `dict(response)` is left: it asks for `keys` and their values before it would iterate.
#
# Equality with a string is that of the text, between models it is pydantic's: of all fields. An object that can be
# hashed, as a chunk can, has its text's hash, so equal ones have equal hashes.

from __future__ import annotations

from abc import abstractmethod
from collections.abc import KeysView
from typing import TYPE_CHECKING, Any, NoReturn

from llmclients.types.base import Model

__all__ = ["TextModel"]


class TextModel(Model):
    """A `Model` with a `text`."""

    if TYPE_CHECKING:

        @property
        def text(self) -> str: ...

    def __str__(self) -> str:
        return self.text

    def __format__(self, spec: str) -> str:
        return format(self.text, spec)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.text == other
        return super().__eq__(other)

    def __bool__(self) -> bool:
        return True  # also without a text: it may have calls

    def __len__(self) -> int:
        return len(self.text)

    def __contains__(self, text: object) -> bool:
        if isinstance(text, str):
            return text in self.text
        raise TypeError(f"`in` looks for text in a {type(self).__name__}, not for {type(text).__name__}")

    def __add__(self, other: object) -> str:
        if isinstance(other, str | TextModel):
            return self.text + str(other)
        return NotImplemented

    def __radd__(self, other: object) -> str:
        if isinstance(other, str):
            return other + self.text
        return NotImplemented

    def __iter__(self) -> NoReturn:  # pydantic's gives names and values
        raise self._not_a_sequence("is not iterable")

    def keys(self) -> KeysView[str]:
        """The fields' names, for `dict(…)`."""
        return self.__dict__.keys()

    if not TYPE_CHECKING:  # for checkers, `response[0]` stays a mistake

        def __getitem__(self, name: Any) -> Any:
            if isinstance(name, str) and name in self.__dict__:
                return self.__dict__[name]
            raise self._not_a_sequence(f"has no {name!r} to look up" if isinstance(name, str) else "has no items")

    @abstractmethod
    def _instead(self) -> str:
        """What to write where one may try to iterate. (As a class variable, old pydantic would keep it by instance.)"""

    def _not_a_sequence(self, what: str) -> TypeError:
        return TypeError(f"a {type(self).__name__} {what}: {self._instead()}")
