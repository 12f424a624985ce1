"""Every exception of the HTTP libraries has a row in a table, and what the rows say."""

from __future__ import annotations

import inspect
import socket
import ssl
import time
from typing import Any

import aiohttp
import httpx
import pytest
import requests.exceptions
import urllib3.exceptions

from llmclients.config.values import Proxy, Timeout
from llmclients.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    ConfigurationError,
    LLMClientError,
    StreamInterruptedError,
)
from llmclients.transports.base import SYSTEM_CLOCK
from llmclients.transports.errors import ErrorContext, Row, Stage
from llmclients.transports.httpx import failures, user_client
from llmclients.transports.requests import transport as synchronous


def classes(*places: Any) -> list[type[Exception]]:
    """All exceptions of a library that these modules have; no warnings."""
    found = {
        thing
        for place in places
        for thing in vars(place).values()
        if inspect.isclass(thing) and issubclass(thing, Exception) and not issubclass(thing, Warning)
        if thing.__module__.partition(".")[0] in ("aiohttp", "httpx", "llmclients", "requests", "urllib3")
        if not issubclass(thing, LLMClientError)
    }
    return sorted(found, key=lambda class_: (class_.__module__, class_.__name__))


REQUESTS = classes(requests.exceptions, urllib3.exceptions)
HTTPX = classes(httpx, aiohttp)
FAILURES = classes(failures)
USER_CLIENT = user_client.exceptions(aiohttp=True)
BOTH = [
    socket.gaierror,
    ConnectionResetError,
    BrokenPipeError,
    TimeoutError,
    ssl.SSLError,
    ssl.SSLCertVerificationError,
]

# What a class means to us where that is not "the connection is gone".
MEANINGS: dict[str, type[LLMClientError]] = {
    **dict.fromkeys(
        [
            "InvalidURL",
            "MissingSchema",
            "InvalidSchema",
            "InvalidProxyURL",
            "URLRequired",
            "UnrewindableBodyError",
            "LocationValueError",
            "LocationParseError",
            "URLSchemeUnknown",
            "ProxySchemeUnknown",
            "ProxySchemeUnsupported",
            "UnsupportedProtocol",
            "LocalProtocolError",
            "CookieConflict",
            "InvalidUrlClientError",
            "InvalidUrlRedirectClientError",
            "NonHttpUrlClientError",
            "NonHttpUrlRedirectClientError",
            "InvalidRequestError",
        ],
        ConfigurationError,
    ),
    **dict.fromkeys(
        [
            "ConnectTimeout",
            "ReadTimeout",
            "Timeout",
            "TimeoutException",
            "WriteTimeout",
            "PoolTimeout",
            "TimeoutError",
            "ConnectTimeoutError",
            "ReadTimeoutError",
            "ConnectionTimeoutError",
            "SocketTimeoutError",
            "ServerTimeoutError",
            "WriteTimeoutError",
        ],
        APITimeoutError,
    ),
    **dict.fromkeys(
        [
            "HeaderParsingError",
            "InvalidChunkLength",
            "ResponseNotChunked",
            "BodyNotHttplibCompatible",
            "DecodeError",
            "DecodingError",
            "ContentDecodingError",
            "ClientResponseError",
            "ContentTypeError",
            "WSServerHandshakeError",
            "TooManyRedirects",
            "BadStatusLine",
            "BadHttpMessage",
            "BadHttpMethod",
            "HttpBadRequest",
            "HttpProcessingError",
            "LineTooLong",
            "InvalidURLError",
            "ContentEncodingError",
            "ContentLengthError",
            "TransferEncodingError",
            "PayloadEncodingError",
            "DecompressSizeError",
            "WSMessageTypeError",
            "MalformedError",
        ],
        APIResponseError,
    ),
}
SAME_NAME: dict[type[Exception], type[LLMClientError]] = {
    requests.exceptions.TooManyRedirects: APIConnectionError,
    httpx.TooManyRedirects: APIConnectionError,
    requests.exceptions.InvalidHeader: ConfigurationError,  # of the request
    urllib3.exceptions.InvalidHeader: APIResponseError,  # of the response
}
NOT_RAISED_HERE = {"WebSocketError", "WSMessageTypeError", "EofStream"}


def context(table: tuple[Row, ...], **options: Any) -> ErrorContext:
    given = {"proxy": None, "timeout": Timeout(connect=3, read=4), "deadline": None, "clock": SYSTEM_CLOCK, **options}
    return ErrorContext("https://example.org/chat?key=SECRET", table=table, **given)


TABLES: dict[str, tuple[tuple[Row, ...], list[type[Exception]]]] = {
    "requests": (synchronous.EXCEPTIONS, REQUESTS + BOTH),
    "httpx": (USER_CLIENT, [class_ for class_ in HTTPX + BOTH if class_.__name__ not in NOT_RAISED_HERE]),
    "our own": (failures.EXCEPTIONS, [one for one in FAILURES + BOTH if one is not failures.DeadlineError]),
}


@pytest.mark.parametrize("stage", ["open", "read"])
@pytest.mark.parametrize("name", TABLES)
def test_every_exception_has_a_meaning(name: str, stage: Stage, subtests: pytest.Subtests) -> None:
    table, every = TABLES[name]
    for class_ in every:
        with subtests.test(class_.__name__):
            error = context(table).error(class_.__new__(class_), stage)
            expected = SAME_NAME.get(class_) or MEANINGS.get(class_.__name__, APIConnectionError)
            if expected is APIConnectionError and stage == "read":
                expected = StreamInterruptedError
            assert type(error) is expected
            assert "SECRET" not in str(error)
            assert "{" not in str(error)


def test_what_is_not_the_libraries_fault_is_left_alone() -> None:
    for table in (synchronous.EXCEPTIONS, USER_CLIENT, failures.EXCEPTIONS):
        for bug in (KeyError("x"), TypeError("x"), AttributeError("x")):
            assert context(table).error(bug, "open") is bug
        ours = APIError("ours")
        assert context(table).error(ours, "open") is ours


def test_timeouts_after_the_deadline_are_the_deadlines() -> None:
    expired = context(synchronous.EXCEPTIONS, deadline=time.monotonic() - 1, timeout=Timeout(total=2))
    error = expired.error(TimeoutError(), "open")
    assert isinstance(error, APITimeoutError)
    assert (error.phase, error.retryable, str(error)) == ("total", False, "not done within 2 s")
    assert type(expired.error(ConnectionResetError(), "open")) is APIConnectionError


def test_messages() -> None:
    wrapped = requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("x", ConnectionResetError(104, "x")))
    certificate = ssl.SSLCertVerificationError(1, "certificate verify failed")
    certificate.verify_message = "self-signed certificate"
    proxied = context(synchronous.EXCEPTIONS, proxy=Proxy("http://user:SECRET@proxy.example:3128"))
    tunnel = urllib3.exceptions.ProxyError("x", OSError("Tunnel connection failed: 407 Proxy Authentication Required"))
    several = aiohttp.ClientConnectorError(
        None,  # type: ignore[arg-type]
        OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 111] Connect call failed"),
    )
    direct, other = context(synchronous.EXCEPTIONS), context(USER_CLIENT)
    assert [
        str(error)
        for error in (
            direct.error(wrapped, "open"),
            direct.error(wrapped, "read"),
            direct.error(certificate, "open"),
            direct.error(TimeoutError(), "read"),
            proxied.error(tunnel, "open"),
            proxied.error(socket.gaierror(-2, "x"), "open"),
            proxied.error(ConnectionRefusedError(111, "x"), "open"),
            other.error(several, "open"),
        )
    ] == [
        "the connection to example.org was lost before an answer came: connection reset by peer",
        "the answer broke off: connection reset by peer",
        "the certificate of example.org was not accepted: self-signed certificate; for an authority of your own, name its "
        "file with verify=",
        "nothing came from example.org for 4 s",
        "the proxy http://proxy.example:3128 does not let through to example.org: it answered 407 Proxy Authentication "
        "Required",
        "the name of the proxy http://proxy.example:3128 could not be resolved",
        "cannot connect to the proxy http://proxy.example:3128: connection refused",
        "cannot connect to example.org: connection refused",
    ]


def test_httpx2_has_the_same_names() -> None:
    import httpx2

    for name in ("ConnectTimeout", "ReadTimeout", "ConnectError", "ReadError", "RemoteProtocolError", "ProxyError"):
        from_httpx2 = context(USER_CLIENT).error(getattr(httpx2, name)("x"), "open")
        from_httpx = context(USER_CLIENT).error(getattr(httpx, name)("x"), "open")
        assert (type(from_httpx2), str(from_httpx2)) == (type(from_httpx), str(from_httpx))
