"""What `Limits` cost a call: its permit, the answer's headers, and what was used. Answers come a millisecond apart."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from llmclients.bulk import Limits

CALLS = 10_000
HEADERS = {
    f"x-ratelimit-{what}-{kind}": value
    for kind, limit, left in [("requests", "100000000", "99999999"), ("tokens", "1000000000", "999999000")]
    for what, value in [("limit", limit), ("remaining", left), ("reset", "1ms")]
}


@pytest.mark.parametrize("headers", [{}, HEADERS], ids=["without_headers", "with_six_headers"])
def test_calls(benchmark: BenchmarkFixture, headers: dict[str, str]) -> None:
    benchmark.extra_info |= {"calls": CALLS}
    waited = benchmark(_calls, headers)
    assert waited == 0.0


def _calls(headers: dict[str, str]) -> float:
    """The seconds that all were told to wait."""
    limits, waited = Limits(requests=100_000_000, tokens=1_000_000_000), 0.0
    for call in range(CALLS):
        now = 100.0 + call / 1000
        permit = limits.enter(400, 100, bulk=True)
        waited += permit.wait(now)
        permit.observe(headers, now, 1_800_000_000.0)
        permit.done(now, 300, 100)
    return waited
