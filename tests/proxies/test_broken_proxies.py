"""Proxies that do not do what a proxy does: a connection error or a timeout, by both clients alike."""

from __future__ import annotations

import pytest

from llmclients.config.values import Timeout
from llmclients.errors import APIConnectionError, APITimeoutError
from llmclients.testing import FaultServer
from llmclients.testing.fault_server import EARLY, END, HOLD, RESET, Script, http

from .conftest import PASSWORD, USER
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


@both
@pytest.mark.parametrize("script", SOCKS.values(), ids=SOCKS)
def test_a_broken_socks_proxy(side: str, script: Script) -> None:
    with FaultServer(script) as proxy:
        error = failure(side, "http://model.example", proxy=f"socks5h://127.0.0.1:{proxy.port}")
        assert type(error) is APIConnectionError
        assert f"127.0.0.1:{proxy.port}" in str(error)
        assert proxy.wait_for(0)


@both
@pytest.mark.parametrize("script", TUNNEL.values(), ids=TUNNEL)
def test_a_broken_tunnel(side: str, script: Script) -> None:
    with FaultServer(script) as proxy:
        error = failure(side, "https://model.example", proxy=f"http://{USER}@127.0.0.1:{proxy.port}")
        assert type(error) is APIConnectionError
        assert PASSWORD not in everything_said(error)
        assert proxy.wait_for(0)
        assert all(request.method == "CONNECT" for request in proxy.requests)


@both
@pytest.mark.parametrize("proxy_scheme", ["http", "socks5h"])
def test_a_proxy_that_says_nothing_is_a_connect_timeout(side: str, proxy_scheme: str) -> None:
    with FaultServer([EARLY, HOLD]) as proxy:
        url = f"{proxy_scheme}://127.0.0.1:{proxy.port}"
        error = failure(side, "https://model.example", proxy=url, timeout=Timeout(connect=0.2, read=5), retry=1)
        assert isinstance(error, APITimeoutError)
        assert error.phase == "connect"
        assert proxy.wait_for(0)
