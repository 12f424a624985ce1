"""The dialogue with a proxy over a blocking socket, until that leads to the target: HTTP's CONNECT, or SOCKS."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from urllib3 import exceptions as ux

from llmclients.config.values import Proxy
from llmclients.transports.head import HeadReader, MalformedError, host_in_url, request_head
from llmclients.transports.requests.sockets import is_ready
from llmclients.transports.socks import SocksError, socks_dialogue

__all__ = ["ProxyRefusedError", "ask_for_tunnel", "ask_socks"]

_READ_SIZE = 4 * 1024


class ProxyRefusedError(ux.ProxyError):
    """The proxy does not let through. `status` and `message` are of its answer to CONNECT, where there was one."""

    def __init__(self, status: int | None = None, message: str = "", cause: Exception | None = None) -> None:
        super().__init__("no way through the proxy", cause or OSError())
        self.status = status
        self.message = message


def ask_for_tunnel(
    sock: Any, host: str, port: int, headers: Iterable[tuple[str, str]], seconds: Callable[[], float]
) -> None:
    """HTTP's CONNECT. The length that a reply gives to its body says nothing: after a good one comes the tunnel.

    Args:
        sock: the connection to the proxy.
        host: where the tunnel is to lead.
        port: its port.
        headers: for the proxy.
        seconds: how long the next step may take; raises TimeoutError when the time is over.

    Raises:
        ProxyRefusedError: there is none.
        TimeoutError: it took too long.
    """
    name = f"{host_in_url(host)}:{port}"
    reader, head = HeadReader(), None
    try:
        sock.settimeout(seconds())
        sock.sendall(request_head("CONNECT", name, [("Host", name), *headers]))
        while head is None:
            head = reader.feed(_some(sock, _READ_SIZE, seconds))
    except MalformedError:
        raise ProxyRefusedError from None
    except TimeoutError:
        raise
    except OSError as error:
        raise ProxyRefusedError(cause=error) from error
    if head.status >= 300:
        raise ProxyRefusedError(head.status, head.reason)
    if reader.rest:
        raise ProxyRefusedError


def ask_socks(sock: Any, host: str, port: int, proxy: Proxy, seconds: Callable[[], float]) -> None:
    """SOCKS, with the same arguments and errors."""
    dialogue = socks_dialogue(proxy, host, port)
    try:
        message, size = next(dialogue)
        while True:
            sock.settimeout(seconds())
            sock.sendall(message)
            answer = b""
            while len(answer) < size:
                answer += _some(sock, size - len(answer), seconds)
            message, size = dialogue.send(answer)
    except StopIteration:
        if is_ready(sock, read=True):  # nobody has asked the target for anything
            raise ProxyRefusedError from None
    except SocksError:
        raise ProxyRefusedError from None
    except TimeoutError:
        raise
    except OSError as error:
        raise ProxyRefusedError(cause=error) from error


def _some(sock: Any, size: int, seconds: Callable[[], float]) -> bytes:
    sock.settimeout(seconds())
    data: bytes = sock.recv(size)
    if not data:
        raise ConnectionResetError("the proxy has closed the connection")
    return data
