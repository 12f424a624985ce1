"""An ended connection of the asynchronous transport is freed at once: nothing of it waits for the garbage collector."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from llmclients.config.values import Proxy
from llmclients.errors import LLMClientError
from llmclients.testing.fault_server import CHUNKED_HEAD, EARLY, END, HOLD, RESET, FaultServer, http
from llmclients.transports.base import TransportSettings
from llmclients.transports.httpx.transport import HttpxTransport

from .conftest import Certificates
from .helpers import NO_ENVIRONMENT, OPEN_BODY
from .proxies import Proxy as ProxyServer
from .proxies import SocksProxy
from .sides import ASYNC, PATIENCE, post

SCRIPTS: dict[str, list[Any]] = {
    "kept": [http(body=b"hello")],
    "ended": [http(body=b"hello"), END],
    "cut": [CHUNKED_HEAD + b"5\r\nhe", END],
    "reset": [CHUNKED_HEAD + b"5\r\nhe", RESET],
    "broken": [CHUNKED_HEAD + b"zz\r\n", HOLD],
    "refused": [http("500 Internal Server Error", body=b"no")],
}


def transports() -> int:
    """How many of asyncio's the process holds."""
    return sum(issubclass(type(found), asyncio.Transport) for found in gc.get_objects())


@contextmanager
def without_collector() -> Iterator[None]:
    gc.collect()
    before = transports()
    gc.disable()
    try:
        yield
        assert transports() == before
    finally:
        gc.enable()


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_however_it_ends(secure: bool, certificates: Certificates) -> None:
    options = {"verify": certificates.authority} if secure else {}
    for name, script in SCRIPTS.items():
        with FaultServer(script, tls=certificates.server if secure else None) as server, without_collector():
            outcomes = ASYNC.run(*[post(server.url)] * 3, **options)
            assert len(outcomes) == 3, name
            del outcomes


@pytest.mark.parametrize("free", [lambda response: response.close(), lambda response: response.abort()])
def test_one_that_is_left(free: Callable[[Any], Any]) -> None:
    async def main() -> None:
        transport = HttpxTransport(NO_ENVIRONMENT)
        response = await transport.open(post(server.url), PATIENCE, None)
        await response.read()
        if asyncio.iscoroutine(waiting := free(response)):
            await waiting

    with FaultServer(OPEN_BODY) as server, without_collector():
        asyncio.run(main())


async def fetched(url: str, settings: TransportSettings) -> bool:
    """Whether an answer came. What is raised is not kept: with its traceback, it would be in a cycle."""
    transport = HttpxTransport(settings)
    try:
        response = await transport.open(post(url), PATIENCE, None)
        return await response.read() == b"hello"
    except LLMClientError:
        return False
    finally:
        await transport.close()


@pytest.mark.parametrize("kind", [ProxyServer, SocksProxy])
@pytest.mark.parametrize("user", [None, ("user", "secret")], ids=["open", "locked"])
def test_one_through_a_proxy(kind: type[ProxyServer], user: tuple[str, str] | None, certificates: Certificates) -> None:
    with ExitStack() as stack:
        plain = stack.enter_context(FaultServer([http(body=b"hello")]))
        secure = stack.enter_context(FaultServer([http(body=b"hello")], tls=certificates.server))
        for scheme, target in (("http", plain), ("https", secure)):
            proxy = stack.enter_context(kind(target.port, user))
            settings = TransportSettings(trust_env=False, proxy=Proxy(proxy.url()), verify=certificates.authority)
            with without_collector():
                assert asyncio.run(fetched(f"{scheme}://model.example/chat", settings)) is (user is None)


def test_one_that_never_was(certificates: Certificates) -> None:
    resets, talks = FaultServer([RESET]), FaultServer([EARLY, b"no TLS", HOLD])
    with resets, talks, FaultServer([HOLD], tls=certificates.other_host) as other:
        for url, proxy in (
            (other.url, None),
            (talks.url.replace("http", "https"), None),
            ("https://model.example/", Proxy(resets.url)),
        ):
            with without_collector():
                settings = TransportSettings(trust_env=False, proxy=proxy, verify=certificates.authority)
                assert not asyncio.run(fetched(url, settings))
