"""Sybil: every Python block of the README and of docs/ is a test, and so is the output shown below it.

A `text` block shows what the Python block before it printed. In a block, `shown` is that text, and `page` the page's
path. Blocks that no reader needs stand in comments: `<!--- invisible-code-block: python`.
"""

from __future__ import annotations

import functools
import io
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.integration.pytest import SybilItem
from sybil.parsers.myst import CodeBlockParser

_evaluate = PythonEvaluator()
_needs_local_model = re.compile(r"\b(Client|RelayServer)\(\)")
_not_the_readers = re.compile(r"(\w+_)?proxy|OPENAI_\w+|LLMCLIENTS_\w+", re.IGNORECASE)


def _start(names: dict[str, Any]) -> None:
    """A page sees no proxy and no key of whoever runs the tests, and nothing beyond this machine."""
    patch = pytest.MonkeyPatch()
    resolve, connect = socket.getaddrinfo, socket.socket.connect
    patch.setattr(socket, "getaddrinfo", lambda host, *rest, **more: resolve(_here(host), *rest, **more))
    patch.setattr(socket.socket, "connect", lambda own, address: connect(own, _here(address)))
    names |= {"_patch": patch, "_environment": dict(os.environ), "_printed": io.StringIO()}
    for name in filter(_not_the_readers.fullmatch, list(os.environ)):
        del os.environ[name]


def _here(address: Any) -> Any:
    """`address`, unless it is beyond this machine: a host's name, or what a socket connects to."""
    host = address[0] if isinstance(address, tuple) else address
    if host in (None, "127.0.0.1", "::1", "localhost") or str(host).startswith("/"):
        return address
    raise AssertionError(f"a page's code reaches beyond this machine: {host}")


def _end(names: dict[str, Any]) -> None:
    names["_patch"].undo()
    os.environ.clear()
    os.environ.update(names["_environment"])


def _run(example: Example) -> None:
    names = example.namespace
    names["shown"] = names["_printed"].getvalue()
    names["_printed"] = io.StringIO()
    names["print"] = functools.partial(print, file=names["_printed"])
    _evaluate(example)


def _compare(example: Example) -> str | None:
    printed = example.namespace["_printed"].getvalue()
    same = [line.rstrip() for line in printed.splitlines()] == example.parsed.splitlines()
    return None if same else f"The block above printed:\n\n{printed}"


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser("python", _run), CodeBlockParser("text", _compare)],
    patterns=["README.md", "docs/*.md"],
    setup=_start,
    teardown=_end,
    fixtures=["page"],
).pytest()


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Path:
    """The page that a block is on."""
    return request.node.path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A page that talks to the local model is marked so."""
    for item in items:
        if isinstance(item, SybilItem) and _needs_local_model.search(item.example.document.text):
            item.add_marker("local")
