"""What goes wrong on a connection: exceptions of the asynchronous transport, each the reason of one error of ours."""

from __future__ import annotations

import socket
import ssl

from llmclients.transports.errors import (
    CERTIFICATE,
    CONNECT,
    CONNECTION_LOST,
    INVALID_REQUEST,
    MALFORMED,
    PROXY,
    RESOLVE,
    SLOW_ANSWER,
    SLOW_CONNECT,
    SLOW_SENDING,
    SYSTEM_ROWS,
    TLS,
    Row,
)
from llmclients.transports.head import InvalidRequestError, MalformedError

__all__ = [
    "EXCEPTIONS",
    "ConnectFailedError",
    "ConnectTimeoutError",
    "ConnectionLostError",
    "DeadlineError",
    "HandshakeFailedError",
    "InvalidRequestError",
    "MalformedError",
    "ProxyFailedError",
    "ReadTimeoutError",
    "WriteTimeoutError",
]


class ConnectFailedError(Exception):
    """No address of the host takes a connection; the cause is the system's error."""


class ConnectTimeoutError(Exception):
    """No connection was ready within `Timeout.connect`."""


class ReadTimeoutError(Exception):
    """Nothing came within `Timeout.read`."""


class WriteTimeoutError(Exception):
    """Nothing of the request went out within `Timeout.write`."""


class DeadlineError(Exception):
    """The call's deadline passed while the exchange was under way."""


class ConnectionLostError(Exception):
    """The connection ended. `before_reply`: not one byte had come of the reply; the cause may say why."""

    def __init__(self, message: str = "", *, before_reply: bool = False) -> None:
        super().__init__(message)
        self.before_reply = before_reply


class HandshakeFailedError(Exception):
    """The peer ended the connection during the TLS handshake."""


class ProxyFailedError(Exception):
    """The proxy does not let through. `status` and `message` are of its answer to CONNECT, where there was one."""

    def __init__(self, status: int | None = None, message: str = "") -> None:
        super().__init__()
        self.status = status
        self.message = message


EXCEPTIONS: tuple[Row, ...] = (
    (InvalidRequestError, None, INVALID_REQUEST),
    (ProxyFailedError, None, PROXY),
    (socket.gaierror, None, RESOLVE),
    (ConnectFailedError, None, CONNECT),
    (ssl.SSLCertVerificationError, None, CERTIFICATE),
    (HandshakeFailedError, None, TLS),
    (ConnectTimeoutError, None, SLOW_CONNECT),
    (ReadTimeoutError, None, SLOW_ANSWER),
    (WriteTimeoutError, None, SLOW_SENDING),
    (MalformedError, None, MALFORMED),
    (ConnectionLostError, None, CONNECTION_LOST),
    *SYSTEM_ROWS,
    (UnicodeError, "open", INVALID_REQUEST),  # a name that is none
)
"""What these, and the system's, mean; see `llmclients.transports.errors`."""
