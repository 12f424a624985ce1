"""`later`: a maker's SDK that is imported when a test first asks for something of it.

Each process that shares the tests collects all of them, and the SDKs take seconds to import: only the process that has
the tests of one loads it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["later"]


class _Later:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, member: str) -> Any:
        if member.startswith(("_", "pytest")):  # pytest asks every name of a module what it is
            raise AttributeError(member)
        return getattr(import_module(self._name), member)


def later(name: str) -> Any:
    """What `import name` would give, to be used in the same way."""
    return _Later(name)
