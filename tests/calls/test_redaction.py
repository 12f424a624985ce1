"""Canaries in every place a secret has, then a search of everything that may be shown, logged, warned of or pickled."""

from __future__ import annotations

import asyncio
import base64
import copy
import gc
import io
import itertools
import json
import logging
import pickle
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.reduction import ForkingPickler
from typing import Any

import httpx
import pytest
import requests

from llmclients import (
    APIError,
    APIStatusError,
    AsyncClient,
    Client,
    ConfigurationError,
    LLMClientError,
    Timeout,
)
from llmclients.calls.flow import Open
from llmclients.codecs.base import Context
from llmclients.config.values import Proxy, RetryPolicy
from llmclients.errors import APIConnectionError, StreamInterruptedError
from llmclients.providers import provider
from llmclients.testing.fault_server import (
    CHUNKED_HEAD,
    EARLY,
    END,
    HOLD,
    RESET,
    FaultServer,
    Script,
    chunked,
    http,
    unused_port,
)
from llmclients.transports.base import TransportSettings
from llmclients.transports.mock import ConnectFault, Cut, Delay, MockTransport, Reply

MARK = "c4n4ry"
KEY, AUTH, COOKIE, TOKEN = f"sk-{MARK}-key", f"Basic {MARK}auth", f"sid={MARK}cookie", f"{MARK}token"
PASSWORD, ENCODED = f"{MARK}/p@ss", f"{MARK}%2Fp%40ss"
BASE64 = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"Nile"}}]}\n\n'
ONE_RETRY = RetryPolicy(attempts=2, initial_wait=0.001, max_wait=0.002)
SIDES = ("sync", "async")
MODES = ("chat", "stream")
IN_TURN = (("sync", "chat"), ("async", "stream")), (("sync", "stream"), ("async", "chat"))
"""Each side and each mode once, one way and the other."""


def leaks(shown: str) -> list[str]:
    return [secret for secret in (MARK, BASE64, BASE64.rstrip("=")) if secret in shown]


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and all that it wraps or followed upon."""
    todo, seen = [error], set[int]()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = (
            *getattr(one, "exceptions", ()),
            *getattr(one, "previous_errors", ()),
            *one.args,
            getattr(one, "reason", None),
        )
        todo += [one.__cause__, one.__context__, *(e for e in inner if isinstance(e, BaseException))]


def pickled(error: LLMClientError, protocol: int) -> str:
    """Its pickle, as no other library has changed it: Dask, once it is imported, has tracebacks in it as well."""
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol)
    pickler.dispatch_table = {}
    pickler.dump(error)
    return buffer.getvalue().decode("latin-1")


def shown_by(error: LLMClientError) -> str:
    """All the words that an error may come out with."""
    words = []
    for one in chain(error):
        words += [str(one), repr(one), *traceback.format_exception_only(type(one), one)]
        request = vars(one).get(
            "request"
        )  # which pickles have where a library, as Dask, keeps what errors are chained to
        words.append(repr(request and vars(request)))
    words += [repr(vars(error)), *map(repr, getattr(error, "previous_errors", ()))]
    if isinstance(error, APIError) and error.partial is not None:
        words += [error.partial.model_dump_json(), repr(error.partial)]
    return "\n".join([*words, pickled(error, 0), pickled(error, pickle.DEFAULT_PROTOCOL)])


@dataclass
class ReceivedRequest:
    """What came out of one call."""

    error: LLMClientError | None = None
    words: list[str] = field(default_factory=list)


class Listener(logging.Handler):
    def __init__(self, words: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._words = words

    def emit(self, record: logging.LogRecord) -> None:
        self._words += [record.getMessage(), repr(record.args), self.format(record)]


@pytest.fixture
def listening(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every logger at DEBUG, every warning, for as long as the test runs."""
    words: list[str] = []
    handler = Listener(words)
    names = ("", "llmclients", "urllib3", "requests", "httpx", "httpcore", "aiohttp", "asyncio")
    loggers = [logging.getLogger(name) for name in (*names, *logging.root.manager.loggerDict)]
    for logger in loggers:
        monkeypatch.setattr(logger, "level", logging.DEBUG)
        logger.manager._clear_cache()  # type: ignore[attr-defined]
    logging.root.addHandler(handler)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield words
        gc.collect(1)
    logging.root.removeHandler(handler)
    words += [str(warning.message) for warning in caught]
    assert not leaks("\n".join(words))
    for logger in loggers:
        logger.manager._clear_cache()  # type: ignore[attr-defined]


def ask(side: str, mode: str, url: str, **made: Any) -> ReceivedRequest:
    """One call with every secret in its place; all that its objects show on the way."""
    made = {
        "api_key": KEY,
        "headers": {"Authorization": AUTH, "Cookie": COOKIE, "X-Api-Key": TOKEN},
        "retry": ONE_RETRY,
        "trust_env": False,
        "timeout": Timeout(connect=5, read=5),
    } | made
    heard = ReceivedRequest()

    def look(*objects: Any) -> None:
        for one in objects:
            heard.words.append(repr(one))
            if type(one).__str__ is not object.__str__:  # which is repr
                heard.words.append(str(one))

    async def asynchronously() -> None:
        async with AsyncClient("openai/m", base_url=url, **made) as client:
            look(client, client._settings, client._transport, client.conversation())
            stream = client.stream("Hi")
            look(stream, stream._call, stream._call._settings, stream._call._context, stream._call.state)
            look(stream._driver, stream._run, stream._call._encoded)
            if mode == "chat":
                await client.chat("Hi")
            else:
                async with stream:
                    look(*[chunk async for chunk in stream], stream.response, stream._driver._response)

    def synchronously() -> None:
        with Client("openai/m", base_url=url, **made) as client:
            look(client, client._settings, client._transport, client.conversation())
            stream = client.stream("Hi")
            look(stream, stream._call, stream._call._settings, stream._call._context, stream._call.state)
            look(stream._driver, stream._run, stream._call._encoded)
            if mode == "chat":
                client.chat("Hi")
            else:
                with stream:
                    look(*stream, stream.response, stream._driver._response)

    try:
        if side == "async":  # where there are sockets, with all that asyncio's debug mode says of them
            asyncio.run(asyncio.wait_for(asynchronously(), 20), debug="transport" not in made)
        else:
            synchronously()
    except LLMClientError as error:
        heard.error = error
        heard.words.append(shown_by(error))
    return heard


def test_an_error_of_the_caller_s_own_client_keeps_no_request() -> None:
    async def asked() -> BaseException | None:
        async with httpx.AsyncClient(trust_env=False) as own:
            with pytest.raises(APIError) as caught:
                await AsyncClient("openai/m", base_url=url, api_key=KEY, retry=None, transport=own).chat("Hi")
        return caught.value.__cause__

    url = f"http://127.0.0.1:{unused_port()}"
    cause = asyncio.run(asked())
    assert isinstance(cause, httpx.ConnectError)
    with pytest.raises(RuntimeError, match="has not been set"):
        _ = cause.request  # its headers have the key
    with requests.Session() as session, pytest.raises(APIError) as caught:
        Client("openai/m", base_url=url, api_key=KEY, retry=None, transport=session, trust_env=False).chat("Hi")
    cause = caught.value.__cause__
    assert isinstance(cause, requests.ConnectionError)
    assert cause.request is None


# --- answers that say nothing of what was sent, and answers that repeat all of it -----------------------------------

ECHO = f"no such key: {KEY}; you sent Authorization: {AUTH}, Cookie: {COOKIE}, X-Api-Key: {TOKEN}"
ECHOES = {
    "text": ECHO,
    "object": json.dumps({"error": {"message": ECHO, "you": [{"sent": ECHO, KEY: 1}]}}),
    "list": json.dumps([{"error": {"message": ECHO}}]),
    "html": f"<html><title>{ECHO}</title>",
}
STATUSES = (302, 400, 401, 403, 404, 407, 409, 418, 422, 429, 500, 503, 529)


@pytest.mark.long
def test_a_refusal_shows_no_secret_even_if_the_server_repeats_it(
    listening: list[str], subtests: pytest.Subtests
) -> None:
    """Each status with each side and mode, and each body on each of them: one of the four after the other."""
    headers = {"x-debug": ECHO, "set-cookie": f"sid={MARK}new", "location": f"http://other.test/{KEY}?k={KEY}"}
    bodies = list(ECHOES)
    for number, status in enumerate(STATUSES):
        for at, (side, mode) in enumerate(itertools.product(SIDES, MODES)):
            body = bodies[(number + at) % len(bodies)]
            with subtests.test(status=status, body=body, side=side, mode=mode):
                mock = MockTransport([Reply(status, ECHOES[body], headers=headers)] * ONE_RETRY.attempts)
                heard = ask(side, mode, "http://host.test/v1", transport=mock)
                assert isinstance(heard.error, APIStatusError)
                assert heard.error.status_code == status
                assert "x-debug" in heard.error.headers
                assert not leaks("\n".join([*heard.words, *listening]))
                listening.clear()
                assert dict(mock.requests[0].headers)["Authorization"] == AUTH


def test_an_error_event_that_repeats_the_key_does_not_show_it(listening: list[str]) -> None:
    event = f"data: {ECHOES['object']}\n\n"
    for side in SIDES:
        heard = ask(side, "stream", "http://host.test", transport=MockTransport([Reply(chunks=[EVENT, event])]))
        assert isinstance(heard.error, APIStatusError)
        assert not leaks("\n".join(heard.words))


SCRIPTED = [
    ConnectFault(),
    Reply(chunks=[EVENT, Cut()]),
    Reply(chunks=[EVENT]),
    Reply(chunks=["not JSON"]),
    Reply(chunks=[EVENT, Delay(99)]),
    Reply(wait=99),
    Reply(body=b"x" * 100, headers={"content-encoding": "gzip"}),
    Reply(json={"error": {"message": ECHO}}),
    Reply(body=ECHO),
]


def test_no_scripted_failure_shows_a_secret(listening: list[str], subtests: pytest.Subtests) -> None:
    for number, side, mode in itertools.product(range(len(SCRIPTED)), SIDES, MODES):
        with subtests.test(reply=number, side=side, mode=mode):
            reply = SCRIPTED[number]
            heard = ask(side, mode, "http://host.test", transport=MockTransport(lambda _request, reply=reply: reply))
            assert isinstance(heard.error, APIError)
            assert not leaks("\n".join([*heard.words, *listening]))
            listening.clear()


# --- over real sockets ----------------------------------------------------------------------------------------------

GOOD = json.dumps({"choices": [{"message": {"content": "Nile"}, "finish_reason": "stop"}]}).encode()
NO_TUNNEL = http("407 Proxy Authentication Required", [("Proxy-Authenticate", "Basic realm=x")], ECHO.encode())
SCRIPTS: dict[str, tuple[str, Script]] = {
    "good": ("http", [http(headers=[("Content-Type", "application/json")], body=GOOD)]),
    "refused": ("nobody", []),
    "reset": ("http", [RESET]),
    "ended": ("http", [END]),
    "cut": ("http", [CHUNKED_HEAD + chunked(EVENT, last=False), END]),
    "cut by a reset": ("http", [CHUNKED_HEAD + chunked(EVENT, last=False), RESET]),
    "not HTTP": ("http", [b"SSH-2.0-OpenSSH\r\n\r\n", END]),
    "a broken header": ("http", [b"HTTP/1.1 200 OK\r\n" + ECHO.encode() + b"\r\n\r\n", END]),
    "a chunk that is none": ("http", [CHUNKED_HEAD + ECHO.encode() + b"\r\n", END]),
    "silence": ("http", [HOLD]),
    "silence after a while": ("http", [CHUNKED_HEAD + chunked(EVENT, last=False), HOLD]),
    "401": ("http", [http("401 Unauthorized", [("WWW-Authenticate", "Basic")], ECHO.encode())]),
    "503": ("http", [http("503 Unavailable", [("Retry-After-Ms", "1")], ECHO.encode())]),
    "no TLS": ("https", [EARLY, b"HTTP/1.1 400 Bad Request\r\n\r\n", END]),
    "a proxy that forwards": ("http proxy", [http(headers=[("Content-Type", "application/json")], body=GOOD)]),
    "a proxy that refuses": ("http proxy", [NO_TUNNEL]),
    "a tunnel that is refused": ("https proxy", [NO_TUNNEL]),
    "a tunnel that breaks": ("https proxy", [b"HTTP/1.1 200 OK\r\n\r\n", RESET]),
    "a proxy that is none": ("https proxy", [b"garbage " + ECHO.encode(), END]),
    "a proxy that is not there": ("no proxy", []),
    "a SOCKS proxy that refuses": ("socks", [EARLY, b"\5\2", 0.03, b"\1\1", 0.03, END]),
    "a SOCKS proxy that cannot connect": (
        "socks",
        [EARLY, b"\5\2", 0.03, b"\1\0", 0.03, b"\5\5\0\1\0\0\0\0\0\0", 0.03, END],
    ),
}


@pytest.mark.long
def test_no_real_failure_shows_a_secret(listening: list[str], subtests: pytest.Subtests) -> None:
    for number, name in enumerate(SCRIPTS):
        for side, mode in IN_TURN[number % 2]:
            with subtests.test(name, side=side, mode=mode):
                fail_for_real(name, side, mode)
                assert not leaks("\n".join(listening))
                listening.clear()


def fail_for_real(name: str, side: str, mode: str) -> None:
    route, script = SCRIPTS[name]
    if route == "socks":
        pytest.importorskip("socks" if side == "sync" else "socksio")
    with FaultServer(script or [END]) as server:
        port = unused_port() if route in ("nobody", "no proxy") else server.port
        url = f"{'https' if 'https' in route else 'http'}://127.0.0.1:{port}"
        made: dict[str, Any] = {"proxy": False}
        if "proxy" in route or route == "socks":
            scheme, url = "socks5h" if route == "socks" else "http", url.replace(f"127.0.0.1:{port}", "host.test:1")
            made["proxy"] = f"{scheme}://me:{ENCODED}@127.0.0.1:{port}"
        if "silence" in name:
            made["timeout"] = Timeout(connect=5, read=0.1)
        heard = ask(side, mode, url, **made)
        assert (heard.error is None) == (name in ("good", "a proxy that forwards")), heard.error
        assert not leaks("\n".join(heard.words))
        if route == "http":
            assert KEY not in str(server.requests)
            assert all(secret in str(server.requests) for secret in (AUTH, COOKIE, TOKEN))
    if name == "a tunnel that breaks":
        gc.collect()  # Python's ssl leaves a socket behind when the reset comes before its handshake


@pytest.mark.long
def test_a_redirect_takes_no_credentials_anywhere() -> None:
    statuses = ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent")
    with FaultServer([END]) as other, FaultServer([END]) as first:
        for status, side in itertools.product(statuses, SIDES):
            first.use([http(status, [("Location", other.url + "/v1")])])
            error = ask(side, "chat", first.url, proxy=False).error
            assert isinstance(error, APIStatusError), (status, side)
            assert f"redirects to {other.url}" in str(error), (status, side)
            assert (first.connections, other.connections) == (1, 0), (status, side)


# --- values ---------------------------------------------------------------------------------------------------------


def test_no_value_shows_a_secret() -> None:
    proxy = Proxy(f"http://me:{ENCODED}@host.test:8080")
    plain = Proxy(f"socks5h://me:{MARK}@host.test")
    context = Context(model="m", api_key=KEY)
    for value in (proxy, plain, context, TransportSettings(proxy=proxy), copy.copy(proxy)):
        assert not leaks(f"{value} {value!r}")
    assert proxy.credentials == ("me", PASSWORD)
    assert not leaks(proxy.display + proxy.url_without_credentials)


def test_the_local_servers_key_is_not_shown(listening: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from llmclients.local.engine import Endpoint

    assert not leaks(repr(Endpoint("http://127.0.0.1:1", KEY)))
    monkeypatch.setattr(
        "llmclients.providers.provider._load", provider._load.__wrapped__
    )  # it may know the real one by now
    monkeypatch.setattr("llmclients.local.engine.endpoint", lambda _path=None: Endpoint("http://127.0.0.1:1/v1", KEY))
    mock = MockTransport([Reply(401, ECHO)])
    with pytest.raises(APIStatusError) as caught:
        Client(transport=mock).chat("Hi")
    assert ("Authorization", f"Bearer {KEY}") in mock.requests[0].headers
    assert KEY not in shown_by(caught.value)


def test_a_request_on_its_way_does_not_show_its_headers() -> None:
    mock = MockTransport([Reply(401)])
    with pytest.raises(APIStatusError):
        Client("openai/m", base_url="http://host.test", api_key=KEY, transport=mock).chat("Hi")
    [request] = mock.requests
    assert not leaks(repr(request) + repr(Open(request, Timeout(), None)))


# --- pickles and copies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("copied", [
    lambda error: pickle.loads(pickle.dumps(error)),
    lambda error: pickle.loads(ForkingPickler.dumps(error)),
    copy.copy,
    copy.deepcopy,
], ids=["pickle", "multiprocessing", "copy", "deepcopy"])  # fmt: skip
@pytest.mark.parametrize("side", SIDES)
def test_an_error_of_a_whole_course_comes_out_of_a_pickle_as_it_was(
    side: str, copied: Callable[[APIError], APIError]
) -> None:
    mock = MockTransport([ConnectFault(), Reply(503, headers={"retry-after-ms": "1"}), Reply(chunks=[EVENT, Cut()])])
    error = ask(side, "stream", "http://host.test", transport=mock, retry=RetryPolicy(attempts=3)).error
    assert isinstance(error, StreamInterruptedError)
    again = copied(error)
    assert (type(again), str(again), again.args) == (type(error), str(error), error.args)
    assert again.partial is not None
    assert (again.partial.text, again.provider, again.model) == ("Nile", "openai", "m")
    assert [(type(one), str(one)) for one in again.previous_errors] == [
        (type(one), str(one)) for one in error.previous_errors
    ]
    assert [type(one).__mro__[1] for one in again.previous_errors] == [APIConnectionError, APIStatusError]
    assert {name: value for name, value in vars(again).items() if name != "previous_errors"} == {
        name: value for name, value in vars(error).items() if name != "previous_errors"
    }


# --- nothing is smuggled into a header ------------------------------------------------------------------------------

BREAKS = ["\r\nX-Evil: 1", "\nX-Evil: 1", "\rX-Evil: 1", "\0", "\x0b", "\x7f", "\u2028X-Evil: 1", "\u0100"]
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "api_key": lambda bad: {"api_key": KEY + bad},
    "a header's value": lambda bad: {"headers": {"X-A": f"{MARK}{bad}"}},
    "a header's name": lambda bad: {"headers": {f"X-A{bad}": MARK}},
    "base_url": lambda bad: {"base_url": f"http://host.test{bad}/v1"},
    "base_url's path": lambda bad: {"base_url": f"http://host.test/v1{bad}"},
    "proxy": lambda bad: {"proxy": f"http://me:{MARK}@host{bad}.test:1"},
    "the environment's key": lambda bad: {"environment": ("OPENAI_API_KEY", KEY + bad + "x")},
    "the environment's header": lambda bad: {"environment": ("OPENAI_ORG_ID", MARK + bad + "x"), "base_url": None},
}


def test_no_option_smuggles_a_header_in(monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for place, bad, kind in itertools.product(PLACES, BREAKS, (Client, AsyncClient)):
        if bad.isalpha() and place in ("base_url", "base_url's path", "proxy"):  # an international name is a name
            continue
        if bad == "\0" and "environment" in place:  # no environment can hold it
            continue
        made = PLACES[place](bad)
        name, value = made.pop("environment", ("OPENAI_API_KEY", KEY))
        with subtests.test(place, bad=ascii(bad), kind=kind.__name__), monkeypatch.context() as patch:
            patch.setenv("OPENAI_API_KEY", KEY)
            patch.setenv(name, value)
            with pytest.raises(ConfigurationError) as caught:
                kind("openai/m", **{"base_url": "http://host.test", "transport": MockTransport()} | made)
            said = "".join(traceback.format_exception_only(caught.value)) + shown_by(caught.value).replace(name, "")
            assert not leaks(said)


def test_a_proxys_user_and_password_cannot_smuggle_a_header_in() -> None:
    for side in SIDES:
        good = http(headers=[("Content-Type", "application/json")], body=GOOD)
        with FaultServer([good]) as server:
            proxy = f"http://me%0d%0aX-Evil:%0d%0aX-Evil: 1@127.0.0.1:{server.port}".replace(" ", "%20")
            assert ask(side, "chat", "http://host.test", proxy=proxy).error is None
            [request] = server.requests
            assert b"\nX-Evil" not in request
            assert b"Proxy-Authorization: Basic " in request
