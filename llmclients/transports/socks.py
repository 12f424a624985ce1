"""The dialogue with a SOCKS proxy: what goes to it, and how long its answers are. No I/O. The proxy resolves names.

socksio makes the messages and reads them, each whole. How long an answer is, is found here: the network may cut it.
"""

from __future__ import annotations

from collections.abc import Generator

from llmclients.config.values import Proxy
from llmclients.transports.request import require

__all__ = ["SocksError", "check_socks", "socks_dialogue"]

Dialogue = Generator[tuple[bytes, int], bytes, None]

_ADDRESS_SIZES = {1: 4, 4: 16}


class SocksError(Exception):
    """The proxy refuses, or what it says is not SOCKS. Without its words: they may hold what was sent."""


def check_socks() -> None:
    """Make sure that a SOCKS proxy can be spoken to.

    Raises:
        ConfigurationError: socksio is not installed.
    """
    require("socksio")


def socks_dialogue(proxy: Proxy, host: str, port: int) -> Dialogue:
    """Ask a proxy for a way to `host`: yields bytes to send, and how many of the answer's are to be sent in next.

    Raises:
        SocksError: there is none.
    """
    from socksio import ProtocolError, SOCKSError  # few need it

    version = _version_5 if proxy.scheme.startswith("socks5") else _version_4
    try:
        yield from version(host, port, proxy.credentials)
    except (ProtocolError, SOCKSError, OverflowError, ValueError):
        raise SocksError from None


def _version_5(host: str, port: int, credentials: tuple[str, str] | None) -> Dialogue:
    from socksio import socks5

    socks, method = socks5.SOCKS5Connection(), socks5.SOCKS5AuthMethod
    methods = [method.NO_AUTH_REQUIRED, *([] if credentials is None else [method.USERNAME_PASSWORD])]
    socks.send(socks5.SOCKS5AuthMethodsRequest(methods))
    chosen = getattr(socks.receive_data((yield socks.data_to_send(), 2)), "method", None)
    if chosen not in methods:
        raise SocksError
    if chosen is method.USERNAME_PASSWORD and credentials is not None:
        user, password = (part.encode() for part in credentials)
        socks.send(socks5.SOCKS5UsernamePasswordRequest(user, password))
        if not getattr(socks.receive_data((yield socks.data_to_send(), 2)), "success", False):
            raise SocksError
    socks.send(socks5.SOCKS5CommandRequest.from_address(socks5.SOCKS5Command.CONNECT, (host, port)))
    head = yield socks.data_to_send(), 5
    size = 1 + head[4] if head[3] == 3 else _ADDRESS_SIZES.get(head[3], 0)
    answer = socks.receive_data(head + (yield b"", max(size - 1, 0) + 2))
    if getattr(answer, "reply_code", None) != socks5.SOCKS5ReplyCode.SUCCEEDED:
        raise SocksError


def _version_4(host: str, port: int, credentials: tuple[str, str] | None) -> Dialogue:
    from socksio import socks4

    if ":" in host:
        raise SocksError  # it knows no such addresses
    request = socks4.SOCKS4Request if host.replace(".", "").isdecimal() else socks4.SOCKS4ARequest
    user = credentials[0].encode() if credentials is not None else b""
    socks = socks4.SOCKS4Connection(user)
    socks.send(request.from_address(socks4.SOCKS4Command.CONNECT, (host, port), user))  # else it takes none for missing
    answer = socks.receive_data((yield socks.data_to_send(), 8))
    if answer.reply_code != socks4.SOCKS4ReplyCode.REQUEST_GRANTED:
        raise SocksError
