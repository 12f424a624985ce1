"""`DaskCluster`: the workers of a Dask cluster, behind the few things that a run wants of them."""

# Dask does what it is good at: it knows the workers, gives each task to one that is free, gives it to another when that
# one dies, and has ways to start workers on anything. A task here is small (two names and a number), and so is what it
# returns. What Dask forgets when its scheduler, or the connection to it, is gone is asked for again by who uses this.

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import distributed
from distributed.comm import CommClosedError

from llmclients.errors import ConfigurationError

__all__ = ["DaskCluster", "Task"]

_CONNECT = 15.0  # seconds
_MEND = 60.0
_PAUSE = 0.5


class Task:
    """A task that was given to the cluster."""

    def __init__(self, future: Any) -> None:
        self._future = future

    @property
    def is_done(self) -> bool:
        """Whether it has ended, or was lost."""
        return bool(self._future.status != "pending")

    def result(self) -> Any:
        """What it returned; what it raised is raised."""
        return self._future.result()

    def drop(self) -> None:
        """Have it not begin. What has begun goes on, and nobody hears of it."""
        with suppress(Exception):  # the connection may be gone
            self._future.cancel()


class _Connection(distributed.Client):  # type: ignore[misc]  # Dask has no types
    """A Dask client that leaves nothing behind where nobody answers.

    Dask's own has a thread with a loop by then, and ends it when the garbage collector finds it. The collector may run
    in the thread that the next client has just begun: that waits for a lock which its beginner holds, for ten seconds.
    """

    def __init__(self, address: str, seconds: float = _CONNECT) -> None:
        try:
            super().__init__(address, timeout=seconds, set_as_default=False)
        except BaseException:
            with suppress(Exception):  # it may not have come as far as that
                self.close(timeout=_PAUSE)
            raise


def _connected(address: str) -> _Connection:
    """A connection to a scheduler, which may be about to be replaced by another one: it breaks off just then."""
    until = time.monotonic() + _CONNECT
    while True:
        try:
            return _Connection(address, max(until - time.monotonic(), _PAUSE))
        except CommClosedError:  # for any other reason Dask has tried it as long itself
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE)


class DaskCluster:
    """A connection to a scheduler.

    Args:
        cluster: its address, such as `tcp://10.0.0.1:8786`, or a `distributed.Client`, which stays the caller's.

    Raises:
        ConfigurationError: it is neither, or nobody answers.
    """

    def __init__(self, cluster: Any) -> None:
        self._address: str | None = None
        self._client: Any
        if isinstance(cluster, distributed.Client):
            if cluster.asynchronous:
                raise ConfigurationError(
                    "cluster is a Dask client with asynchronous=True, for which nobody here can wait: give the "
                    "scheduler's address, or one without it",
                    argument="cluster",
                )
            self._client = cluster
        elif isinstance(cluster, str | os.PathLike):
            self._address = os.fspath(cluster)
            try:
                self._client = _connected(self._address)
            except (OSError, ValueError) as error:
                raise ConfigurationError(
                    f"cluster: no Dask scheduler answers at {self._address!r}: {error}", argument="cluster"
                ) from None
        else:
            raise ConfigurationError(
                "cluster must be a Dask scheduler's address, such as 'tcp://10.0.0.1:8786', or a Dask client: "
                f"not {type(cluster).__name__}",
                argument="cluster",
            )

    @property
    def threads(self) -> int:
        """The tasks that its workers do at a time."""
        return sum(self._client.nthreads().values())

    def everywhere(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """What a function returns on each worker that is there now, or the exception that it raised, by address."""
        found: dict[str, Any] = self._client.run(function, *arguments, on_error="return")
        return found

    def submit(self, name: str, function: Callable[..., Any], *arguments: Any, on_end: Callable[[], None]) -> Task:
        """Give it a task. `on_end` is called in another thread when it has ended, or was lost."""
        future = self._client.submit(function, *arguments, key=name, pure=False)
        future.add_done_callback(lambda _: on_end())
        return Task(future)

    @property
    def is_connected(self) -> bool:
        """Whether the scheduler is there."""
        return bool(self._client.status == "running")

    def mend(self, is_over: Callable[[], bool]) -> bool:
        """Connect again, to what may be another scheduler at the same address. Returns whether it is there."""
        until = time.monotonic() + _MEND
        while not self.is_connected and time.monotonic() < until and not is_over():
            time.sleep(_PAUSE)
            if self._address is not None and self._client.status in ("closed", "closing"):
                with suppress(OSError):
                    self._client = _Connection(self._address)
        return self.is_connected

    def close(self) -> None:
        """Close the connection, if it is of this object."""
        if self._address is not None:
            with suppress(OSError):
                self._client.close(timeout=_PAUSE)
