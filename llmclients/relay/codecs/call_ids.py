"""`CallIds`: ids for the calls of a history on wires whose calls have none, or not always."""

from __future__ import annotations

from typing import Any

__all__ = ["CallIds"]


class CallIds:
    """Gives each call an id, and each result the id of the call that it answers.

    A result without an id belongs to the first call of its function that has no result yet; without such a function's
    name, to the first call of any.
    """

    def __init__(self) -> None:
        self._open: dict[str, str] = {}  # calls without a result: the function's name by the call's id
        self._count = 0

    def begin(self, name: str, id_: Any = None) -> str:
        """The id of the next call: its own, if it has one."""
        self._count += 1
        found = id_ if isinstance(id_, str) and id_ else f"call_{self._count}"
        self._open[found] = name
        return found

    def answered(self, name: str, id_: Any = None) -> str:
        """The id of the call that a result belongs to; a new one where no call fits."""
        found = id_ if isinstance(id_, str) and id_ else None
        if found is None:
            fitting = [open_id for open_id, open_name in self._open.items() if name in ("", open_name)]
            found = fitting[0] if fitting else self.begin(name)
        self._open.pop(found, None)
        return found
