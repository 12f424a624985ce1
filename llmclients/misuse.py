"""`misused`: a method that only says what to write in its place, such as `__enter__` of what needs `async with`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

__all__ = ["misused"]

# Python's own errors name a protocol ("does not support the context manager protocol"), and not what to write. Where
# these methods are assigned, type checkers are kept from seeing them: for them, the mistake stays one.


def misused(message: str) -> Callable[..., Any]:
    """A method that raises TypeError with this message."""

    def method(self: object, *args: object) -> NoReturn:
        raise TypeError(message)

    return method
