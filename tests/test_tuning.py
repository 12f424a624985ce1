"""The call that sets what a service's garbage collector should do."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

import llmclients

THRESHOLD = gc.get_threshold()


class Node:
    """May be in a cycle with itself."""

    me: Node


@pytest.fixture(autouse=True)
def _threshold() -> Iterator[None]:
    """What is left out stays so, or the tests that follow would look at all of it again."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def collections() -> list[int]:
    return [generation["collections"] for generation in gc.get_stats()]


def test_it_collects_then_leaves_out_what_there_is() -> None:
    frozen = gc.get_freeze_count()
    lost, kept = Node(), Node()
    lost.me = lost
    gone = weakref.ref(lost)
    del lost
    assert any(found is kept for found in gc.get_objects())
    llmclients.tune_gc()
    assert gone() is None
    assert gc.get_freeze_count() > frozen
    assert not any(found is kept for found in gc.get_objects())


def test_a_thousand_open_streams_objects_start_no_collection() -> None:
    llmclients.tune_gc()
    before = collections()
    alive = [[index] for index in range(40_000)]
    assert collections() == before
    assert len(alive) == 40_000


def test_cycles_are_still_freed() -> None:
    llmclients.tune_gc(young=100)
    before = collections()
    for _ in range(1000):
        node = Node()
        node.me = node
    assert collections()[0] > before[0]
    assert gc.isenabled()


def test_it_does_not_switch_the_collector_off() -> None:
    before, kept = gc.get_threshold(), Node()
    for young in (0, -1):
        with pytest.raises(ValueError, match="young"):
            llmclients.tune_gc(young)
    assert any(found is kept for found in gc.get_objects()), "what there is was left out"
    assert gc.get_threshold() == before


def test_nothing_is_set_without_the_call() -> None:
    # Python 3.12 starts with some objects frozen
    program = (
        "import gc; before = gc.get_freeze_count(); from llmclients import AsyncClient, Client; "
        "print(gc.get_freeze_count() - before, *gc.get_threshold())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["0", *map(str, THRESHOLD)]
