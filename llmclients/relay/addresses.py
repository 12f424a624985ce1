"""Addresses of the relay: the plain form of a path, and what the reply to one says that the relay does not have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from llmclients.errors import one_line

__all__ = ["Address", "PlainPaths", "explanation", "plain_path"]

_SLASHES = re.compile(r"/{2,}")
_SHOWN = 200  # characters of a path that an error says again

_NOT_HERE = {
    r"/(responses|conversations|threads)/.": "the relay keeps nothing: send the whole conversation again",
    r"/(files|batches|uploads|vector_stores|fine_tuning|assistants|threads|containers)\b": (
        "the relay keeps no files and no jobs"
    ),
    r"/(audio|images|videos|realtime)\b": "the relay carries chats: images and sounds go in messages",
    r"/(moderations|rerank)\b": "the relay has no such thing",
    r"/openai/deployments/": "for programs of Azure's address, give the relay's as an OpenAI one, /openai/v1",
}
"""Why there is nothing, by what an address looks like."""


class Address(NamedTuple):
    """An address that the relay has; `path` may have names in braces for parts of it."""

    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def plain_path(path: str) -> str:
    """The path without a slash at its end, and with one slash for several."""
    if "//" in path:
        path = _SLASHES.sub("/", path)
    return path[:-1] if len(path) > 1 and path.endswith("/") else path


class PlainPaths:
    """An ASGI application that serves the same addresses as another one, with and without further slashes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (path := plain_path(scope["path"])) != scope["path"]:
            scope = {**scope, "path": path}
        await self._app(scope, receive, send)


def explanation(method: str, path: str, addresses: Sequence[Address], prefixes: Sequence[str]) -> str:
    """What to say of an address that the relay does not have: which ones are near it.

    Args:
        addresses: all that there are.
        prefixes: what the addresses of each wire begin with; the base URLs of its clients end so.
    """
    there = [address for address in addresses if address.method != method and _matches(path, address.path)]
    if there:
        return f"{_shown(path)} is asked with {', '.join(dict.fromkeys(address.method for address in there))}"
    begin = f"there is no {method} {_shown(path)}"
    for pattern, reason in _NOT_HERE.items():
        if re.search(pattern, path):
            return f"{begin}: {reason}"
    if same_end := _same_end(path, addresses):
        return f"{begin}: there is {_listed(same_end)}"
    paths = [address.path for address in addresses if "{" not in address.path]
    if alike := difflib.get_close_matches(path, paths, n=1, cutoff=0.9):
        return f"{begin}: did you mean {alike[0]}?"
    near = [prefix for prefix in prefixes if path.startswith(prefix + "/") or path == prefix]
    if near:
        here = [address for address in addresses if address.path.startswith(max(near, key=len) + "/")]
        return f"{begin}: there is {_listed(here)}"
    return f"{begin}. A base_url ends with one of {', '.join(dict.fromkeys(prefixes))}"


def _shown(path: str) -> str:
    return one_line(path, _SHOWN)


def _listed(addresses: Sequence[Address]) -> str:
    return ", ".join(map(str, addresses))


def _matches(path: str, template: str) -> bool:
    pattern = re.sub(r"\\{\w+\\}", "[^:]+", re.escape(template))
    return re.fullmatch(pattern, path) is not None


def _same_end(path: str, addresses: Sequence[Address]) -> list[Address]:
    """The addresses that end as the path does: in its last two parts, or else in one that says enough by itself."""
    plain = [address for address in addresses if "{" not in address.path]
    for parts in (2, 1):
        asked = path.rsplit("/", parts)[-parts:]
        same = [address for address in plain if address.path.rsplit("/", parts)[-parts:] == asked]
        if same and asked != ["chat"]:
            return same
    return []
