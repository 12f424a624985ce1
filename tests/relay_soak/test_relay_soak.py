"""A little of the relay's soak, and the check that the soak itself would notice."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from .load import load
from .run import PATH, complaints, get, metrics, process, relay

pytestmark = pytest.mark.long


def test_streams_through_a_relay_are_whole_and_end_at_the_provider_when_their_client_leaves() -> None:
    module = f"{__package__}.servers" if __package__ == "tests.relay_soak" else "tests.relay_soak.servers"
    with process(module, "upstream", "0.02") as (_, line), relay(f"http://127.0.0.1:{int(line)}") as (_, port):
        tally = asyncio.run(load(port, 20, 0.1, PATH, leaving=0.5, spread=0.05))
        time.sleep(0.2)
        seen = json.loads(get(f"http://127.0.0.1:{int(line)}/"))
        held = metrics(port)
    assert set(tally.outcomes) == {"whole", "left"}
    assert sum(tally.outcomes.values()) == 20
    assert all(name in seen["left"] or name in seen["sent"] for name in tally.left)
    assert held["streams"] == 0


GOOD: dict[str, Any] = {
    "seconds": 1800.0,
    "outcomes": {"whole": 90, "left": 10},
    "chunks_per_second": {"due": 5000.0, "relay": 4950.0},
    "delay_ms": {"beside": {"p50": 0.2, "p99": 0.9}},
    "added_p99_ms": 1.0,
    "cpu_ratio": 1.0,
    "left": 10,
    "upstream_ended_ms": {"p50": 1.0, "p99": 5.0, "most": 6.0},
    "thirds": {"rss_mib": (50.0, 51.0), "descriptors": (1000.0, 1001.0), "tasks": (1500.0, 1500.0)},
    "at_rest": {"rss_mib": 51.0, "descriptors": 105.0, "tasks": 3.0, "streams": 0.0},
}
BAD: list[dict[str, Any]] = [
    {"outcomes": {"whole": 90, "left": 10, "broken off": 1}},
    {"chunks_per_second": {"due": 5000.0, "relay": 4000.0}},
    {"delay_ms": {"beside": {"p50": 0.2, "p99": 5.1}}},
    {"added_p99_ms": 5.1},
    {"cpu_ratio": 1.6},
    {"upstream_ended_ms": {"p50": 1.0, "p99": 101.0, "most": 200.0}},
    {"thirds": {"rss_mib": (50.0, 59.0)}},
    {"thirds": {}},
    {"thirds": {"descriptors": (1000.0, 1021.0)}},
    {"at_rest": {"rss_mib": 51.0, "descriptors": 105.0, "tasks": 3.0, "streams": 1.0}},
]


def test_the_soak_notices_what_is_not_as_it_must_be() -> None:
    assert complaints(GOOD) == []
    for change in BAD:
        assert len(complaints({**GOOD, **change})) == 1, change
