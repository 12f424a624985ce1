"""A run on Dask workers, the scheduler and the caller of which are killed: the short form of `workers.py`."""

from __future__ import annotations

from pathlib import Path

import pytest
from workers import WORKERS, killed_workers


@pytest.mark.long
def test_killed_workers_a_killed_caller_and_a_killed_scheduler_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in WORKERS:
        monkeypatch.setenv(name, "")  # they are as they were afterwards
    found = killed_workers(tmp_path, 1200, seconds=1.0, concurrency=20, delay_ms=40, seed=3, kills=1, all_others=True)

    assert found["code"] == 0, found["errors"]
    assert (found["lost"], found["double"], found["wrong"], found["in_order"]) == (0, 0, 0, True)
    assert (found["kills"], found["others_left"], found["left"]) == (1, [], [])
    assert found["asked_again"] <= found["allowed"]
