"""aiohttp's connection as HTTP says: for the asynchronous transport.

aiohttp takes a reset for the end of a body that has no length, says nothing when a chunk is malformed, and waits for
ever after an interim response.
"""

from __future__ import annotations

import select
from typing import Any

from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

__all__ = ["Connection"]

_MAX_INTERIM_HEADS = 20


class Connection(ResponseHandler):
    """One connection, which serves one exchange after the other."""

    _heads = 0
    _last_bytes = 0.0

    def set_response_params(self, **params: Any) -> None:
        self._heads = 0
        super().set_response_params(**params)

    async def read(self) -> Any:
        """The next head."""
        if self._heads > _MAX_INTERIM_HEADS:
            raise HttpProcessingError(code=502, message="too many interim responses")
        if self._heads:
            self.start_timeout()
        self._heads += 1
        return await super().read()

    def _reschedule_timeout(self) -> None:
        # Called for each piece of data: one timer that looks at the clock when it fires is cheaper than a new
        # one each time.
        if self._read_timeout is None:
            self._drop_timeout()
            return
        self._last_bytes = self._loop.time()
        if self._read_timeout_handle is None:
            self._read_timeout_handle = self._loop.call_later(self._read_timeout, self._on_read_timeout)

    def _on_read_timeout(self) -> None:
        left = self._last_bytes + (self._read_timeout or 0.0) - self._loop.time()
        if left > 0:
            self._read_timeout_handle = self._loop.call_later(left, self._on_read_timeout)
        else:
            super()._on_read_timeout()

    def is_connected(self) -> bool:
        """Whether it may serve another exchange: also not when its end has come and the loop has yet to notice."""
        if not super().is_connected() or self.transport is None:
            return False
        sock = self.transport.get_extra_info("socket")
        if sock is None or not hasattr(select, "poll"):
            return True
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return not poll.poll(0)

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        if isinstance(exc, HttpProcessingError):
            self._tell_reader(exc)
        super().set_exception(exc, *cause)

    def connection_lost(self, exc: BaseException | None) -> None:
        if exc is not None:
            self._tell_reader(exc)
        super().connection_lost(exc)

    def _tell_reader(self, exc: BaseException) -> None:
        body = self._payload
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(exc)
