"""A run that is killed, or told to end, in processes of its own: nothing is lost, double, or asked without need."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from kills import command, journaled, killed_runs, serving, write_rows

pytestmark = pytest.mark.long


def test_runs_that_are_killed_lose_nothing_and_ask_again_only_what_was_under_way(tmp_path: Path) -> None:
    found = killed_runs(tmp_path, rows=300, kills=2, concurrency=20, delay_ms=20, seed=7)

    assert found["code"] == 0, found["errors"]
    assert (found["lost"], found["double"], found["wrong"], found["in_order"]) == (0, 0, 0, True)
    assert found["kills"] == 2
    assert found["asked_again"] <= found["allowed"]
    assert found["most_open"] <= 20 + 1


def test_a_signal_lets_rows_under_way_come_to_their_end_and_writes_what_is_there(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    write_rows(source, 200)
    with serving(30) as server:
        before = 0
        for number, code in ((signal.SIGTERM, -signal.SIGTERM), (signal.SIGINT, 130)):
            out = tmp_path / f"{number.name}.jsonl"
            run = command(server, source, out, 10)
            while journaled(out) < 20:
                time.sleep(0.005)
            run.send_signal(number)
            run.communicate()
            asked = sum(server.counts()["asked"].values()) - before
            before += asked
            lines = out.read_text(encoding="utf-8").splitlines()

            assert run.returncode == code
            assert asked == journaled(out) == len(lines) < 200
            assert all(json.loads(line)["text"] for line in lines)

        again = command(server, source, out, 100)
        _, errors = again.communicate()
        assert again.returncode == 0, errors
        assert sum(server.counts()["asked"].values()) - before == 200 - asked
        assert len(out.read_text(encoding="utf-8").splitlines()) == 200


def test_a_second_signal_breaks_off(tmp_path: Path) -> None:
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_rows(source, 10)
    with serving(60_000) as server:
        run = command(server, source, out, 5)
        while not server.counts()["asked"]:
            time.sleep(0.02)
        run.send_signal(signal.SIGINT)
        time.sleep(0.3)
        assert run.poll() is None
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=20)

        assert run.returncode == 130
        assert not out.exists()
