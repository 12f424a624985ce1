"""A two-hundredth of the soak, and the check that the soak itself would notice."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from .load import Tally, tasks
from .run import complaints, soak


@pytest.fixture(scope="module")
def result() -> dict[str, Any]:
    return soak(1 / 200, quiet=True)


def test_every_call_of_a_small_soak_comes_out_as_it_must(result: dict[str, Any]) -> None:
    assert complaints(result) == []
    assert sum(phase["calls"] for phase in result["phases"]) == 550
    assert all(phase["outcomes"]["APITimeoutError"] == 5 for phase in result["phases"])


def test_the_soak_notices_wrong_answers_and_growth(result: dict[str, Any]) -> None:
    broken = copy.deepcopy(result)
    phase = broken["phases"][0]
    phase["thirds"] = {
        name: {"first_third": 10.0, "last_third": 20.0} for name in ("rss_mib", "descriptors", "threads")
    }
    phase["after"]["descriptors"] += 1
    phase["after"]["objects"] += 5_000
    phase["outcomes"]["whole"] -= 1
    phase["wrong"] = ["x"]
    assert len(complaints(broken)) == 7


def test_an_answer_with_a_character_too_few_is_wrong() -> None:
    task = next(task for task in tasks("streams", 100) if task.fault == "ok")
    tally = Tally()
    tally.judge(task, task.text[:-1], None, None)
    assert len(tally.wrong) == 1
