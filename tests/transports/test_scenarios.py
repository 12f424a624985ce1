"""One table of what servers do, through both transports: the same bytes, the same errors, the same messages."""

from __future__ import annotations

from functools import partial

import pytest

from llmclients.errors import APIConnectionError, APITimeoutError, ConfigurationError, LLMClientError
from llmclients.testing.fault_server import END, HOLD, FaultServer, http, unused_port

from .helpers import at_once
from .scenarios import CASES, DRIP, Case, head
from .sides import ASYNC, SYNC, Outcome, Side, both_sides


def play(side: Side, case: Case) -> tuple[Outcome, int]:
    """What a case comes to, and the number of connections that it took."""
    with FaultServer(case.script) as server:
        return side.fetch(server.url + "/chat?key=SECRET", **case.options), server.connections


@pytest.fixture(scope="module")
def of_those_that_wait() -> dict[tuple[str, str], tuple[Outcome, int]]:
    """The cases with a timeout or a deadline of their own, played all at once."""
    waiting = [(side, case) for side in (SYNC, ASYNC) for case in CASES if case.waits]
    played = at_once(*(partial(play, side, case) for side, case in waiting))
    return {(side.name, case.name): result for (side, case), result in zip(waiting, played, strict=True)}


@both_sides
def test_both_transports_see_the_same(
    side: Side, of_those_that_wait: dict[tuple[str, str], tuple[Outcome, int]], subtests: pytest.Subtests
) -> None:
    for case in CASES:
        with subtests.test(case.name):
            outcome, connections = of_those_that_wait[side.name, case.name] if case.waits else play(side, case)
            assert outcome.status == case.status
            assert case.body is None or outcome.body == case.body
            assert type(outcome.error) is (case.error or type(None)), repr(outcome.error)
            if outcome.error is not None:
                assert case.says in str(outcome.error)
                assert "SECRET" not in str(outcome.error)
                assert getattr(outcome.error, "phase", None) == case.phase
            assert outcome.seconds < 4, "no limit of another kind"
            assert connections == 1, "nothing is tried again behind the caller's back"


@both_sides
def test_a_dripping_body_stops_at_the_deadline(side: Side) -> None:
    with FaultServer([head(("Content-Length", "1000")), *DRIP, HOLD]) as server:
        outcome = side.fetch(server.url, within=0.2)
        assert isinstance(outcome.error, APITimeoutError)
        assert outcome.error.phase == "total"
        assert not outcome.error.retryable
        assert 0.19 <= outcome.seconds < 1.5
        assert len(outcome.body) >= 5


@both_sides
def test_a_deadline_that_has_passed_opens_no_connection(side: Side) -> None:
    with FaultServer([http()]) as server:
        outcome = side.fetch(server.url, within=-1)
        assert isinstance(outcome.error, APITimeoutError)
        assert outcome.error.phase == "total"
        assert server.connections == 0


@both_sides
def test_refused(side: Side) -> None:
    port = unused_port()
    outcome = side.fetch(f"http://127.0.0.1:{port}/")
    assert type(outcome.error) is APIConnectionError
    assert str(outcome.error) == f"cannot connect to 127.0.0.1:{port}: connection refused"
    assert outcome.error.retryable
    assert outcome.error.__cause__ is not None


@both_sides
def test_a_name_that_does_not_exist(side: Side) -> None:
    outcome = side.fetch("http://nonexistent.invalid/")
    assert type(outcome.error) is APIConnectionError
    assert str(outcome.error) == "the name of nonexistent.invalid could not be resolved"


@both_sides
def test_an_older_error_does_not_colour_a_new_one(side: Side) -> None:
    def again() -> LLMClientError | None:
        try:
            raise ConnectionRefusedError(111, "Connection refused")
        except ConnectionRefusedError:
            with FaultServer([END]) as server:
                return side.fetch(server.url).error

    assert "refused" not in str(again())


@both_sides
@pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1:99999/", "http:///x"])
def test_a_url_that_is_none_is_the_callers_mistake(side: Side, url: str) -> None:
    assert isinstance(side.fetch(url).error, ConfigurationError)
