"""Every fault × every kind of body × sync and async × chat and stream, over real sockets.

`summary` runs all providers through all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from itertools import product

import pytest

from llmclients.errors import APIStatusError
from llmclients.testing import FaultServer
from llmclients.testing.faults import Answer, redirect
from llmclients.testing.script import http
from tests.helpers import open_descriptors

from .expect import (
    ANY,
    MODELS,
    REQUEST_ID,
    SIDES,
    Case,
    Expect,
    Row,
    cases_of,
    in_turn,
    kind_of,
)
from .harness import Bench, Outcome
from .table import ROWS

CASES = in_turn(ROWS)
AT_ONCE = 20
"""Cases that wait, and do so side by side."""
PATIENT = 0.6
"""The seconds of silence that end one then: so many threads do not always get their turn in the row's own time."""


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def test_the_fault_is_told_as_the_table_says(bench: Bench, subtests: pytest.Subtests) -> None:
    for case in CASES:
        if not case.row.waits:
            with subtests.test(case.id):
                outcome = bench.run(case)

                check_error(case, outcome)
                check_attempts(case, outcome)
                check_released(outcome)


def test_a_fault_that_takes_its_time_is_told_as_the_table_says(subtests: pytest.Subtests) -> None:
    """Each on a bench of its own, and the descriptors counted of all together."""
    cases = [patient(case) for case in CASES if case.row.waits]
    with ExitStack() as stack:
        benches = [stack.enter_context(closing(Bench())) for _ in cases]
        before = open_descriptors()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            outcomes = list(pool.map(Bench.run, benches, cases))
        left = open_descriptors() - before
    for case, outcome in zip(cases, outcomes, strict=True):
        with subtests.test(case.id):
            check_error(case, outcome)
            check_attempts(case, outcome)
            outcome.descriptors_left = left
            check_released(outcome)


def patient(case: Case) -> Case:
    options = {**case.row.options, **({"read": PATIENT} if "read" in case.row.options else {})}
    return replace(case, row=replace(case.row, options=options))


def check_error(case: Case, outcome: Outcome) -> None:
    expect, error = case.expect, outcome.error
    assert type(error) is (expect.error or type(None)), repr(error)
    if error is None:
        assert outcome.text == expect.partial
        assert outcome.response is not None
        assert outcome.response.text == expect.partial
        assert (outcome.response.provider, outcome.response.request_id) == (case.provider, REQUEST_ID)
        return
    assert error.provider == case.provider
    assert error.model == MODELS[case.provider]
    assert error.request_id == (REQUEST_ID if expect.known else None)
    assert error.retryable is expect.retryable
    assert getattr(error, "phase", None) == expect.phase
    assert str(error).startswith(f"{case.provider} (127.0.0.1): ")
    partial = None if error.partial is None else error.partial.text
    if expect.partial == ANY:
        assert partial
    else:
        assert partial == expect.partial
    if case.mode == "stream":
        assert outcome.text == (partial or ""), "the partial answer is what the caller saw"
    if isinstance(error, APIStatusError):
        assert error.status_code == expect.status
        tolerance = 10.0 if (expect.retry_after or 0) > 1e6 else 1e-9  # a date is in whole seconds from now
        assert error.retry_after == pytest.approx(expect.retry_after, abs=tolerance)


def check_attempts(case: Case, outcome: Outcome) -> None:
    attempts = case.expect.attempts_in(case.mode)
    assert outcome.exchanges == attempts
    if outcome.error is not None:
        assert len(outcome.error.previous_errors) == attempts - 1
        assert all(type(earlier) is case.expect.error for earlier in outcome.error.previous_errors)


def check_released(outcome: Outcome) -> None:
    """While error and client are still there; then also with the client closed."""
    assert (outcome.exchanges_left, outcome.connections_left) == (0, 0)
    assert outcome.connections_after_close == 0
    assert outcome.descriptors_left <= 0


def test_another_host_hears_nothing_of_a_redirected_request(bench: Bench, subtests: pytest.Subtests) -> None:
    with FaultServer([http()]) as other:
        url = other.url.replace("127.0.0.1", "localhost") + "/chat"
        for status, side in product((301, 302, 303, 307, 308), SIDES):
            with subtests.test(status=status, side=side):
                script, expect = (
                    redirect(status, url)(Answer(())),
                    Expect(APIStatusError, None, status=status, known=False),
                )
                row = Row(
                    "redirect", lambda _, script=script: script, {"*": expect}, {"headers": {"X-Secret": "canary"}}
                )
                case = Case(row, "ylokh", side, "chat", expect)
                check_error(case, outcome := bench.run(case))
                assert f"redirects to {url}" in str(outcome.error)
                assert (outcome.exchanges, other.connections) == (1, 0)


def test_no_row_and_no_provider_is_left_out() -> None:
    def facts(cases: list[Case]) -> set[tuple[str, ...]]:
        both = {(case.row.name, case.side, case.mode) for case in cases if not case.row.has_status}
        either = {(case.row.name, one) for case in cases for one in (case.side, case.mode)}
        return both | either | {(case.provider, case.side, case.mode) for case in cases}

    def kinds(cases: list[Case]) -> set[tuple[str, ...]]:
        decoded = (case for case in cases if not case.row.fails_alike)
        return {(case.row.name, kind_of(case.provider, case.mode), case.side, case.mode) for case in decoded}

    assert len({case.id for case in CASES}) == len(CASES)
    assert facts(CASES) == facts(cases_of(ROWS))
    assert kinds(CASES) == kinds(cases_of(ROWS))
