"""Every input that once did not do, every recording, and some random ones, through the targets: atheris is not needed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import table

from .seeds import CORPUS, WORDS, seeds
from .targets import TARGETS

_words = st.lists(st.sampled_from(WORDS).map(str.encode) | st.binary(max_size=6), max_size=12).map(b"".join)


@table("target", TARGETS)
def test_what_was_found_and_what_was_recorded_does(target: str) -> None:
    for data in seeds(target, share=3):
        TARGETS[target](data)


@pytest.mark.hypothesis
@pytest.mark.parametrize("target", TARGETS)
def test_any_bytes_do(target: str) -> None:
    @given(st.binary(min_size=4, max_size=4), _words)
    def holds(head: bytes, body: bytes) -> None:
        TARGETS[target](head + body)

    holds()


def test_every_regression_input_belongs_to_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} <= set(TARGETS)
