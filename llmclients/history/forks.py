"""What is open in a process that forks: told before and after, in the parent and in the child."""

# SQLite knows which locks its process holds, and a child inherits that knowledge, but not the locks: a connection that
# was open at a fork can be neither used nor closed in the child, and spoils new ones. So nothing of a history is open
# while its process forks. `subprocess` does not fork in this sense: what it starts inherits nothing of ours.

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from weakref import WeakSet

__all__ = ["ForkAware"]


class ForkAware(ABC):
    """Something that has to be told of forks. Its constructor is to call this one's."""

    def __init__(self) -> None:
        _known.add(self)

    @abstractmethod
    def before_fork(self) -> None:
        """Close what a child must not inherit, and hold the lock."""

    @abstractmethod
    def after_fork(self, *, in_child: bool) -> None:
        """Give the lock up; in the child, where whoever waits for it is gone, have a new one."""


_known: WeakSet[ForkAware] = WeakSet()
_forking = threading.local()


def _before() -> None:
    _forking.warned = list(_known)
    for one in _forking.warned:
        one.before_fork()


def _after(*, in_child: bool) -> None:
    for one in _forking.__dict__.pop("warned", ()):
        one.after_fork(in_child=in_child)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before,
        after_in_parent=lambda: _after(in_child=False),
        after_in_child=lambda: _after(in_child=True),
    )
