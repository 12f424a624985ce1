"""What stands in for the connections of all clients, while the tests of a program want that: see `mock_clients`.

A client's own transport is behind a `SyncConnections` or `AsyncConnections`, which looks here before each request: so
clients that were made long before are answered, too, and reach their real connections again afterwards. It is one for
the whole process, threads and event loops included. A client that was given a transport keeps that one.

A client that has been closed opens nothing more, whatever stands behind it.
"""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from typing import Any, NamedTuple, Protocol

from llmclients.config.values import Timeout
from llmclients.transports.base import (
    AsyncResponse,
    AsyncTransport,
    Clock,
    HTTPRequest,
    Response,
    Transport,
    client_closed,
)

__all__ = ["AsyncConnections", "StandIn", "SyncConnections", "is_mocked", "remove_stand_in", "set_stand_in"]


class StandIn(Protocol):
    """Has a transport for each kind of client: a `MockTransport`."""

    def sync(self) -> Transport: ...
    def asynchronous(self) -> AsyncTransport: ...


class MockEndpoint(NamedTuple):
    """Where a server on this machine would listen, if one had been started."""

    base_url: str = "http://127.0.0.1/v1"
    api_key: str = "mock"


_NO_SERVER = MockEndpoint()
_stand_ins: list[StandIn] = []  # the last one counts
_lock = threading.Lock()


class _Current:
    """The last one's transports. A request reads one of them once: a block may end in another thread meanwhile."""

    sync: Transport | None = None
    asynchronous: AsyncTransport | None = None


def _update() -> None:
    _Current.sync = _stand_ins[-1].sync() if _stand_ins else None
    _Current.asynchronous = _stand_ins[-1].asynchronous() if _stand_ins else None


def is_mocked() -> bool:
    """Whether something stands in now: then nothing is sent, and no key is needed."""
    return bool(_stand_ins)


def set_stand_in(stand_in: StandIn) -> None:
    """From now on it answers, in place of the one before."""
    with _lock:
        _stand_ins.append(stand_in)
        _update()


def remove_stand_in(stand_in: StandIn) -> None:
    """From now on the one before it answers, or the real connections do. They may end in any order."""
    with _lock:
        _stand_ins.remove(stand_in)
        _update()


class _Connections:
    """What both kinds have besides a transport's methods.

    Attributes:
        closed: whether the client has been closed. It stays so.
    """

    closed = False

    @property
    def endpoint(self) -> MockEndpoint | None:
        """What a provider has in place of the server that it starts on this machine; None: it is to be started."""
        return _NO_SERVER if _stand_ins else None


class SyncConnections(_Connections):
    """A `Client`'s own connections, unless something stands in for them."""

    def __init__(self, transport: Transport) -> None:
        self._connections = transport

    @property
    def clock(self) -> Clock:
        return (_Current.sync or self._connections).clock

    def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> Response:
        if self.closed:
            raise client_closed()
        response = (_Current.sync or self._connections).open(request, timeout, deadline)
        if self.closed:  # meanwhile, by another thread or a signal's handler, which did not see this connection
            response.close()
            self._connections.close()
            from llmclients.transports.errors import closed_locally  # it needs ssl: slow to load

            raise closed_locally()
        return response

    def abort(self, request: HTTPRequest) -> bool:
        abort = getattr(self._connections, "abort", None)
        return abort is None or _Current.sync is not None or abort(request)

    def close(self) -> None:
        self.closed = True
        self._connections.close()


class AsyncConnections(_Connections):
    """The same of an `AsyncClient`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._connections = transport

    @property
    def clock(self) -> Clock:
        return (_Current.asynchronous or self._connections).clock

    def open(
        self, request: HTTPRequest, timeout: Timeout, deadline: float | None
    ) -> Coroutine[Any, Any, AsyncResponse]:
        if self.closed:
            raise client_closed()
        return (_Current.asynchronous or self._connections).open(request, timeout, deadline)  # its coroutine as it is

    async def close(self) -> None:
        self.closed = True
        await self._connections.close()
