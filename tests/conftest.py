"""Profiles of the property tests: in `make test` a few examples, in `make test-fast` fewer, the same each time; in
`make fuzz` many new ones. And weights for all tests that need the local model's engine, but no sense in what it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "test",
    max_examples=25,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("fast", settings.get_profile("test"), max_examples=8)
settings.register_profile("fuzz", settings.get_profile("test"), max_examples=500, derandomize=False)
settings.load_profile("test")


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Three layers of the model's thirty: tests/local/smallweights.py. Each process that runs tests has its own file."""
    from llmclients.local.weights import MODEL_PATH_VARIABLE, find_weights
    from tests.local.smallweights import write_small_weights

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(MODEL_PATH_VARIABLE, raising=False)
        path = write_small_weights(find_weights(), tmp_path_factory.mktemp("small"))
    yield path
    path.unlink()  # pytest would keep it for three runs


@pytest.fixture
def small_model(small_weights: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`local`, in this process and in programs that it starts, is a model of these weights. Its name is the real one's."""
    from llmclients.local.weights import MODEL_PATH_VARIABLE

    monkeypatch.setenv(MODEL_PATH_VARIABLE, str(small_weights))
    return small_weights
