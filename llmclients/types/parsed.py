"""`HasParsed`: an answer of which type checkers know what its `parsed` is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import Self, TypeVar

__all__ = ["AnswerT", "HasParsed", "ParsedT"]

ParsedT = TypeVar("ParsedT", default=Any, covariant=True)
"""What `parsed` is."""
AnswerT = TypeVar("AnswerT", default=Any)
"""The same, in functions."""

if TYPE_CHECKING:

    class HasParsed(Generic[ParsedT]):
        """A class of which checkers know what `parsed` is."""

else:

    class HasParsed:
        """The same while a program runs: what pydantic knows as generic gets a class for each type, this is itself."""

        __slots__ = ()

        def __class_getitem__(cls, parsed: Any) -> type[Self]:
            return cls
