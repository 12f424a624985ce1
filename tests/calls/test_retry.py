"""Whether a failed call is made again, and when. No time passes."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmclients.calls.retry import Retries, parse_retry_after
from llmclients.codecs.openai_chat.codec import OpenAICodec
from llmclients.config.values import RetryPolicy
from llmclients.errors import (
    AccessBlockedError,
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    RateLimitError,
    ResponseTooLargeError,
    StreamInterruptedError,
    status_error_class,
)

NOW = 1767225600.0  # Thu, 01 Jan 2026 00:00:00 GMT
LOST = APIConnectionError("lost")


def refused(status: int, **details: Any) -> APIStatusError:
    return status_error_class(status)("no", status_code=status, **details)


def waits(
    error: APIError, policy: RetryPolicy | None = None, *, deadline: float | None = None, seed: int = 1, most: int = 50
) -> list[float]:
    """The waits of a call that fails with the same error again and again, on a clock that only the waits move."""
    retries = Retries(policy or RetryPolicy(jitter=0), deadline, random.Random(seed))
    now, found = 0.0, []
    while (wait := retries.decide(error, now).wait) is not None:
        found.append(wait)
        now += wait
        assert len(found) < most
    return found


# --- how often and how long -----------------------------------------------------------------------------------------


def test_by_default_there_are_two_retries() -> None:
    assert waits(LOST) == [0.5, 1.0]


def test_waits_double_up_to_the_most() -> None:
    assert waits(LOST, RetryPolicy(attempts=8, jitter=0)) == [0.5, 1, 2, 4, 8, 8, 8]
    assert waits(LOST, RetryPolicy(attempts=5, jitter=0, initial_wait=3, max_wait=7)) == [3, 6, 7, 7]
    assert waits(LOST, RetryPolicy(attempts=3, jitter=0, initial_wait=9, max_wait=7)) == [7, 7]


def test_one_attempt_is_no_retry() -> None:
    assert waits(LOST, RetryPolicy(attempts=1)) == []


def test_a_thousand_attempts_overflow_nothing() -> None:
    assert waits(LOST, RetryPolicy(attempts=2000, jitter=0), most=2000) == [0.5, 1, 2, 4] + [8] * 1995


def test_jitter_takes_its_share_of_each_wait() -> None:
    rng = random.Random(7)
    expected = [wait * (1 - 0.25 * rng.random()) for wait in (0.5, 1, 2, 4, 8)]

    assert waits(LOST, RetryPolicy(attempts=6), seed=7) == expected
    assert waits(LOST, RetryPolicy(attempts=6, jitter=1), seed=7) != expected


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_a_wait_is_never_longer_than_without_jitter_nor_shorter_than_its_share(seed: int, jitter: float) -> None:
    found = waits(LOST, RetryPolicy(attempts=6, jitter=jitter), seed=seed)

    for wait, whole in zip(found, [0.5, 1, 2, 4, 8], strict=True):
        assert whole * (1 - jitter) <= wait <= whole


def test_attempts_are_counted() -> None:
    retries = Retries(RetryPolicy(attempts=3), None, random.Random(1))

    counts = [retries.attempts]
    while retries.decide(LOST, 0).wait is not None:
        counts.append(retries.attempts)

    assert counts == [1, 2, 3]


def test_a_call_may_go_on_in_another_thread() -> None:
    retries = Retries(RetryPolicy(jitter=0), None, random.Random(1))
    found: list[float | None] = []

    for _ in range(3):
        thread = threading.Thread(target=lambda: found.append(retries.decide(LOST, 0).wait))
        thread.start()
        thread.join()

    assert found == [0.5, 1.0, None]


def test_two_calls_share_nothing() -> None:
    policy = RetryPolicy(jitter=0)
    first, second = (Retries(policy, None, random.Random(1)) for _ in range(2))

    assert [first.decide(LOST, 0).wait, second.decide(LOST, 0).wait] == [0.5, 0.5]
    assert [first.decide(LOST, 0).wait, second.decide(refused(400), 0).wait] == [1.0, None]


# --- what is retried ------------------------------------------------------------------------------------------------


RETRIED: list[tuple[APIError, bool]] = [
    (LOST, True),
    (StreamInterruptedError("cut"), True),
    (APITimeoutError("slow", phase="connect"), True),
    (APITimeoutError("slow", phase="read"), True),
    (APITimeoutError("late", phase="total"), False),
    (APIResponseError("garbage"), False),
    (ResponseTooLargeError("huge"), False),
    (AccessBlockedError("banned", status_code=200), False),
    (AccessBlockedError("banned", status_code=429), False),
    (APIConnectionError("closed", retryable=False), False),
    *[(refused(status), True) for status in (408, 409, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529)],
    *[(refused(status), False) for status in (400, 401, 402, 403, 404, 413, 422, 498, 499, 501, 505, 525, 599)],
]


def test_what_is_retried_by_default(subtests: pytest.Subtests) -> None:
    for error, retried in RETRIED:
        with subtests.test(repr(error)):
            assert bool(waits(error)) is retried


def test_the_provider_may_have_an_opinion(subtests: pytest.Subtests) -> None:
    cases: list[tuple[int, dict[str, str], bytes, bool]] = [
        (429, {}, b'{"error":{"code":"rate_limit_exceeded"}}', True),
        (429, {}, b'{"error":{"code":"insufficient_quota"}}', False),
        (429, {}, b'{"error":{"type":"insufficient_quota","message":"m"}}', False),
        (429, {"x-should-retry": "false"}, b"", False),
        (500, {"x-should-retry": "false"}, b"", False),
        (400, {"x-should-retry": "true"}, b"", True),
        (429, {"x-should-retry": "true"}, b'{"error":{"code":"insufficient_quota"}}', True),
        (500, {"x-should-retry": "maybe"}, b"", True),
    ]
    for status, headers, body, retried in cases:
        with subtests.test(repr(headers)):
            assert bool(waits(OpenAICodec().decode_error(status, headers, body))) is retried


def test_the_caller_s_own_statuses_count_for_more(subtests: pytest.Subtests) -> None:
    cases: list[tuple[set[int], APIError, bool]] = [
        ({418}, refused(418), True),
        ({418}, refused(500), False),
        ({418}, refused(429), False),
        ({429, 418}, refused(429), True),
        ({429}, refused(429, retryable=False), False),
        ({404}, refused(404, retryable=False), True),
        ({404}, refused(400, retryable=True), True),
        ({404}, refused(503, retryable=True), False),
        (set(), refused(429), False),
        (set(), LOST, True),
        (set(), APITimeoutError("slow"), True),
    ]
    for statuses, error, retried in cases:
        with subtests.test(repr(error)):
            assert bool(waits(error, RetryPolicy(statuses=frozenset(statuses)))) is retried


# --- told to wait ---------------------------------------------------------------------------------------------------


def test_what_the_provider_says_is_waited_in_full_without_jitter() -> None:
    error = refused(429, retry_after=7.66)

    assert waits(error, RetryPolicy(attempts=3, max_wait=1)) == [7.66, 7.66]


def test_told_to_wait_longer_than_the_cap_a_call_gives_up_at_once() -> None:
    assert waits(refused(429, retry_after=120.0)) == [120, 120]
    assert waits(refused(429, retry_after=120.1)) == []
    assert waits(refused(429, retry_after=float("inf"))) == []
    assert waits(refused(429, retry_after=5.0), RetryPolicy(max_retry_after=4)) == []


def test_told_to_wait_does_not_make_an_error_worth_retrying() -> None:
    assert waits(refused(400, retry_after=1.0)) == []


def test_each_failure_is_told_its_own_wait() -> None:
    retries = Retries(RetryPolicy(attempts=5, jitter=0), None, random.Random(1))
    errors = [refused(429, retry_after=9.0), LOST, refused(503), refused(429, retry_after=0.1), LOST]

    assert [retries.decide(error, 0).wait for error in errors] == [9, 1, 2, 0.1, None]


def test_no_attempt_begins_at_or_after_the_deadline(subtests: pytest.Subtests) -> None:
    cases: list[tuple[float | None, list[float]]] = [
        (None, [0.5, 1, 2]),
        (100, [0.5, 1, 2]),
        (3.5, [0.5, 1]),
        (3.51, [0.5, 1, 2]),
        (1.5, [0.5]),
        (0.5, []),
        (0, []),
        (-1, []),
    ]
    for deadline, expected in cases:
        with subtests.test(repr(deadline)):
            assert waits(LOST, RetryPolicy(attempts=4, jitter=0), deadline=deadline) == expected


def test_told_to_wait_past_the_deadline_a_call_gives_up_at_once() -> None:
    assert waits(refused(429, retry_after=10.0), deadline=10) == []
    assert waits(refused(429, retry_after=10.0), deadline=10.1) == [10]


# --- Retry-After ----------------------------------------------------------------------------------------------------


ASKED: list[tuple[dict[str, str], float | None]] = [
    ({}, None),
    ({"retry-after": "1"}, 1),
    ({"retry-after": "7.66"}, 7.66),
    ({"retry-after": " 2 "}, 2),
    ({"retry-after": ".5"}, 0.5),
    ({"retry-after": "5."}, 5),
    ({"retry-after": "007"}, 7),
    ({"retry-after": "0"}, None),
    ({"retry-after": "0.0"}, None),
    ({"retry-after": "-1"}, None),
    ({"retry-after": "+1"}, None),
    ({"retry-after": "1e3"}, None),
    ({"retry-after": "1,5"}, None),
    ({"retry-after": "1 s"}, None),
    ({"retry-after": "nan"}, None),
    ({"retry-after": "inf"}, None),
    ({"retry-after": "soon"}, None),
    ({"retry-after": ""}, None),
    ({"retry-after": "١"}, None),
    ({"retry-after": "１"}, None),
    ({"retry-after": "²"}, None),
    ({"retry-after": "9" * 400}, float("inf")),
    ({"retry-after-ms": "494"}, 0.494),
    ({"retry-after-ms": "494.5"}, 0.4945),
    ({"retry-after-ms": "494", "retry-after": "1"}, 0.494),
    ({"retry-after-ms": "0", "retry-after": "1"}, 1),
    ({"retry-after-ms": "-5", "retry-after": "1"}, 1),
    ({"retry-after-ms": "x", "retry-after": "1"}, 1),
    ({"retry-after-ms": "9" * 400}, float("inf")),
    ({"retry-after-ms": "1", "retry-after": "soon"}, 0.001),
    ({"retry-after": "Thu, 01 Jan 2026 00:00:07 GMT"}, 7),
    ({"retry-after": "Thu, 01 Jan 2026 00:00:00 GMT"}, None),
    ({"retry-after": "Wed, 31 Dec 2025 23:59:00 GMT"}, None),
    ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, 25_342_080),
    ({"retry-after": "Thu, 01 Jan 2026 01:00:07 +0100"}, 7),
    ({"retry-after": "Thu, 01 Jan 2026 00:00:07 -0000"}, 7),
    ({"retry-after": "Thursday, 01-Jan-26 00:00:07 GMT"}, 7),
    ({"retry-after": "Thu Jan  1 00:00:07 2026"}, 7),
    ({"retry-after": "2026-01-01T00:00:07Z"}, None),
    ({"retry-after": "Thu, 99 Jan 2026 00:00:07 GMT"}, None),
    ({"retry-after": "Thu, 01 Jan 99999 00:00:07 GMT"}, None),
    ({"retry-after": "Thu, 01 Jan 2026 00:00:07 +9999999999"}, None),
]


def test_how_long_the_provider_asks_to_wait(subtests: pytest.Subtests) -> None:
    for headers, expected in ASKED:
        with subtests.test(repr(headers)):
            assert parse_retry_after(headers, NOW) == expected


@pytest.mark.long
@pytest.mark.parametrize("zone", ["Asia/Tokyo", "XYZ+12"])
def test_an_http_date_does_not_depend_on_where_the_program_runs(zone: str) -> None:
    program = (
        "from llmclients.calls.retry import parse_retry_after\n"
        "for date in ('Thu Jan  1 00:00:07 2026', 'Thu, 01 Jan 2026 00:00:07 GMT', 'Thu, 01 Jan 2026 00:00:07 -0000'):\n"
        f"    print(parse_retry_after({{'retry-after': date}}, {NOW}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "TZ": zone}, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["7.0", "7.0", "7.0"]


@given(st.text() | st.from_regex(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d ([A-Z]{3}|[+-]\d{4})"))
def test_a_header_of_any_kind_is_a_wait_or_nothing(value: str) -> None:
    for name in ("retry-after", "retry-after-ms"):
        wait = parse_retry_after({name: value}, NOW)
        assert wait is None or wait > 0


def test_a_wait_of_the_quota_is_kept_on_the_error() -> None:
    error = RateLimitError("slow", status_code=429, retry_after=parse_retry_after({"retry-after-ms": "250"}, NOW))

    assert waits(error, RetryPolicy(attempts=2)) == [0.25]


def test_a_call_that_is_given_up_says_why() -> None:
    def reason(error: APIError, deadline: float | None = None, attempts: int = 2, made: int = 1) -> str:
        retries = Retries(RetryPolicy(attempts=attempts, jitter=0), deadline, random.Random(1))
        for _ in range(made):
            decision = retries.decide(error, 0)
        assert decision.wait is None
        return decision.reason

    assert reason(refused(400)) == "another attempt cannot help"
    assert reason(LOST, made=2) == "all 2 attempts of the policy are made"
    assert reason(refused(429, retry_after=121.5)) == "asked to wait 121.5 s, more than max_retry_after allows"
    assert reason(LOST, deadline=0.5) == "the deadline would have passed"
