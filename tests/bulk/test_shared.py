"""Limits in a file: what several processes together keep to."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

from hidden_limits import HiddenLimits, simulate

from llmclients.bulk import Limits

PROGRAM = """
import os, sys, time
from llmclients.bulk import Limits
for _ in range(3):  # which makes four processes
    if not os.fork():
        break
limits = Limits(requests=240, path=sys.argv[1])
os.write(1, b"ready\\n")
until = float(os.read(0, 32))
while time.monotonic() < until - 1.2:
    time.sleep(0.001)
granted = 0
permit = limits.enter(10)
while (now := time.monotonic()) < until:
    wait = permit.wait(now)
    if wait:
        time.sleep(min(wait, until - now))
        continue
    granted += 1
    permit.done(now)
    permit = limits.enter(10)
os.write(1, b"%d\\n" % granted)
"""


def test_four_processes_together_keep_to_the_limit(tmp_path: Path) -> None:
    path, limits_of = tmp_path / "limits", 240
    limits, now = Limits(requests=limits_of, path=path), time.monotonic() - 55
    sent = 0  # in the minute before, at the times when it would have been
    while now < time.monotonic() - 1 and sent < limits_of - 20:
        permit = limits.enter(10)
        while wait := permit.wait(now):
            now += wait
        sent += 1
    command = [sys.executable, "-c", PROGRAM, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as processes:
        assert processes.stdin is not None
        assert processes.stdout is not None
        assert [processes.stdout.readline() for _ in range(4)] == ["ready\n"] * 4
        # Each reads 32 bytes of them, whichever it is.
        print(*[f"{time.monotonic() + 1.5:<32}"] * 4, sep="", end="", file=processes.stdin, flush=True)
        counts = [int(processes.stdout.readline()) for _ in range(4)]
    granted = sum(counts)

    assert sent > limits_of * 0.8
    assert granted >= 2
    assert sent + granted <= limits_of


def test_no_request_is_lost_when_all_ask_at_the_same_time(tmp_path: Path) -> None:
    path, interval = tmp_path / "limits", sys.getswitchinterval()

    def ask() -> None:
        limits = Limits(requests=1e6, path=path)
        for _ in range(50):
            assert limits.enter(10).wait(50.0) == 0.0

    threads = [threading.Thread(target=ask) for _ in range(4)]
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)

    written = json.loads(path.read_bytes())
    _now, (requests, _tokens, *_times) = written
    assert sum(requests[-1][1:]) == 200, "the window's slots"


def test_four_that_share_a_file_use_what_one_would(tmp_path: Path) -> None:
    path = tmp_path / "limits"
    server = HiddenLimits(requests=60, sliding=True)
    run = simulate([Limits(path=path) for _ in range(4)], server, 240.0, callers=12)

    assert server.used(60, 240) >= 0.9
    busiest = max(sum(begin <= at < begin + 60 for at, _ in server.admitted) for begin in range(0, 180, 5))
    assert busiest + sum(60 <= at < 240 for at, _ in server.refusals) <= 60 * 1.02 + 1
    assert run.early == 0


def test_a_file_that_holds_something_else_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "limits"
    for content in (b"", b"{", b"[1, 2]", b"[99999999999, []]", b"\xff" * 100):
        path.write_bytes(content)
        limits = Limits(requests=60, path=path)

        assert limits.enter(1).wait(100.0) == 0.0
        assert pickle.loads(pickle.dumps(limits)).enter(1).wait(100.0) > 0, "in another process it is the same limit"
