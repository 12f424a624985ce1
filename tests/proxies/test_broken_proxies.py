"""Proxies that do not do what a proxy does: a connection error or a timeout, by both clients alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import pytest

from llmclients.config.values import Timeout
from llmclients.errors import APIConnectionError, APIError, APITimeoutError
from llmclients.testing import FaultServer
from llmclients.testing.fault_server import EARLY, END, HOLD, RESET, Script, http

from .conftest import PASSWORD, USER, Certificates
from .talk import both, everything_said, failure

ACCEPTED = b"\x05\x00"
"""SOCKS5: come in, without a password."""

SOCKS: dict[str, Script] = {
    "end at once": [EARLY, END],
    "reset at once": [EARLY, RESET],
    "garbage": [EARLY, b"SSH-2.0-OpenSSH_9.2\r\n", HOLD],
    "one byte": [EARLY, b"\x05", END],
    "no method that suits": [EARLY, b"\x05\xff", HOLD],
    "refused": [EARLY, ACCEPTED, 0.05, b"\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", HOLD],
    "half a reply": [EARLY, ACCEPTED, 0.05, b"\x05\x00\x00", END],
    "another version": [EARLY, ACCEPTED, 0.05, b"\x04\x00\x00\x01\x00\x00\x00\x00\x00\x00", HOLD],
}
TUNNEL: dict[str, Script] = {
    "end at once": [END],
    "reset": [RESET],
    "403": [http("403 Forbidden", body=b"no")],
    "502": [http("502 Bad Gateway", [("Connection", "close")], b"no"), END],
    "200, then the end": [http(body=None), END],
    "200, then garbage": [http(body=None), 0.05, b"this is not TLS at all, by any means", HOLD],
}


def failures(calls: dict[str, Callable[[], APIError]]) -> Iterator[tuple[str, APIError]]:
    """What each of the calls came to. They wait side by side."""
    with ThreadPoolExecutor(len(calls)) as pool:
        waiting = {name: pool.submit(call) for name, call in calls.items()}
        yield from ((name, future.result()) for name, future in waiting.items())


@both
def test_a_broken_socks_proxy(side: str, subtests: pytest.Subtests) -> None:
    with ExitStack() as stack:
        broken = {name: stack.enter_context(FaultServer(script)) for name, script in SOCKS.items()}
        calls = {
            name: partial(failure, side, "http://model.example", proxy=f"socks5h://127.0.0.1:{proxy.port}")
            for name, proxy in broken.items()
        }
        for name, error in failures(calls):
            with subtests.test(name):
                assert type(error) is APIConnectionError
                assert f"127.0.0.1:{broken[name].port}" in str(error)
                assert broken[name].wait_for(0)


@both
def test_a_broken_tunnel(side: str, certificates: Certificates, subtests: pytest.Subtests) -> None:
    options = {"verify": certificates.authority}
    with ExitStack() as stack:
        broken = {name: stack.enter_context(FaultServer(script)) for name, script in TUNNEL.items()}
        calls = {
            name: partial(
                failure, side, "https://model.example", proxy=f"http://{USER}@127.0.0.1:{proxy.port}", **options
            )
            for name, proxy in broken.items()
        }
        for name, error in failures(calls):
            with subtests.test(name):
                assert type(error) is APIConnectionError
                assert PASSWORD not in everything_said(error)
                assert broken[name].wait_for(0)
                assert all(request.method == "CONNECT" for request in broken[name].requests)


def test_a_proxy_that_says_nothing_is_a_connect_timeout() -> None:
    limits = {"timeout": Timeout(connect=0.2, read=5), "retry": 1}
    with FaultServer([EARLY, HOLD]) as proxy:
        calls = {
            f"{side} {scheme}": partial(
                failure, side, "https://model.example", proxy=f"{scheme}://127.0.0.1:{proxy.port}", **limits
            )
            for side in ("sync", "async")
            for scheme in ("http", "socks5h")
        }
        for _, error in failures(calls):
            assert isinstance(error, APITimeoutError)
            assert error.phase == "connect"
        assert proxy.wait_for(0)
