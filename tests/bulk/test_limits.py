"""`Limits` against providers with hidden limits, in virtual time; and what a permit promises."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hidden_limits import HiddenLimits, simulate

from llmclients import APITimeoutError, AsyncClient, Client, ConfigurationError, Timeout
from llmclients.bulk import Limits
from llmclients.testing import FakeClock, MockTransport, Reply

SECONDS = 600.0


def step(before: float, after: float) -> Callable[[float], float]:
    return lambda now: before if now < SECONDS / 2 else after


HIDDEN: dict[str, dict[str, Any]] = {
    "requests": {"requests": 240},
    "tokens": {"tokens": 300_000},
    "both": {"requests": 300, "tokens": 240_000},
    "lowered": {"requests": step(300, 150)},
    "raised": {"requests": step(120, 240)},
    "told": {"requests": 300, "tokens": 240_000, "tells": True},
}


@pytest.mark.parametrize("sliding", [False, True], ids=["fixed", "sliding"])
@pytest.mark.parametrize("case", HIDDEN)
def test_a_hidden_limit_is_used_from_the_second_minute_on_and_hardly_ever_exceeded(case: str, sliding: bool) -> None:
    server = HiddenLimits(**HIDDEN[case], sliding=sliding)
    run = simulate(Limits(), server, SECONDS, callers=60)

    # A limit that was raised is found within a minute and a half.
    middle = SECONDS / 2
    spans = [(60.0, middle), (middle + 90.0, SECONDS)] if case in ("lowered", "raised") else [(60.0, SECONDS)]
    used = [server.used(*span) for span in spans]
    assert min(used) >= 0.95, used
    assert len(server.refusals) <= 0.01 * (len(server.admitted) + len(server.refusals))
    assert run.early == 0, "requests that went out while the server had asked to wait"


def test_a_server_that_does_not_say_how_long_to_wait_is_not_pestered() -> None:
    for sliding in (False, True):
        server = HiddenLimits(requests=600, sliding=sliding, says=False)
        simulate(Limits(), server, SECONDS, callers=60)

        assert server.used(60, SECONDS) >= 0.9
        assert len(server.refusals) <= 0.01 * len(server.admitted)


def test_limits_that_are_given_are_kept_to_from_the_first_request_on() -> None:
    server = HiddenLimits(requests=300, sliding=True)
    simulate(Limits(requests=300), server, 240.0, callers=60)
    assert server.refusals == []
    assert server.used(0, 240) >= 0.95

    server = HiddenLimits(tokens=240_000, sliding=True)  # of which nobody knows how many an answer will have
    simulate(Limits(tokens=240_000), server, 240.0, callers=60)
    assert len(server.refusals) <= 0.01 * len(server.admitted)
    assert server.used(60, 240) >= 0.95


def test_an_interactive_call_goes_before_all_of_bulk() -> None:
    limits = Limits(60)
    waiting = [limits.enter(100, bulk=True) for _ in range(50)]
    assert waiting[0].wait(0.0) == 0.0
    assert all(permit.wait(0.0) > 0 for permit in waiting[1:])
    asked = limits.enter(100)
    assert asked.wait(0.0) > 0

    now, order = 0.0, []
    while asked not in order:
        now += min(permit.wait(now) for permit in waiting[1:] if permit not in order)
        order += [permit for permit in [*waiting[1:], asked] if permit not in order and permit.wait(now) == 0.0]
    assert order == [asked]


def test_a_place_in_the_queue_is_free_again_when_its_call_is_given_up() -> None:
    limits = Limits(60)
    assert limits.enter(1, bulk=True).wait(0.0) == 0.0
    ahead = [limits.enter(1, bulk=True) for _ in range(30)]
    for permit in ahead:
        permit.wait(0.0)
    last = limits.enter(1, bulk=True)
    assert last.wait(0.0) > 4
    for permit in ahead:
        permit.leave(0.0)

    assert last.wait(0.0) < 1.5


def test_a_request_larger_than_the_limit_goes_out_alone() -> None:
    limits = Limits(tokens=1000)
    large = limits.enter(40_000)

    assert large.wait(5.0) == 0.0
    large.done(6.0, 11_000, 1000)
    small = limits.enter(4)
    now = 6.0
    while wait := small.wait(now):
        now += wait
    assert 60 < now < 70


TOO_MANY = Reply.error(429, retry_after=30)


class Both:
    """A call through each client, on a clock that passes when somebody sleeps."""

    def __init__(self, *replies: Reply, **options: Any) -> None:
        self.clock = FakeClock()
        self.mock = MockTransport(replies, clock=self.clock)
        self.options = {"api_key": "k", "transport": self.mock, **options}

    def chat(self, awaited: bool, **options: Any) -> str:
        if not awaited:
            return Client("openai/m", **self.options, **options).chat("Hi").text
        return asyncio.run(AsyncClient("openai/m", **self.options, **options).chat("Hi")).text


@pytest.mark.parametrize("awaited", [False, True], ids=["Client", "AsyncClient"])
def test_clients_that_share_limits_wait_for_each_other_s_retry_after(awaited: bool) -> None:
    both = Both(TOO_MANY, Reply.text("one"), limits=Limits(), retry=None)
    began = both.clock.now
    with pytest.raises(Exception, match="429"):
        both.chat(awaited)

    assert both.clock.now == began
    assert both.chat(awaited) == "one"
    assert both.clock.now >= began + 30


@pytest.mark.parametrize("awaited", [False, True], ids=["Client", "AsyncClient"])
def test_the_headers_of_an_answer_are_the_limits_of_the_next(awaited: bool) -> None:
    limits = Limits()
    headers = {"x-ratelimit-limit-requests": "30", "x-ratelimit-remaining-requests": "0"}
    answer = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    both = Both(*[Reply(json=answer, headers=headers)] * 2, limits=limits)
    began = both.clock.now
    both.chat(awaited)

    assert limits.requests == 30
    both.chat(awaited)
    assert 59 < both.clock.now - began < 62, "all of it was used by others, in the last minute"


def test_of_answers_at_nearly_the_same_time_one_is_read() -> None:
    limits = Limits()
    permit = limits.enter(400)
    for told, now in [("100", 10.0), ("50", 10.04), ("70", 10.06)]:
        permit.observe({"x-ratelimit-limit-requests": told}, now, 0.0)
        assert limits.requests == (100 if now < 10.05 else 70)


@pytest.mark.parametrize("awaited", [False, True], ids=["Client", "AsyncClient"])
def test_a_deadline_does_not_wait_for_limits_in_vain(awaited: bool) -> None:
    both = Both(TOO_MANY, limits=Limits(), retry=None, timeout=Timeout(total=20))
    began = both.clock.now
    with pytest.raises(Exception, match="429"):
        both.chat(awaited)

    with pytest.raises(APITimeoutError, match="limits allow") as failure:
        both.chat(awaited)
    assert failure.value.phase == "total"
    assert both.clock.now == began


def test_threads_together_keep_to_the_limit() -> None:
    limits, granted = Limits(600), []

    def ask() -> None:
        permits = [limits.enter(10, bulk=True) for _ in range(200)]
        granted.extend(permit for permit in permits if permit.wait(50.0) == 0.0)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(granted) == 4  # what the pace gives in a quarter of a second, while the minute is empty


def test_limits_are_shared_by_copies_and_stay_in_their_process() -> None:
    limits = Limits(requests=10)

    assert copy.deepcopy(limits) is limits
    with pytest.raises(TypeError, match="path="):
        pickle.dumps(Client("openai/m", api_key="k", limits=limits))
    assert repr(limits) == "Limits(requests=10.0)"
    with pytest.raises(TypeError, match="path="):
        pickle.dumps(limits)


@pytest.mark.parametrize(
    "options", [{"requests": 0}, {"tokens": True}, {"requests": "60"}, {"path": "/no/such/folder"}]
)
def test_what_is_no_limit_is_refused_with_its_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as failure:
        Limits(**options)

    assert failure.value.argument == f"limits.{next(iter(options))}"
    with pytest.raises(ConfigurationError, match=r"llmclients\.bulk\.Limits"):
        Client("openai/m", api_key="k", limits=60)  # type: ignore[arg-type]
