"""A pytest plugin: the fixture `mock_clients`. pytest finds it by itself once the package is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # loaded by the first test that asks for the fixture
    from llmclients.testing.mocking import ScriptItem
    from llmclients.transports.mock import MockTransport

__all__ = ["mock_clients", "mocking"]


@contextmanager
def mocking() -> Iterator[Callable[..., MockTransport]]:
    """What the fixture does around a test."""
    from llmclients.testing.mocking import mock_clients

    with ExitStack() as blocks:

        def script(*script: ScriptItem) -> MockTransport:
            return blocks.enter_context(mock_clients(*script))

        script()
        yield script


@pytest.fixture(name="mock_clients")
def mock_clients() -> Iterator[Callable[..., MockTransport]]:
    """Nothing that a client asks in this test is sent. Call it with a script: `mock = mock_clients(Reply.text("Hi"))`.

    It may be called again: the last script answers. Without a script every request raises `ScriptExhausted`.
    """
    with mocking() as script:
        yield script
