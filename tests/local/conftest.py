"""What the local model's tests share as fixtures: one server of the engine for all that do not end it."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmclients.local import engine


@pytest.fixture
def served(small_model: Path) -> engine.Endpoint:
    """The server of this process. Who has ended it leaves it ended: this starts another."""
    return engine.endpoint()
