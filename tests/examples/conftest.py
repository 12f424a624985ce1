"""What the tests of the examples share: the provider that the programs ask."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from upstream import Upstream


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """A provider on a socket, for all tests of a file."""
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture(autouse=True)
def _forget(upstream: Upstream) -> None:
    upstream.forget()
