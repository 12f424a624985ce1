"""Stars in place of a request's secrets, in texts and JSON values; and the search for them in chained errors.

A server may repeat what it was sent, a library may show it, and errors are logged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

__all__ = ["Mask", "chained_errors"]

_SECRET_NAME = re.compile("auth|cookie|key|secret|token|password", re.IGNORECASE)
_SECRET_HEADER = re.compile("authorization['\"]?: |cookie['\"]?: ", re.IGNORECASE)
_SHORTEST_SECRET = 6  # "none" and "test" are no secrets, but they are words


class Mask:
    """Puts stars in place of the secrets of a request, wherever they stand in a text or a JSON value."""

    def __init__(self, headers: tuple[tuple[str, str], ...], api_key: str | None) -> None:
        values = [api_key or ""]
        for name, value in headers:
            if _SECRET_NAME.search(name):
                values += [value, value.rpartition(" ")[2]]  # also without "Bearer"
        found = sorted({value for value in values if len(value) >= _SHORTEST_SECRET}, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, found))) if found else None

    def finds_in(self, text: str) -> bool:
        """Whether one stands there, or a header that has one: a proxy's is none of the request's own."""
        found = self._secrets is not None and self._secrets.search(text)
        return bool(found or _SECRET_HEADER.search(text))

    def __call__(self, value: Any) -> Any:
        if self._secrets is None:
            return value
        if isinstance(value, str):
            return self._secrets.sub("***", value)
        if isinstance(value, dict):
            return {self(name): self(item) for name, item in value.items()}
        return [self(item) for item in value] if isinstance(value, list) else value


def chained_errors(error: BaseException) -> Iterator[BaseException]:
    """The exceptions chained to `error` by `__cause__` or `__context__`, each once."""
    todo, seen = [error.__cause__, error.__context__], set[int]()
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [one.__cause__, one.__context__]
