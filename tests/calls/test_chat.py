"""A call's flow: what it does next after every outcome. No socket, no transport, no time that passes."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from llmclients.calls.arguments import ChatArguments
from llmclients.calls.chat import ChatCall, prepare
from llmclients.calls.fallback import FallbackCall
from llmclients.calls.flow import Drain, Open, Read, Sleep, StartServer
from llmclients.calls.listing import ModelListing
from llmclients.codecs.openai_chat.codec import OpenAICodec
from llmclients.config.client import ClientSettings
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    InternalServerError,
    RateLimitError,
    StreamInterruptedError,
)
from llmclients.types.messages import Message
from llmclients.types.response import Chunk, TokenLogprob

EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
REPLY = b'{"id":"c1","model":"m-1","choices":[{"message":{"content":"Nile"},"finish_reason":"stop"}]}'


@dataclass
class FakeClock:
    now: float = 1000.0
    unix: float = 1_767_225_600.0

    def time(self) -> float:
        return self.unix

    def monotonic(self) -> float:
        return self.now


@dataclass
class Head:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


def settings(provider: str = "openai", **arguments: Any) -> ClientSettings:
    defaults: dict[str, Any] = {
        "model": "m" if provider == "openai" else None,
        "api_key": None,
        "base_url": "http://host.test/v1",
        "retry": RetryPolicy(jitter=0),
        "trust_env": False,
        "max_response_bytes": 1000,
    }
    return ClientSettings.from_arguments(provider, **(defaults | arguments))


def call(
    stream: bool, made_with: ClientSettings, clock: FakeClock, *, restart: bool = False, **options: Any
) -> ChatCall | FallbackCall:
    arguments = ChatArguments([Message("user", "hi")], None, options, restart=restart)
    return prepare(made_with, clock, arguments, stream=stream)  # type: ignore[arg-type]


@dataclass
class Record:
    """What a flow did: its steps in short, the texts it delivered, and how it ended."""

    steps: list[str] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    delivered: list[str] = field(default_factory=list)
    opened: list[Open] = field(default_factory=list)
    result: Any = None
    error: APIError | None = None


def happen(outcomes: Iterator[Any], clock: FakeClock) -> Any:
    """The script's next outcome."""
    outcome = next(outcomes)
    if isinstance(outcome, float):
        clock.now += outcome
        outcome = next(outcomes)
    if isinstance(outcome, APIError):
        raise outcome
    return outcome


def run(flow: Any, script: Iterable[Any], clock: FakeClock) -> Record:
    """Perform a flow's steps from a script: heads, bytes, or errors to throw; a float is time that passes first."""
    outcomes = iter(script)
    done = Record()
    outcome: Any = None
    failure: APIError | None = None
    try:
        while True:
            step = flow.throw(failure) if failure is not None else flow.send(outcome)
            outcome, failure = None, None
            if isinstance(step, Chunk):
                done.delivered.append(step.text)
                continue
            done.steps.append(type(step).__name__)
            if isinstance(step, Drain):
                continue
            if isinstance(step, Sleep):
                done.slept.append(step.seconds)
                clock.now += step.seconds
                continue
            if isinstance(step, Open):
                done.opened.append(step)
            assert isinstance(step, Open | Read | StartServer)
            try:
                outcome = happen(outcomes, clock)
            except APIError as error:
                failure = error
    except StopIteration as end:
        done.result = end.value
    except APIError as error:
        done.error = error
    assert list(outcomes) == [], "the flow did not use the whole script"
    return done


def reply(script: Iterable[Any], clock: FakeClock | None = None, **arguments: Any) -> Record:
    clock = clock or FakeClock()
    return run(call(False, settings(**arguments), clock).reply(), script, clock)


def stream(script: Iterable[Any], clock: FakeClock | None = None, **arguments: Any) -> Record:
    clock = clock or FakeClock()
    return run(call(True, settings(**arguments), clock).stream(), script, clock)


def test_a_whole_reply_is_opened_read_to_its_end_and_decoded() -> None:
    done = reply([Head(headers={"x-request-id": "r1"}), REPLY[:20], REPLY[20:], b""])
    assert done.steps == ["Open", "Read", "Read", "Read"]
    assert (done.result.text, done.result.model, done.result.id) == ("Nile", "m-1", "c1")
    assert (done.result.provider, done.result.request_id, done.result.finish_reason) == ("openai", "r1", "stop")


def test_a_stream_hands_out_the_chunks_of_each_read_and_stops_at_the_end_mark() -> None:
    done = stream([Head(), EVENT % b"The " + EVENT % b"Ni", EVENT % b"le", FINISH + DONE])
    assert done.steps == ["Open", "Read", "Read", "Read", "Drain"]
    assert done.delivered == ["The ", "Ni", "le", ""]
    assert done.result.text == "The Nile"


def test_chunks_are_decoded_as_the_caller_takes_them_and_count_from_then_on() -> None:
    made = call(True, settings(), FakeClock())
    flow = made.stream()
    next(flow)
    assert isinstance(flow.send(Head()), Read)
    assert made.response().text == ""
    flow.send(EVENT % b"The " + EVENT % b"Nile" + b"data: no JSON\n\n")
    assert made.response().text == "The "
    next(flow)
    assert made.response().text == "The Nile"
    with pytest.raises(APIResponseError, match=r"openai \(host.test\): .*not JSON") as raised:
        next(flow)
    assert raised.value.partial is not None
    assert raised.value.partial.text == "The Nile"


def test_a_broken_read_of_which_the_caller_took_nothing_is_tried_again() -> None:
    done = stream([Head(), b'data: {"error":{"type":"server_error"}}\n\n', Head(), EVENT % b"x" + FINISH + DONE])
    assert done.delivered == ["x", ""]
    assert done.steps == ["Open", "Read", "Sleep", "Open", "Read", "Drain"]


@pytest.mark.parametrize("restart", [True, False])
def test_after_a_break_the_restarted_chunk_empties_the_response_first(restart: bool) -> None:
    clock = FakeClock()
    made = call(True, settings(), clock, restart=restart)
    flow = made.stream()
    next(flow)
    flow.send(Head())
    assert str(flow.send(EVENT % b"old")) == "old"
    assert isinstance(next(flow), Read)
    if not restart:
        with pytest.raises(StreamInterruptedError):
            flow.throw(StreamInterruptedError("cut"))
        return
    assert isinstance(flow.throw(StreamInterruptedError("cut")), Sleep)
    assert isinstance(next(flow), Open)
    flow.send(Head())
    assert made.response().text == "old"
    first = flow.send(EVENT % b"new")
    assert isinstance(first, Chunk)
    assert first.restarted
    assert made.response().text == ""
    assert str(next(flow)) == "new"
    assert made.response().text == "new"


def test_an_answer_that_ends_with_its_body_needs_no_finish() -> None:
    done = stream([Head(), b"whole", b""], provider="yqcloud")
    assert done.steps == ["Open", "Read", "Read"]
    assert done.delivered == ["whole", ""]


def test_a_provider_without_whole_replies_is_read_as_a_stream_by_chat() -> None:
    done = reply([Head(), "Räder".encode()[:2], "Räder".encode()[2:], b""], provider="yqcloud")
    assert done.steps == ["Open", "Read", "Read", "Read"]
    assert (done.result.text, done.result.finish_reason, done.result.model) == ("Räder", "stop", "gpt-4")


def test_a_failure_to_open_is_tried_again_when_that_can_help(subtests: pytest.Subtests) -> None:
    cases: list[tuple[APIError, int]] = [
        (APIConnectionError("refused"), 3),
        (APITimeoutError("slow", phase="connect"), 3),
        (APITimeoutError("slow", phase="read"), 3),
        (APITimeoutError("over", phase="total"), 1),
        (StreamInterruptedError("cut"), 3),
        (APIResponseError("not HTTP"), 1),
        (APIConnectionError("wrong certificate", retryable=False), 1),
    ]
    for failure, attempts in cases:
        with subtests.test(repr(failure)):
            done = reply([failure] * attempts)
            assert done.steps.count("Open") == attempts
            assert done.slept == [0.5, 1.0][: attempts - 1]
            assert type(done.error) is type(failure)
            assert str(done.error) == f"openai (host.test): {failure}"
            assert (done.error.provider, done.error.model) == ("openai", "m")
            assert len(done.error.previous_errors) == attempts - 1
            assert (failure.provider, failure.previous_errors) == (None, ())


def test_the_second_attempt_succeeds_after_the_wait_the_provider_asked_for() -> None:
    limited = Head(429, {"retry-after": "7"})
    done = reply([limited, b'{"error":{"message":"slow down"}}', b"", Head(), REPLY, b""])
    assert done.slept == [7.0]
    assert done.result.text == "Nile"


def test_a_status_is_tried_again_by_its_rule(subtests: pytest.Subtests) -> None:
    cases: list[tuple[int, dict[str, str], bytes, int, type[APIError]]] = [
        (400, {}, b"{}", 1, APIStatusError),
        (401, {}, b'{"error":"no"}', 1, AuthenticationError),
        (408, {}, b"", 3, APIStatusError),
        (429, {}, b"", 3, RateLimitError),
        (429, {}, b'{"error":{"code":"insufficient_quota"}}', 1, RateLimitError),
        (429, {"x-should-retry": "false"}, b"", 1, RateLimitError),
        (400, {"x-should-retry": "true"}, b"", 3, APIStatusError),
        (429, {"retry-after": "121"}, b"", 1, RateLimitError),
        (500, {}, b"<html><title>Oops</title></html>", 3, InternalServerError),
        (501, {}, b"", 1, InternalServerError),
        (522, {}, b"", 3, InternalServerError),
    ]
    for status, headers, body, attempts, kind in cases:
        with subtests.test(repr(status)):
            bodies = [body, b""] if body else [b""]
            done = reply([Head(status, headers), *bodies] * attempts)
            assert done.steps.count("Open") == attempts
            assert type(done.error) is kind or (kind is APIStatusError and isinstance(done.error, APIStatusError))
            assert isinstance(done.error, APIStatusError)
            assert done.error.status_code == status


def test_an_error_body_that_breaks_off_still_gives_the_status() -> None:
    done = reply([Head(401), StreamInterruptedError("cut")])
    assert isinstance(done.error, AuthenticationError)


def test_only_the_beginning_of_an_endless_error_body_is_read() -> None:
    done = reply([Head(400), b"x" * 700_000, b"x" * 700_000])
    assert isinstance(done.error, APIStatusError)
    assert len(str(done.error)) < 700


def test_a_redirect_is_not_followed_and_its_target_named_without_its_query() -> None:
    done = reply([Head(308, {"location": "https://other.test/v1?token=secret"})])
    assert isinstance(done.error, APIStatusError)
    assert "https://other.test/v1" in str(done.error)
    assert "secret" not in str(done.error)


def test_a_break_before_the_first_chunk_is_tried_again() -> None:
    cut = StreamInterruptedError("cut")
    done = stream([Head(), cut, Head(), EVENT % b"x" + FINISH + DONE])
    assert done.slept == [0.5]
    assert done.delivered == [
        "x",
        "",
    ]
    assert done.result.text == "x"


def test_a_break_after_the_first_chunk_is_the_callers_to_know() -> None:
    cut = StreamInterruptedError("cut")
    done = stream([Head(), EVENT % b"The Ni", cut])
    assert done.steps.count("Open") == 1
    assert isinstance(done.error, StreamInterruptedError)
    assert done.error.partial is not None
    assert (done.error.partial.text, done.error.partial.finish_reason) == ("The Ni", None)


def test_chat_over_a_stream_is_tried_again_after_any_break_and_forgets_what_came() -> None:
    done = reply([Head(), b"half an an", StreamInterruptedError("cut"), Head(), b"whole", b""], provider="yqcloud")
    assert done.result.text == "whole"


def test_the_end_of_the_body_without_the_end_mark_is_an_error_with_what_came() -> None:
    done = stream([Head(), EVENT % b"The " + FINISH, b""])
    assert type(done.error) is StreamInterruptedError
    assert done.error.partial is not None
    assert done.error.partial.text == "The "
    assert done.delivered == ["The ", ""]


def test_the_chunks_before_an_error_event_in_the_same_read_come_first() -> None:
    done = stream(
        [Head(), EVENT % b"a" + EVENT % b"b" + b'data: {"error":{"message":"boom","type":"server_error"}}\n\n']
    )
    assert done.delivered == ["a", "b"]
    assert type(done.error) is InternalServerError
    assert "boom" in str(done.error)
    assert done.error.partial is not None
    assert done.error.partial.text == "ab"


def test_an_error_event_before_the_first_chunk_is_tried_again_when_its_words_say_so() -> None:
    error = b'data: {"error":{"message":"boom","type":"server_error"}}\n\n'
    done = stream([Head(), error, Head(), EVENT % b"x" + FINISH + DONE])
    assert done.result.text == "x"


def test_the_deadline_is_counted_from_the_first_step_and_covers_every_attempt() -> None:
    clock = FakeClock(now=50.0)
    done = reply([APIConnectionError("refused"), Head(), REPLY, b""], clock, timeout=Timeout(total=10))
    assert [step.deadline for step in done.opened] == [60.0, 60.0]


def test_no_attempt_is_made_that_would_begin_after_the_deadline() -> None:
    refused = APIConnectionError("refused")
    done = reply([9.6, refused], timeout=Timeout(total=10))
    assert (str(done.error), done.slept) == ("openai (host.test): refused", [])


def test_one_attempt_is_made_without_retries() -> None:
    assert str(reply([APIConnectionError("refused")], retry=None).error) == "openai (host.test): refused"


def test_the_waits_double_up_to_the_cap_and_jitter_only_shortens_them() -> None:
    clock = FakeClock()
    policy = RetryPolicy(attempts=7, jitter=0.5)
    made = settings(retry=policy)
    request, options = made.request([Message("user", "hi")], None, {})
    flow = ChatCall(made, clock, request, options, stream=False, rng=random.Random(7)).reply()  # type: ignore[arg-type]
    done = run(flow, [APIConnectionError("refused")] * 7, clock)
    draws = random.Random(7)
    expected = [wait * (1 - 0.5 * draws.random()) for wait in (0.5, 1, 2, 4, 8, 8)]
    assert done.slept == pytest.approx(expected)


def test_the_same_bytes_are_sent_in_every_attempt() -> None:
    done = reply([APIConnectionError("refused"), Head(), b"x", b""], provider="yqcloud-legacy")
    first, second = done.opened
    assert first.request == second.request


def test_the_callers_headers_replace_the_codecs_in_place_and_add_to_them() -> None:
    done = reply(
        [Head(), REPLY, b""], api_key="sk-1", headers={"accept": "text/plain", "X-Trace": "7", "AUTHORIZATION": "mine"}
    )
    assert done.opened[0].request.headers == (
        ("Content-Type", "application/json"),
        ("accept", "text/plain"),
        ("AUTHORIZATION", "mine"),
        ("X-Trace", "7"),
    )


def test_a_server_on_demand_is_started_first_and_its_key_is_sent() -> None:
    @dataclass
    class Served:
        base_url: str = "http://127.0.0.1:1/v1"
        api_key: str = "random"

    clock = FakeClock()
    made = settings("local", base_url=None)
    done = run(call(False, made, clock).reply(), [Served(), Head(), REPLY, b""], clock)
    assert done.steps == ["StartServer", "Open", "Read", "Read"]
    sent = done.opened[0].request
    assert sent.url == "http://127.0.0.1:1/v1/chat/completions"
    assert dict(sent.headers)["Authorization"] == "Bearer random"


def test_models_are_asked_from_a_service_that_can_tell() -> None:
    clock = FakeClock()
    flow = ModelListing(settings(), clock).names()  # type: ignore[arg-type]
    done = run(flow, [Head(), b'{"data":[{"id":"a"},{"id":"b"}]}', b""], clock)
    assert done.result == ["a", "b"]
    assert (done.opened[0].request.method, done.opened[0].request.url) == ("GET", "http://host.test/v1/models")


def test_models_of_a_service_that_cannot_tell_are_those_known() -> None:
    clock = FakeClock()
    done = run(ModelListing(settings("ai365vip"), clock).names(), [], clock)  # type: ignore[arg-type]
    assert done.result == ["gpt-3.5-turbo", "gpt-3.5-turbo-16k", "gpt-4o"]
    assert done.steps == []


class _FaultyDecoder:
    done = False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        yield Chunk(text="half")
        raise KeyError("index")

    def finish(self) -> Iterator[Chunk]:
        return iter(())


class _FaultyCodec(OpenAICodec):
    """A codec with faults, as one from elsewhere may have: a bare exception, and a value that our models refuse."""

    def decode(self, body: bytes) -> Any:
        return TokenLogprob(token="x", logprob=float("inf"))

    def stream_decoder(self, content_type: str) -> Any:
        return _FaultyDecoder()

    def decode_models(self, body: bytes) -> list[str]:
        raise ValueError("no such list")


def test_whatever_a_codec_cannot_read_is_an_api_error() -> None:
    clock = FakeClock()
    made = settings()._replace(codec=_FaultyCodec())
    whole = run(call(False, made, clock).reply(), [Head(), b"{}", b""], clock).error
    streamed = run(call(True, made, clock).stream(), [Head(), b"{}"], clock)
    listed = run(ModelListing(made, clock).names(), [Head(), b"{}", b""], clock).error  # type: ignore[arg-type]

    assert [type(error) for error in (whole, streamed.error, listed)] == [APIResponseError] * 3
    assert str(whole).startswith("openai (host.test): the reply cannot be read: InvalidRequestError: TokenLogprob: ")
    assert str(streamed.error) == "openai (host.test): the reply cannot be read: KeyError: 'index'"
    assert isinstance(streamed.error, APIResponseError)
    assert isinstance(streamed.error.__cause__, KeyError)
    assert streamed.error.partial is not None
    assert (streamed.delivered, streamed.error.partial.text) == (["half"], "half")
    assert "no such list" in str(listed)


def test_an_error_is_built_once_and_what_was_raised_stays_as_it_was() -> None:
    lost = APIConnectionError("refused")
    limited = RateLimitError("slow down", status_code=429, retry_after=1, body={"a": 1}, headers={"x": "y"})
    before = [dict(vars(error)) for error in (lost, limited)]

    error = reply([lost, limited, lost]).error

    assert [dict(vars(error)) for error in (lost, limited)] == before
    assert error is not None
    assert [str(one) for one in (*error.previous_errors, error)] == [
        "openai (host.test): refused",
        "openai (host.test): slow down",
        "openai (host.test): refused",
    ]
    assert all(one.provider == "openai" and one.previous_errors == () for one in error.previous_errors)
