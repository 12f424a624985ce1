"""Every private name of other people's libraries that the package uses, and whether the installed release has it.

A private name may go with any release. So each stands in one table with the reason for it, a test fails by its name
and the library's version, and a search of the package finds the names that are not in the table.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import configparser
import inspect
import io
import re
import socket
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pydantic
import pytest
import requests
import urllib3
import urllib3.connection

from tests.private_names import search, uses

REQUESTS = "transports.requests"


class Internal(NamedTuple):
    """A private name: whose it is, which of our packages use it, what for, and whether it still is what we take it for."""

    library: str
    owner: str
    name: str
    packages: tuple[str, ...]
    reason: str
    holds: Callable[[], object]

    def __str__(self) -> str:
        release = sys.version.split()[0] if self.library == "python" else version(self.library)
        return f"{self.library} {release}: {self.owner}.{self.name}"


# --- what there is to be sure of ------------------------------------------------------------------------------------


def read_by(module: ModuleType, name: str) -> Callable[[], bool]:
    """That the library's module itself reads the name: what we set has an effect, what we override is called."""
    return lambda: (
        name
        in {
            node.attr
            for node in ast.walk(ast.parse(inspect.getsource(module)))
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
        }
    )


def says_when_the_body_was_read() -> bool:
    response = requests.Response()
    response.raw = io.BytesIO(b"hello")
    before: Any = response._content_consumed  # type: ignore[attr-defined]
    return before is False and response.content == b"hello" and response._content_consumed is True  # type: ignore[attr-defined]


def has_the_response_below() -> bool:
    body = io.BytesIO()
    return urllib3.HTTPResponse(body, preload_content=False)._fp is body


def has_the_socket_below() -> bool:
    ours, theirs = socket.socketpair()
    with ours, theirs, ours.makefile("rb") as file:
        return file.raw._sock is ours  # type: ignore[attr-defined]


def tells_of_commands() -> bool:
    parser = argparse.ArgumentParser()
    before: Any = parser._subparsers
    parser.add_subparsers()
    return before is None and parser._subparsers is not None


def is_a_slot_of_a_model(name: str) -> Callable[[], bool]:
    return lambda: name in pydantic.BaseModel.__slots__ and hasattr(pydantic.create_model("M")(), name)


MADE_FAST = ("types", "codecs.gemini")

# --- the table ------------------------------------------------------------------------------------------------------

INTERNALS = [
    Internal("requests", "Response", "_content_consumed", (REQUESTS,), "a hook has read the body", says_when_the_body_was_read),
    Internal("urllib3", "HTTPResponse", "_fp", (REQUESTS,), "http.client's response, and its socket", has_the_response_below),
    *(
        Internal("urllib3", "HTTPConnection", name, (REQUESTS,), reason, read_by(urllib3.connection, name))
        for name, reason in (
            ("_new_conn", "overridden: one limit for the name and all its addresses"),
            ("_tunnel", "overridden: a proxy's answer has what is left of the limit, and is read strictly"),
            ("_dns_host", "the name to resolve, as the caller wrote it"),
        )
    ),
    Internal("python", "socket.SocketIO", "_sock", (REQUESTS,), "the socket below a reader", has_the_socket_below),
    Internal("python", "argparse.ArgumentParser", "_subparsers", ("cli",), "whether a command has commands below it", tells_of_commands),
    *(
        Internal("pydantic", "BaseModel", name, MADE_FAST, "set by hand on the way past the validator", is_a_slot_of_a_model(name))
        for name in ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
    ),
]  # fmt: skip


@pytest.mark.parametrize("internal", INTERNALS, ids=str)
def test_the_installed_release_has_a_private_name(internal: Internal) -> None:
    try:
        held = internal.holds()
    except (AttributeError, TypeError):
        held = False
    assert held, f"{internal} is not what it was. Used by {' and '.join(internal.packages)}: {internal.reason}"


def test_a_pydantic_model_has_no_further_slot() -> None:
    named = {internal.name for internal in INTERNALS if internal.library == "pydantic"}

    assert set(pydantic.BaseModel.__slots__) == {"__dict__", *named}, f"pydantic {pydantic.VERSION}"


def test_the_package_uses_no_other() -> None:
    def knows(internal: Internal, module: str, name: str) -> bool:
        return internal.name == name and module.startswith(internal.packages)

    found = search()

    assert {use for use in found if not any(knows(internal, *use) for internal in INTERNALS)} == set()
    assert [str(internal) for internal in INTERNALS if not any(knows(internal, *use) for use in found)] == [], (
        "of no use"
    )


def test_a_library_with_private_names_of_use_is_capped() -> None:
    setup = configparser.RawConfigParser()
    setup.read(Path(__file__).parent.parent / "setup.cfg")
    required = setup["options"]["install_requires"].split("\n")
    capped = {line.partition(">=")[0] for line in required if re.fullmatch(r"[\w-]+>=[\d.]+,<[\d.]+", line)}

    assert {internal.library for internal in INTERNALS} - {"python"} <= capped


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("import requests\nrequests.get()._next", {"_next"}),
        ("import httpx\ngetattr(httpx.get(), '_stream')", {"_stream"}),
        ("from urllib3 import x\nclass A:\n def f(self, other): self._a = other._a", set()),
        ("from urllib3 import x\nclass A:\n def f(self, other): self._a = other._b", {"_b"}),
        ("chunk.__pydantic_extra__ = None", {"__pydantic_extra__"}),
        ("from pydantic._internal import _fields", {"pydantic._internal"}),
        ("import aiohttp._websocket", {"aiohttp._websocket"}),
        ("def f(base):\n class A(base.B):\n  def _new(self): super()._new()", {"_new"}),
        ("class Reader:\n def f(self): return self._eof, self._mine", {"_eof"}),
        ("class Reader:\n _eof = True", {"_eof"}),
        ("from llmclients._version import x\nimport sys\nsys._getframe(1)\nself.__class__", set()),
        ("conversation._client = client", set()),
        ("import httpx\nconversation._client = client", {"_client"}),
        ("if TYPE_CHECKING:\n import httpx\nconversation._client = client", set()),
    ],
)  # fmt: skip
def test_the_search_sees(line: str, found: set[str]) -> None:
    classes: dict[str, type] = {"Reader": asyncio.StreamReader}

    assert set(uses("m", ast.parse(line), {"_client"}, classes.get)) == found
