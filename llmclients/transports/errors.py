"""Maps the exceptions of requests, urllib3, httpx and our own connections to the library's errors.

Each transport has a table of its library's exceptions (`EXCEPTIONS`, rows of `Row`); the errors and their messages are
made here, so that all transports say the same.
"""

# How an exception becomes an error:
#
# 1. A transport catches `Exception` around everything that its library does, and asks its `ErrorContext` for the error.
# 2. `_chain` lists the exception and what it wraps. Libraries wrap: requests has urllib3's exception in `args`, urllib3
#    has the system's in `reason`, aiohttp and asyncio use `__cause__`.
# 3. The table is read from the top. The first row whose class is *anywhere* in the chain decides, so specific classes
#    stand before the general ones that wrap them. A row may hold for one stage only.
# 4. The row names a `Fault`: which error that is while opening and while reading, and its message.
#
# What no row names is a bug, ours or a library's, and goes on as it is. The errors of llmclients.errors pass unchanged.
#
# Libraries put addresses, queries and headers into their messages, and those may hold keys. So none of their text is
# passed on, only what is known to be harmless: the system's text for an error number, why a certificate was refused, a
# proxy's status line.

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from llmclients.config.values import Proxy, Timeout
from llmclients.errors import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    ConfigurationError,
    LLMClientError,
    StreamInterruptedError,
    shown_url,
)
from llmclients.transports.base import Clock

__all__ = [
    "CERTIFICATE",
    "CONNECT",
    "CONNECTION_LOST",
    "INVALID_REQUEST",
    "MALFORMED",
    "PROXY",
    "RESOLVE",
    "SLOW_ANSWER",
    "SLOW_CONNECT",
    "SLOW_SENDING",
    "SYSTEM_ROWS",
    "TLS",
    "ErrorContext",
    "Fault",
    "Row",
    "Stage",
    "closed_locally",
]

Stage = Literal["open", "read"]


class Fault(NamedTuple):
    """A kind of failure: the error class while opening and while reading, and the message.

    A message may name `{host}`, `{peer}` (the proxy where there is one, else the host), `{proxy}`, `{reason}`, and the
    timeouts `{connect}`, `{read}` and `{write}` in seconds. `details` are further arguments of the error;
    `unknown_reason` stands for `{reason}` where the exceptions give none.
    """

    message: str
    opening: type[LLMClientError] = APIConnectionError
    reading: type[LLMClientError] = StreamInterruptedError
    reading_message: str | None = None
    details: tuple[tuple[str, Any], ...] = ()
    unknown_reason: str = "it was closed"


RESOLVE = Fault("the name of {peer} could not be resolved")
CONNECT = Fault("cannot connect to {peer}: {reason}", reading_message="the connection to {peer} was lost: {reason}")
CERTIFICATE = Fault(
    "the certificate of {host} was not accepted: {reason}; for an authority of your own, name its file with verify=",
    details=(("retryable", False),),
)
TLS = Fault(
    "no secure connection to {host}: {reason}",
    reading_message="the answer broke off: {reason}",
    unknown_reason="the handshake failed",
)
PROXY = Fault(
    "{proxy} does not let through to {host}: {reason}",
    reading_message="{proxy} broke off: {reason}",
    unknown_reason="it refused",
)
SLOW_CONNECT = Fault(
    "no connection to {peer} within {connect:g} s", APITimeoutError, APITimeoutError, details=(("phase", "connect"),)
)
SLOW_ANSWER = Fault(
    "nothing came from {host} for {read:g} s", APITimeoutError, APITimeoutError, details=(("phase", "read"),)
)
SLOW_SENDING = Fault(
    "{peer} took nothing more of the request for {write:g} s",
    APITimeoutError,
    APITimeoutError,
    details=(("phase", "write"),),
)
CONNECTION_LOST = Fault(
    "the connection to {peer} was lost before an answer came: {reason}",
    reading_message="the answer broke off: {reason}",
)
MALFORMED = Fault("what {host} sent is not HTTP", APIResponseError, APIResponseError)
INVALID_REQUEST = Fault(
    "the request cannot be sent: its URL or a header is not valid", ConfigurationError, ConfigurationError
)

# An exception's class, the stage it holds for (None: both), and what it means.
Row = tuple[type[BaseException], Stage | None, Fault]

SYSTEM_ROWS: tuple[Row, ...] = (
    (ssl.SSLCertVerificationError, None, CERTIFICATE),
    (socket.gaierror, None, RESOLVE),
    (ConnectionRefusedError, None, CONNECT),
    (ssl.SSLError, None, TLS),
    (TimeoutError, None, SLOW_ANSWER),
    (OSError, None, CONNECTION_LOST),
)

_KEEP_REQUESTS = ("requests", "httpx", "httpx2")


@dataclass(slots=True, eq=False)
class ErrorContext:
    """What an error must know of the exchange that it happened in. One for each exchange; makes all its errors.

    Args:
        url: the request's URL. Messages name its host only.
        proxy: the proxy that the request goes through.
        timeout: the exchange's timeouts, in seconds.
        deadline: when the exchange must be done, in seconds on `clock.monotonic`'s scale; None for never.
        clock: what the deadline is measured on.
        table: what the library's exceptions mean.
    """

    url: str
    proxy: Proxy | None
    timeout: Timeout
    deadline: float | None
    clock: Clock
    table: tuple[Row, ...] = ()

    def remaining(self) -> float | None:
        """Seconds until the deadline, or None without one.

        Raises:
            APITimeoutError: it has passed.
        """
        if self.deadline is None:
            return None
        seconds = self.deadline - self.clock.monotonic()
        if seconds <= 0:
            raise self.deadline_exceeded()
        return seconds

    def deadline_exceeded(self) -> APITimeoutError:
        """The error of an exchange whose deadline has passed."""
        total = self.timeout.total
        return APITimeoutError(f"not done within {'the deadline' if total is None else f'{total:g} s'}", phase="total")

    def read_timeout(self) -> APITimeoutError:
        """The error of an exchange in which nothing came for `timeout.read` seconds."""
        error = self._new_error(SLOW_ANSWER, "read", "")
        assert isinstance(error, APITimeoutError)
        return error

    def error(self, exception: Exception, stage: Stage) -> Exception:
        """The error to raise for a library's exception: the exception itself where it is ours, or in no row."""
        if isinstance(exception, LLMClientError):
            return exception
        chain = tuple(_chain(exception))
        for one in chain:
            _drop_request(one)
        fault = next(
            (row[2] for row in self.table if row[1] in (None, stage) and any(_is_instance(e, row[0]) for e in chain)),
            None,
        )
        if fault is None:
            return exception
        error = self._new_error(fault, stage, _reason(chain))
        # A wait that the deadline cut short looks like any other timeout to the library.
        if isinstance(error, APITimeoutError) and self.deadline is not None and self.clock.monotonic() >= self.deadline:
            return self.deadline_exceeded()
        return error

    def _new_error(self, fault: Fault, stage: Stage, reason: str) -> LLMClientError:
        try:
            host = urlsplit(shown_url(self.url)).netloc
        except ValueError:  # not a URL
            host = "the server"
        proxy = "the proxy" if self.proxy is None else f"the proxy {self.proxy.url_without_credentials}"
        message = (fault.reading_message or fault.message) if stage == "read" else fault.message
        text = message.format(
            host=host,
            peer=host if self.proxy is None else proxy,
            proxy=proxy,
            reason=reason or fault.unknown_reason,
            connect=self.timeout.connect,
            read=self.timeout.read_seconds,
            write=self.timeout.write_seconds,
        )
        return (fault.opening if stage == "open" else fault.reading)(text, **dict(fault.details))


def closed_locally() -> StreamInterruptedError:
    """The error of a read whose response its own user has closed: before it, or from elsewhere while it waited."""
    return StreamInterruptedError("the response was closed before its end", retryable=False)


def _drop_request(exception: BaseException) -> None:
    """Take the request off an error of requests or httpx: its headers have the key.

    Pickles do not keep what an error is chained to, until a library changes that for the whole process, as Dask does.
    """
    if type(exception).__module__.partition(".")[0] in _KEEP_REQUESTS:
        exception.request = None  # type: ignore[attr-defined]


def _chain(exception: BaseException) -> Iterator[BaseException]:
    """The exception and what it wraps, outermost first.

    Not by `__context__`: that may be an older failure that the caller is just handling.
    """
    todo, seen = [exception], set[int]()
    while todo:
        error = todo.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        wrapped = (error.__cause__, getattr(error, "reason", None), *error.args)
        todo += [e for e in wrapped if isinstance(e, BaseException)]


def _is_instance(exception: BaseException, class_: type[BaseException]) -> bool:
    # httpx2 has httpx's exceptions under the same names, as classes of its own.
    return isinstance(exception, class_) or any(
        c.__name__ == class_.__name__ and c.__module__.startswith("httpx2") for c in type(exception).__mro__
    )


_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3}[\x20-\x7e]*)")


def _reason(chain: tuple[BaseException, ...]) -> str:
    """Why, in a few words: the innermost exception that has some."""
    for error in reversed(chain):
        if isinstance(error, ssl.SSLCertVerificationError):
            return str(getattr(error, "verify_message", "") or "it does not match the host").rstrip(".")
        if isinstance(error, socket.gaierror):
            return "its name could not be resolved"
        if isinstance(error, ssl.SSLError) and getattr(error, "reason", None):
            return str(error.reason).replace("_", " ").lower()
        if isinstance(error, OSError):
            if tunnel := _TUNNEL.match(str(error.args[0]) if error.args else ""):
                return f"it answered {tunnel[1].strip()}"
            if number := _error_number(error):
                return os.strerror(number).lower()
        status = getattr(error, "status", None)
        if isinstance(status, int) and status >= 300:
            return f"it answered {status} {getattr(error, 'message', '')}".strip()
        if isinstance(error, http.client.IncompleteRead):
            return "it ended early"
    return ""


def _error_number(error: OSError) -> int | None:
    if error.errno is None and error.args and (found := re.search(r"\[Errno (\d+)\]", str(error.args[0]))):
        return int(found[1])  # several addresses were tried, and asyncio made one message of their errors
    return error.errno if error.errno is not None and error.errno > 0 else None
