"""A codec is pure: while it works, the world is sealed off."""

from __future__ import annotations

import builtins
import datetime
import os
import random
import secrets
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

__all__ = ["sealed"]

_FUNCTIONS: tuple[tuple[Any, str], ...] = (
    *((time, name) for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep")),
    *((random, name) for name in ("random", "randint", "randrange", "choice", "getrandbits", "randbytes", "uniform")),
    *((secrets, name) for name in ("token_bytes", "token_hex", "token_urlsafe")),
    *((uuid, name) for name in ("uuid1", "uuid4")),
    *((socket, name) for name in ("socket", "create_connection", "getaddrinfo")),
    (builtins, "open"),
    (threading.Thread, "start"),
)


@contextmanager
def sealed(thing: object) -> Iterator[None]:
    """Clock, random numbers, environment, files, threads and sockets raise AssertionError in this thread meanwhile.

    They do so, too, where the modules of `thing`'s classes have them by a name of their own.
    """
    me = threading.get_ident()

    def forbid(what: str) -> None:
        if threading.get_ident() == me:
            raise AssertionError(f"a codec is pure, but this one uses {what}")

    stand_ins: dict[int, Any] = {}
    targets: list[tuple[Any, str]] = []
    for owner, name in _FUNCTIONS:
        stand_ins[id(getattr(owner, name))] = _stand_in(getattr(owner, name), f"{owner.__name__}.{name}", forbid)
        targets.append((owner, name))
    stand_ins[id(vars(os)["environ"])] = _Environment(vars(os)["environ"], forbid)
    stand_ins[id(vars(os)["getenv"])] = _stand_in(vars(os)["getenv"], "os.getenv", forbid)
    stand_ins[id(datetime.datetime)] = _date_class(forbid)
    targets += [(os, "environ"), (os, "getenv"), (datetime, "datetime")]
    for module in {sys.modules.get(kind.__module__) for kind in type(thing).__mro__} - {None, builtins}:
        targets += [(module, name) for name, value in vars(module).items() if id(value) in stand_ins]
    with ExitStack() as stack:
        for owner, name in targets:
            stack.enter_context(patch.object(owner, name, stand_ins[id(getattr(owner, name))]))
        yield


def _stand_in(original: Callable[..., Any], what: str, forbid: Callable[[str], None]) -> Callable[..., Any]:
    def stand_in(*args: Any, **kwargs: Any) -> Any:
        forbid(what)
        return original(*args, **kwargs)

    return stand_in


def _date_class(forbid: Callable[[str], None]) -> type[datetime.datetime]:
    class Date(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            forbid("datetime.now")
            return super().now(tz)

    return Date


class _Environment(Mapping[str, str]):
    def __init__(self, environ: Mapping[str, str], forbid: Callable[[str], None]) -> None:
        self._environ = environ
        self._forbid = forbid

    def __getitem__(self, name: str) -> str:
        self._forbid("os.environ")
        return self._environ[name]

    def __iter__(self) -> Iterator[str]:
        self._forbid("os.environ")
        return iter(self._environ)

    def __len__(self) -> int:
        self._forbid("os.environ")
        return len(self._environ)
