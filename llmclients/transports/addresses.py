"""Host names to addresses, and the order in which they are tried: as "happy eyeballs" (RFC 8305) has it. Blocking."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any, TypeAlias

from llmclients.transports.head import InvalidRequestError

__all__ = ["NEXT_AFTER", "Address", "in_turn", "look_up", "numeric_address"]

Address: TypeAlias = "tuple[int, int, int, str, tuple[str | int, ...]]"
"""One of `socket.getaddrinfo`'s: family, type, protocol, name, place."""

NEXT_AFTER = 0.25
"""Seconds after which the next address is tried, too. At once, when the last one has failed."""


def look_up(host: str, port: int) -> list[Address]:
    """The addresses of a host, at least one. Takes as long as the system takes.

    Raises:
        OSError: there is no such name, or nobody answers: a `socket.gaierror`.
        InvalidRequestError: it cannot be a name.
    """
    try:
        found = list[Any](socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except ValueError:
        raise InvalidRequestError from None
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    return found


def numeric_address(host: str, port: int) -> Address | None:
    """The address that `host` is itself, if it is one."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            place: tuple[str | int, ...] = (host, port) if family == socket.AF_INET else (host, port, 0, 0)
            return (family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place)
    return None


def in_turn(addresses: Sequence[Address]) -> list[Address]:
    """One of the first's family, one of the other, and so on: a family that is not connected holds up nobody."""
    if len(addresses) == 1:
        return list(addresses)
    first = addresses[0][0]
    same = [address for address in addresses if address[0] == first]
    other = [address for address in addresses if address[0] != first]
    return [address for address in chain.from_iterable(zip_longest(same, other)) if address is not None]
