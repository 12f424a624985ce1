"""What one call says for itself: system text, timeout, headers, retries; and what its reply's headers were."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any

import pytest
from asking import KINDS, each_way, outcome

from llmclients import (
    APIError,
    APITimeoutError,
    Client,
    ConfigurationError,
    InternalServerError,
    InvalidRequestError,
    Message,
    RetryPolicy,
    Timeout,
)
from llmclients.testing import Delay, MockTransport, Reply

SECRET = "sk-" + "0123456789abcdef"
WHOLE = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
EVENTS = ['data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\n', "data: [DONE]\n\n"]
kinds = pytest.mark.parametrize("kind", KINDS)


def made(kind: Any, mock: MockTransport, name: str = "openai/m", **options: Any) -> Any:
    return kind(name, **{"api_key": "k-" + "fedcba9876543210", "transport": mock, **options})


def roles(request: Any) -> list[str]:
    return [f"{message.role}: {message.text}" for message in request.messages]


@kinds
def test_system_goes_before_the_messages_of_this_call(kind: Any) -> None:
    for name in ("openai", "openai-responses", "anthropic", "gemini", "cohere", "ollama"):
        mock = MockTransport([Reply.text("Hi"), Reply.stream("Hi"), Reply.text("Hi")])
        client = made(kind, mock, name, model="m")
        assert [answer.text for answer in each_way(client, ["One", "Two"], system="Briefly.")] == ["Hi", "Hi"], name
        outcome(client.chat("One"))
        assert [roles(request) for request in mock.requests] == [
            *[["system: Briefly.", "user: One", "user: Two"]] * 2,
            ["user: One"],
        ], name


@kinds
def test_a_second_system_text_is_refused_and_so_is_what_is_no_text(kind: Any) -> None:
    mock = MockTransport()
    client = made(kind, mock)
    mistakes: list[tuple[Any, Any, str]] = [
        ([Message("system", "A"), "x"], "B", "messages begin with a system message: give that or system=, not both"),
        ([Message("developer", "A"), "x"], "B", "messages begin with a developer message"),
        ("x", "", "system is empty: leave it out"),
        ("x", ["B"], "system must be text, not list"),
        ("x", "\ud800", "lone surrogate"),
    ]
    for asking in (client, client.conversation()):
        for messages, system, reason in mistakes:
            for call in (asking.chat, asking.stream):
                with pytest.raises(InvalidRequestError, match=reason) as caught:
                    outcome(call(messages, system=system))
                assert caught.value.argument == "system"
    assert mock.requests == []


@kinds
def test_a_turn_s_system_takes_the_place_of_the_conversation_s_in_that_turn(kind: Any) -> None:
    mock = MockTransport([Reply.text("1"), Reply.stream("2"), Reply.text("3")])
    conversation = made(kind, mock).conversation("Briefly.")
    outcome(conversation.chat("A", system="In French.", timeout=3, headers={"X-Turn": "1"}, retry=None))
    outcome(conversation.stream("B", system="In Dutch."))
    outcome(conversation.chat("C"))
    assert [roles(request)[0] for request in mock.requests] == [
        *("system: In French.", "system: In Dutch.", "system: Briefly."),
    ]
    assert [dict(request.headers).get("X-Turn") for request in mock.requests] == ["1", None, None]
    assert [message.text for message in conversation.messages] == ["A", "1", "B", "2", "C", "3"]


@kinds
def test_a_call_s_timeout_is_in_place_of_the_client_s(kind: Any) -> None:
    def slow(_: Any) -> Reply:
        return Reply(chunks=[Delay(7), "x"])

    for timeout, phase in ((5, "read"), (Timeout(total=6), "total"), (Timeout(read=6.5), "read")):
        for call in ("chat", "stream"):
            client = made(kind, MockTransport(slow), retry=None)
            for asking in (client, client.with_options(timeout=999)):
                with pytest.raises(APITimeoutError) as caught:
                    outcome(getattr(asking, call)("x", timeout=timeout))
                assert caught.value.phase == phase
    client = made(kind, MockTransport(slow), retry=None, timeout=Timeout(connect=3, total=6))
    with pytest.raises(APITimeoutError) as caught:  # a number leaves the deadline
        outcome(client.chat("x", timeout=60))
    assert caught.value.phase == "total"


@kinds
def test_a_call_s_retries_are_in_place_of_the_client_s(kind: Any) -> None:
    for retry, attempts in ((None, 1), (False, 1), (2, 2), (RetryPolicy(attempts=4), 4)):
        for call in ("chat", "stream"):
            mock = MockTransport(lambda _: Reply(503))
            with pytest.raises(InternalServerError):
                outcome(getattr(made(kind, mock), call)("x", retry=retry))
            assert len(mock.requests) == attempts


@kinds
def test_a_call_s_headers_come_over_the_client_s_and_their_secrets_are_masked(kind: Any) -> None:
    def refuse(request: Any) -> Reply:
        return Reply(401, f"wrong: {dict(request.headers)['X-Api-Token']}", headers={"X-Sent": SECRET})

    mock = MockTransport(refuse)
    client = made(kind, mock, headers={"x-api-token": "token-of-client", "X-Team": "docs"})
    for call in ("chat", "stream"):
        with pytest.raises(APIError) as caught:
            outcome(getattr(client, call)("x", headers={"X-Api-Token": SECRET, "Authorization": f"Bearer {SECRET}"}))
        sent = dict(mock.requests[-1].headers)
        assert (sent["X-Api-Token"], sent["X-Team"], sent["Authorization"]) == (SECRET, "docs", f"Bearer {SECRET}")
        assert "x-api-token" not in sent
        assert SECRET not in f"{caught.value} {vars(caught.value)}"
        shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
        ours = [frame for frame in shown.stack if "/llmclients/" in frame.filename]
        assert ours
        assert not any(SECRET in value for frame in ours for value in (frame.locals or {}).values())


@kinds
def test_a_mistake_of_a_call_is_that_of_the_constructor_and_nothing_is_sent(kind: Any) -> None:
    mock = MockTransport()
    client = made(kind, mock, fallback=["yqcloud"])
    mistakes: list[dict[str, Any]] = [
        *({"timeout": value} for value in (-1, "3", True)),
        *({"retry": value} for value in (0, -1, "many")),
        *({"headers": value} for value in (3, {"X A": "b"}, {"X-A": "b\n"}, {"X-A": 1})),
    ]
    for mistake in mistakes:
        with pytest.raises(ConfigurationError) as of_constructor:
            made(kind, mock, **mistake)
        for call in (client.chat, client.stream, client.conversation().chat, client.conversation().stream):
            with pytest.raises(ConfigurationError) as caught:
                outcome(call("x", **mistake))
            assert str(caught.value) == str(of_constructor.value)
            assert caught.value.argument == of_constructor.value.argument
        with pytest.raises(ConfigurationError) as caught:
            client.with_options(**mistake)
        assert str(caught.value) == str(of_constructor.value)
    assert mock.requests == []


@kinds
def test_the_traceback_of_a_mistake_ends_in_the_caller_s_line_and_one_frame_of_ours(kind: Any) -> None:
    client = made(kind, MockTransport())
    for asking in (client, client.conversation()):
        for call in (asking.chat, asking.stream):
            for mistake in ({"temprature": 1}, {"temperature": -1}, {"timeout": -1}, {"system": 3}, {"model": 3}):
                check_traceback(lambda call=call, mistake=mistake: outcome(call("x", **mistake)))
    check_traceback(lambda: kind("gpt-4o"))
    check_traceback(lambda: client.with_options(proxy=None))
    check_traceback(lambda: client.conversation(temprature=1))
    check_traceback(lambda: outcome(client.chat("x", response_format={"type": "nonsense"})))


def check_traceback(call: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        call()
    frames = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert sum("/llmclients/" in name and "/tests/" not in name for name in frames) == 1, frames
    assert "/llmclients/" in frames[-1]
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_frames_of_anybody_else_s_code_stay_in_the_traceback() -> None:
    class Odd(MockTransport):
        clock = MockTransport().clock

        def open(self, *_: Any) -> Any:
            raise ConfigurationError("their own mistake")

    with pytest.raises(ConfigurationError) as caught:
        Client("openai/m", api_key="k", transport=Odd.open and type("Own", (), {
            "open": Odd.open, "close": lambda _: None, "clock": Odd.clock,
        })()).chat("x")  # fmt: skip
    assert traceback.extract_tb(caught.value.__traceback__)[-1].name == "open"


@kinds
def test_the_reply_s_headers_come_with_the_answer_and_show_no_secret(kind: Any) -> None:
    sent = {"X-RateLimit-Remaining": "59", "Set-Cookie": "id=0123456789", "X-Was": SECRET, "X-Url": "http://u:pw@h/"}
    mock = MockTransport([Reply(json=WHOLE, headers=sent), Reply(chunks=EVENTS, headers=sent)])
    client = made(kind, mock, api_key=SECRET)
    for answer in each_way(client, "x"):
        headers = answer.headers
        assert headers["x-ratelimit-remaining"] == headers["X-RateLimit-Remaining"] == "59"
        assert headers.get("no-such") is None
        assert 3 not in headers
        assert [headers[name] for name in ("set-cookie", "x-was")] == ["***", "***"]
        assert "pw" not in headers["x-url"]
        assert list(headers) == [name.lower() for name in headers]
        for again in (copy.deepcopy(answer), pickle.loads(pickle.dumps(answer))):
            assert again.headers == headers
        for text in (
            repr(answer),
            repr(headers),
            answer.model_dump_json(),
            str(answer.model_dump()),
            str(vars(answer)),
        ):
            assert SECRET not in text
        assert "headers" not in answer.model_dump()
        assert "ratelimit" not in repr(answer)


def test_an_answer_that_breaks_off_and_one_after_a_retry_have_their_own_headers() -> None:
    mock = MockTransport([Reply(503, headers={"X-Try": "1"}), Reply(chunks=EVENTS, headers={"X-Try": "2"})])
    stream = Client("openai/m", api_key="k", transport=mock).stream("x")
    assert dict(stream.response.headers) == {}
    next(stream)
    assert stream.response.headers["x-try"] == "2"

    broken = Reply(headers={"X-Try": "3"}, chunks=['data: {"choices": [{"delta": {"content": "a"}}]}\n\n'])
    with pytest.raises(APIError) as caught:
        list(Client("openai/m", api_key="k", transport=MockTransport([broken])).stream("x"))
    assert caught.value.partial is not None
    assert caught.value.partial.headers["X-Try"] == "3"
