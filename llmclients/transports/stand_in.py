"""What stands in for the connections of all clients, while the tests of a program want that: see `mock_clients`.

A client's own transport is behind a `SyncConnections` or `AsyncConnections`, which looks here before each request: so
clients that were made long before are answered, too, and reach their real connections again afterwards. It is one for
the whole process, threads and event loops included. A client that was given a transport keeps that one.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, NamedTuple, Protocol

from llmclients.config.values import Timeout
from llmclients.transports.base import AsyncResponse, AsyncTransport, Clock, HTTPRequest, Response, Transport

__all__ = ["AsyncConnections", "StandIn", "SyncConnections", "is_mocked", "remove_stand_in", "set_stand_in"]


class StandIn(Protocol):
    """Has a transport for each kind of client: a `MockTransport`."""

    def sync(self) -> Transport: ...
    def asynchronous(self) -> AsyncTransport: ...


class MockEndpoint(NamedTuple):
    """Where a server in this process would listen, if one had been started."""

    base_url: str = "http://127.0.0.1/v1"
    api_key: str = "mock"


_NO_SERVER = MockEndpoint()
# Looked at before each request, so without a function of its own.
_stand_ins: list[tuple[StandIn, Transport, AsyncTransport]] = []  # the last one counts


def is_mocked() -> bool:
    """Whether something stands in now: then nothing is sent, and no key is needed."""
    return bool(_stand_ins)


def set_stand_in(stand_in: StandIn) -> None:
    """From now on it answers, in place of the one before."""
    _stand_ins.append((stand_in, stand_in.sync(), stand_in.asynchronous()))


def remove_stand_in(stand_in: StandIn) -> None:
    """From now on the one before it answers, or the real connections do. They may end in any order."""
    places = [place for place, entry in enumerate(_stand_ins) if entry[0] is stand_in]
    del _stand_ins[places[-1]]


class SyncConnections:
    """A `Client`'s own connections, unless something stands in for them."""

    def __init__(self, transport: Transport) -> None:
        self._connections = transport

    @property
    def clock(self) -> Clock:
        return (_stand_ins[-1][1] if _stand_ins else self._connections).clock

    @property
    def endpoint(self) -> MockEndpoint | None:
        """What a provider has in place of the server that it starts in this process; None: it is to be started."""
        return _NO_SERVER if _stand_ins else None

    def open(self, request: HTTPRequest, timeout: Timeout, deadline: float | None) -> Response:
        return (_stand_ins[-1][1] if _stand_ins else self._connections).open(request, timeout, deadline)

    def close(self) -> None:
        self._connections.close()


class AsyncConnections:
    """The same of an `AsyncClient`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._connections = transport

    @property
    def clock(self) -> Clock:
        return (_stand_ins[-1][2] if _stand_ins else self._connections).clock

    @property
    def endpoint(self) -> MockEndpoint | None:
        """What a provider has in place of the server that it starts in this process; None: it is to be started."""
        return _NO_SERVER if _stand_ins else None

    def open(
        self, request: HTTPRequest, timeout: Timeout, deadline: float | None
    ) -> Coroutine[Any, Any, AsyncResponse]:
        return (_stand_ins[-1][2] if _stand_ins else self._connections).open(
            request, timeout, deadline
        )  # not awaited here: one coroutine less

    async def close(self) -> None:
        await self._connections.close()
