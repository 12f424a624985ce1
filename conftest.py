"""The guard around all tests; and Sybil: every Python block of README and docs/ is a test, and what it prints, too.

A `text` block shows what the Python block before it printed. Blocks that no reader needs stand in comments:
`<!--- invisible-code-block: python`. They see the names of the page, and the page does not see theirs: what a reader
sees runs by itself. In them, `shown` is what the block before printed, and `page` the page's path.

The local model itself answers where the page shows its words. In blocks whose output is not shown, small weights do.
"""

from __future__ import annotations

import faulthandler
import functools
import gc
import io
import ipaddress
import os
import re
import signal
import socket
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sybil import Example, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.integration.pytest import SybilItem
from sybil.parsers.myst import CodeBlockParser

_evaluate = PythonEvaluator()
_needs_local_model = re.compile(r"\b(Client|RelayServer)\(\)")
_LONG = ("tests/local/", "tests/cli/test_demo.py", "tests/relay/test_relay_local.py", "tests/soak/", "tests/faults/")
_not_the_readers = re.compile(r"(\w+_)?proxy|OPENAI_\w+|LLMCLIENTS_\w+", re.IGNORECASE)


def _start(names: dict[str, Any]) -> None:
    """A page sees no proxy and no key of whoever runs the tests, and the providers that it registers end with it."""
    from llmclients.providers import registry as providers

    patch = pytest.MonkeyPatch()
    patch.setattr(providers, "_registered", dict(providers._registered))
    names |= {"_environment": dict(os.environ), "_printed": io.StringIO(), "_patch": patch, "_hidden": {}}
    for name in filter(_not_the_readers.fullmatch, list(os.environ)):
        del os.environ[name]
    os.environ.update(_NOT_THE_USERS)


def _end(names: dict[str, Any]) -> None:
    os.environ.clear()
    os.environ.update(names["_environment"])
    names["_patch"].undo()


def _run(example: Example) -> None:
    names = example.namespace
    printed, names["_printed"] = names["_printed"], io.StringIO()
    names["print"] = functools.partial(print, file=names["_printed"])
    if example.document.text.startswith("<!--", example.start):
        names["_hidden"] |= {**names, "shown": printed.getvalue()}
        example.namespace = names["_hidden"]
    _evaluate(example)


def _shows_what_it_prints(example: Example) -> bool:
    return example.document.text[example.end :].lstrip().startswith("```text")


def _compare(example: Example) -> str | None:
    printed = example.namespace["_printed"].getvalue()
    same = [line.rstrip() for line in printed.splitlines()] == example.parsed.splitlines()
    return None if same else f"The block above printed:\n\n{printed}"


pytest_collect_file = Sybil(
    parsers=[CodeBlockParser("python", _run), CodeBlockParser("text", _compare)],
    patterns=["README.md", "docs/*.md"],
    excludes=["docs/index.md"],  # README begins with the same: tests/test_docs.py
    setup=_start,
    teardown=_end,
    fixtures=["page"],
).pytest()


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--loop`: which event loop the tests run on."""
    parser.addoption("--loop", choices=["asyncio", "uvloop"], default="asyncio", help="the event loop of all tests")


_NOT_THE_USERS = {"LLMCLIENTS_HISTORY": "off", "LLMCLIENTS_KEYS": "off"}
"""Tests, and the programs that they start, neither read nor write what whoever runs them has kept."""


def pytest_configure(config: pytest.Config) -> None:
    """Set it; and hear Ctrl-C: the background jobs of a shell, and all that they start, have SIGINT ignored."""
    os.environ.update(_NOT_THE_USERS)
    config.pluginmanager.register(_HangWatch())
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--loop") == "uvloop":
        import asyncio

        import uvloop

        with warnings.catch_warnings():  # policies are on their way out, and asyncio.run goes by them
            warnings.simplefilter("ignore")
            asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())


class _HangWatch:
    """Says where a test hangs, while it hangs: after two minutes, or half a minute later.

    Pytest's own `faulthandler_timeout` starts a thread for each test, and waits for its end.
    """

    def __init__(self) -> None:
        self._stderr = os.dup(2)  # the real one: nothing is captured yet
        self._begun = -1e9

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self) -> None:
        if time.monotonic() - self._begun > 30:
            self._begun = time.monotonic()
            faulthandler.dump_traceback_later(150, file=self._stderr)

    def pytest_unconfigure(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        os.close(self._stderr)


@pytest.fixture(autouse=True, scope="session")
def no_outside_sockets() -> Iterator[None]:
    """No test, and no page's code, connects to anything beyond this machine."""

    def only_here(connect: Callable[[socket.socket, Any], Any]) -> Callable[[socket.socket, Any], Any]:
        def connect_here(sock: socket.socket, address: Any) -> Any:
            if sock.family in (socket.AF_INET, socket.AF_INET6) and not ipaddress.ip_address(address[0]).is_loopback:
                sock.close()
                raise AssertionError(f"a test reaches beyond this machine: {address[0]}")
            return connect(sock, address)

        return connect_here

    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, only_here(getattr(socket.socket, name)))
        yield


class _SubtestsThatFail:
    """Subtests of which only those that fail are told of: pytest makes, sends and counts a report of each that passes,
    and there are more than ten thousand.
    """

    def __init__(self, subtests: pytest.Subtests) -> None:
        self._subtests = subtests

    @contextmanager
    def test(self, msg: str | None = None, **values: Any) -> Iterator[None]:
        try:
            yield
        except BaseException:  # a skip and an interrupt are pytest's business, too
            __tracebackhide__ = True
            with self._subtests.test(msg, **values):
                raise


@pytest.fixture
def subtests(subtests: pytest.Subtests) -> _SubtestsThatFail:
    """As pytest's own. Output and log of a subtest that fails are shown with its test's."""
    return _SubtestsThatFail(subtests)


@pytest.fixture
def page(request: pytest.FixtureRequest) -> Path:
    """The page that a block is on. It also decides what `local` is in this block."""
    block = request.node
    if block.get_closest_marker("local") and not _shows_what_it_prints(block.example):
        request.getfixturevalue("small_model")
    return block.path


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small part of the model: tests/local/smallweights.py. Each process that runs tests has a file of its own."""
    from llmclients.local.weights import MODEL_PATH_VARIABLE, find_weights
    from tests.local.smallweights import write_small_weights

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(MODEL_PATH_VARIABLE, raising=False)
        path = write_small_weights(find_weights(), tmp_path_factory.mktemp("small"))
    yield path
    path.unlink()  # pytest would keep it for three runs


@pytest.fixture
def small_model(small_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`local` is a model of these weights, in programs that are started, too. It is called what the real one is."""
    from llmclients.local.weights import MODEL_PATH_VARIABLE

    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(small_weights))
    return small_weights


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A page that talks to the local model is marked so, and read from top to bottom in a random order, too.

    Otherwise what takes long begins first, so that the processes that share the tests end together.
    """
    pages = [item for item in items if isinstance(item, SybilItem)]
    for page in pages:
        if _needs_local_model.search(page.example.document.text):
            page.add_marker("local")
    if config.pluginmanager.hasplugin("randomly"):
        seen = list(dict.fromkeys(page.path for page in pages))
        ordered = iter(sorted(pages, key=lambda page: (seen.index(page.path), page.example.line)))
        items[:] = [next(ordered) if isinstance(item, SybilItem) else item for item in items]
    else:
        items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported and collected stays: the garbage collector looks at it once, at the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """From here on it need not look at it again, nor so often at what the tests make."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
