"""Both clients through one table: what they send, what they make of what comes, and what they refuse."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import pickle
import sys
import threading
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
import responses

import llmclients.config.endpoint
from llmclients import (
    APIError,
    APIStatusError,
    AsyncClient,
    ChatResponse,
    Chunk,
    Client,
    ConfigurationError,
    InternalServerError,
    InvalidRequestError,
    LLMClientError,
    Message,
    MissingAPIKeyError,
    Provider,
    ProviderWarning,
    RetryPolicy,
    StreamInterruptedError,
    Timeout,
    UnknownProviderError,
    UnsupportedOptionError,
)
from llmclients.errors import RETRIED_STATUSES, status_error_class
from llmclients.providers.registry import registered
from llmclients.transports.mock import Cut, Delay, MockTransport, Reply

PROVIDERS = ("ylokh", "yqcloud", "yqcloud-legacy", "ai365vip", "openai")
SIDES = ("sync", "async")
MODES = ("chat", "stream")
URL = "http://host.test/base"
REPLY = {"id": "c1", "choices": [{"index": 0, "message": {"content": "The Nile"}, "finish_reason": "stop"}]}
EVENTS = [
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"role":"assistant","content":"The "}}]}\n\n',
    b'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"Nile"}}]}\n\n',
    b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]


@dataclass
class Outcome:
    """What a caller saw of one call."""

    response: ChatResponse | None = None
    chunks: list[Chunk] = field(default_factory=list)
    error: LLMClientError | None = None

    @property
    def text(self) -> str:
        assert self.response is not None, self.error
        return self.response.text


def call(
    side: str, mode: str, provider: str, messages: Any = "Hi", *, options: dict[str, Any] | None = None, **made: Any
) -> Outcome:
    """One call through one client, as a user writes it."""
    made = {"base_url": URL, "model": "m" if provider == "openai" else None, "trust_env": False} | made
    outcome = Outcome()
    options = options or {}

    async def asynchronously() -> None:
        async with AsyncClient(provider, **made) as client:
            if mode == "chat":
                outcome.response = await client.chat(messages, **options)
            else:
                async with client.stream(messages, **options) as stream:
                    async for chunk in stream:
                        outcome.chunks.append(chunk)
                    outcome.response = stream.response

    def synchronously() -> None:
        with Client(provider, **made) as client:
            if mode == "chat":
                outcome.response = client.chat(messages, **options)
            else:
                with client.stream(messages, **options) as stream:
                    for chunk in stream:
                        outcome.chunks.append(chunk)
                    outcome.response = stream.response

    try:
        asyncio.run(asynchronously()) if side == "async" else synchronously()
    except LLMClientError as error:
        outcome.error = error
    return outcome


def good_reply(provider: str, mode: str) -> Reply:
    if provider in ("openai", "ylokh"):
        return Reply(json=REPLY) if mode == "chat" else Reply(chunks=EVENTS)
    return Reply(chunks=["The ", "Ni", "le"])


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("mode", MODES)
def test_both_clients_send_the_same_request_and_read_the_same_answer(provider: str, mode: str) -> None:
    options = {"user_id": 7} if provider == "yqcloud-legacy" else {}
    sent = []
    for side in SIDES:
        mock = MockTransport([good_reply(provider, mode)])
        outcome = call(side, mode, provider, options=options, transport=mock)
        assert outcome.text == "The Nile"
        assert outcome.response is not None
        assert (outcome.response.provider, outcome.response.finish_reason) == (provider, "stop")
        assert "".join(map(str, outcome.chunks)) == ("The Nile" if mode == "stream" else "")
        assert mock.open_exchanges == 0
        sent.append(mock.requests)
    assert sent[0] == sent[1]
    [request] = sent[0]
    assert request.url.startswith(URL)
    assert json.loads(request.body)


YQCLOUD_BODY = (
    '{"prompt":"Hi","userId":"#/chat/1000000000000","network":true,"system":"","withoutContext":false,"stream":%s}'
)
LEGACY_BODY = '{"prompt":"Hi","network":true,"system":"","withoutContext":false,"stream":true,"userId":"#/chat/7"}'
AI365_BODY = (
    '{"model":{"id":"gpt-3.5-turbo","name":"GPT-3.5","maxLength":3000,"tokenLimit":2048},'
    '"messages":[{"role":"user","content":"Hi"}],"key":"","prompt":"You are a helpful assistant.","temperature":1}'
)
YLOKH_BODY = (
    '{"messages":[{"role":"user","content":"Hi"}],"model":"gpt-3.5-turbo","temperature":1,"presence_penalty":0,'
    '"top_p":1,"frequency_penalty":0,"allow_fallback":true,"stream":%s}'
)
GOLDEN = [
    ("ylokh", "/v1/chat/completions", {}, YLOKH_BODY),
    ("yqcloud", "/api/generateStream", {}, YQCLOUD_BODY),
    ("yqcloud-legacy", "/api/generateStream", {"user_id": 7}, LEGACY_BODY),
    ("ai365vip", "/api/chat", {}, AI365_BODY),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("provider", "path", "options", "body"), GOLDEN, ids=[row[0] for row in GOLDEN])
def test_the_original_providers_get_their_bytes(
    side: str, mode: str, provider: str, path: str, options: dict[str, Any], body: str
) -> None:
    mock = MockTransport([good_reply(provider, mode)])
    call(side, mode, provider, options=options, transport=mock)
    [request] = mock.requests
    assert request.url == URL + path
    expected = body % ("true" if mode == "stream" else "false") if "%s" in body else body
    assert request.body.decode() == expected


# Each status with a class or a rule of its own, and one on either side of it. `test_errors` has the whole map.
OF_NOTE = {400, 401, 403, 404, 422, 599, *RETRIED_STATUSES}
STATUSES = sorted({status + step for status in OF_NOTE for step in (-1, 0, 1)} & set(range(400, 600)))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("mode", MODES)
def test_an_error_status_is_its_error_after_its_attempts(side: str, mode: str, subtests: pytest.Subtests) -> None:
    for status in STATUSES:
        with subtests.test(status=status):
            refusal = Reply(status, json={"error": {"message": "no river"}}, headers={"x-request-id": "r7"})
            mock = MockTransport(lambda _request, refusal=refusal: refusal)
            error = call(side, mode, "openai", transport=mock).error
            assert isinstance(error, APIStatusError)
            assert type(error) is status_error_class(status)
            assert (error.status_code, error.provider, error.model, error.request_id) == (status, "openai", "m", "r7")
            assert error.body == {"error": {"message": "no river"}}
            url = f" (POST {mock.requests[0].url})" if status in (404, 405) else ""
            assert str(error) == f"openai (host.test): HTTP {status}: no river{url}"
            assert len(mock.requests) == (3 if status in RETRIED_STATUSES else 1)
            assert mock.open_exchanges == 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_that_breaks_off_is_never_a_whole_one(side: str, mode: str, provider: str) -> None:
    mock = MockTransport(
        lambda _request: Reply(chunks=[EVENTS[0] if provider in ("openai", "ylokh") else "The ", Cut()])
    )
    error = call(side, mode, provider, transport=mock).error
    assert isinstance(error, StreamInterruptedError)
    if mode == "stream":
        assert len(mock.requests) == 1
        assert error.partial is not None
        assert (error.partial.text, error.partial.finish_reason) == ("The ", None)
    else:
        assert len(mock.requests) == 3


@pytest.mark.long
def test_a_clean_end_before_the_end_mark_is_an_error_wherever_it_is(subtests: pytest.Subtests) -> None:
    """The two providers have one decoder, so they take turns, as the sides do."""
    whole = b"".join(EVENTS)
    turns = itertools.cycle(itertools.product(SIDES, ("openai", "ylokh")))
    for cut, (side, provider) in zip(range(len(whole) - len("\n\n")), turns, strict=False):
        with subtests.test(cut=cut, side=side, provider=provider):
            mock = MockTransport([Reply(chunks=[whole[:cut]])])
            error = call(side, "stream", provider, transport=mock, retry=None).error
            assert type(error) is StreamInterruptedError
            assert mock.open_exchanges == 0


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("provider", ["yqcloud", "yqcloud-legacy", "ai365vip"])
def test_an_empty_answer_is_an_error(side: str, mode: str, provider: str) -> None:
    error = call(side, mode, provider, transport=MockTransport([Reply(body=b"")])).error
    assert error is not None
    assert "the answer is empty" in str(error)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("mode", MODES)
def test_the_deadline_bounds_a_body_that_drips(side: str, mode: str) -> None:
    mock = MockTransport([Reply(chunks=[step for _ in range(100) for step in ("x", Delay(0.45))])])
    error = call(side, mode, "yqcloud", transport=mock, timeout=Timeout(read=1, total=2)).error
    assert isinstance(error, APIError)
    assert getattr(error, "phase", None) == "total"
    assert mock.clock.now == pytest.approx(1_000_000_002.0)
    assert error.partial is not None
    assert error.partial.text == "xxxxx"


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("mode", MODES)
def test_a_retry_waits_as_the_provider_says(side: str, mode: str) -> None:
    mock = MockTransport([Reply(503, headers={"retry-after": "9"}), good_reply("openai", mode)])
    assert call(side, mode, "openai", transport=mock).text == "The Nile"
    assert mock.clock.slept == [9.0]


def test_a_plain_json_reply_to_a_stream_is_one_chunk() -> None:
    for side in SIDES:
        outcome = call(side, "stream", "openai", transport=MockTransport([Reply(json=REPLY)]))
        assert [chunk.text for chunk in outcome.chunks] == ["The Nile"]
        assert outcome.text == "The Nile"


# --- refused before anything is sent --------------------------------------------------------------------------------

LONE = "\ud800"
BAD_CALLS: list[tuple[str, str, dict[str, Any], type[ConfigurationError], str]] = [
    ("no messages", "openai", {"messages": []}, InvalidRequestError, "messages"),
    ("unknown role", "openai", {"messages": [{"role": "oracle", "content": "x"}]}, InvalidRequestError, "messages"),
    ("empty text", "openai", {"messages": ""}, InvalidRequestError, "messages"),
    ("empty content", "openai", {"messages": [{"role": "user", "content": ""}]}, InvalidRequestError, "messages"),
    ("no parts", "openai", {"messages": [{"role": "user", "content": []}]}, InvalidRequestError, "messages"),
    ("None content", "openai", {"messages": [{"role": "user", "content": None}]}, InvalidRequestError, "messages"),
    ("lone surrogate", "openai", {"messages": LONE}, InvalidRequestError, "messages"),
    ("image", "openai", {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, InvalidRequestError, "messages"),
    ("not messages", "openai", {"messages": 7}, InvalidRequestError, "messages"),
    ("bytes", "openai", {"messages": b"hi"}, InvalidRequestError, "messages"),
    ("payload JSON cannot carry", "openai", {"options": {"extra": {"x": {1, 2}}}}, InvalidRequestError, "extra"),
    ("payload with NaN", "ylokh", {"options": {"extra": {"x": float("nan")}}}, InvalidRequestError, "extra"),
    ("payload with a lone surrogate", "yqcloud", {"options": {"extra": {"x": LONE}}}, InvalidRequestError, "extra"),
    ("unknown option", "openai", {"options": {"temprature": 1}}, UnsupportedOptionError, "temprature"),
    ("option of another wire", "yqcloud", {"options": {"temperature": 1}}, UnsupportedOptionError, "temperature"),
    ("another codec's option", "openai", {"options": {"network": True}}, UnsupportedOptionError, "network"),
    ("a wrong option value", "yqcloud", {"options": {"network": "perhaps"}}, InvalidRequestError, "network"),
    ("tools", "yqcloud", {"options": {"tools": [{}]}}, UnsupportedOptionError, "tools"),
    ("structured output", "yqcloud", {"options": {"response_format": dict}}, UnsupportedOptionError, "response_format"),
    ("NaN", "openai", {"options": {"temperature": float("nan")}}, InvalidRequestError, "temperature"),
    ("no model", "openai", {"model": None}, InvalidRequestError, "model"),
    ("a model it has not", "yqcloud", {"model": "gpt-5"}, InvalidRequestError, "model"),
    ("only a system message", "yqcloud", {"messages": [{"role": "system", "content": "S"}]}, InvalidRequestError, "messages"),
    ("unknown provider", "ylohk", {}, UnknownProviderError, "provider"),
    ("unknown provider with a model", "opnai/gpt", {}, UnknownProviderError, "provider"),
    ("model named twice", "openai/a", {"model": "b"}, ConfigurationError, "model"),
    ("negative timeout", "openai", {"timeout": -1}, ConfigurationError, "timeout"),
    ("NaN timeout", "openai", {"timeout": float("nan")}, ConfigurationError, "timeout"),
    ("a timeout that is no number", "openai", {"timeout": "soon"}, ConfigurationError, "timeout"),
    ("no attempts", "openai", {"retry": 0}, ConfigurationError, "retry.attempts"),
    ("malformed proxy", "openai", {"proxy": "http://[::1"}, ConfigurationError, "proxy"),
    ("proxy without scheme", "openai", {"proxy": "proxy:8080"}, ConfigurationError, "proxy"),
    ("base_url without scheme", "openai", {"base_url": "host.test/v1"}, ConfigurationError, "base_url"),
    ("base_url with a wrong scheme", "openai", {"base_url": "ftp://host.test"}, ConfigurationError, "base_url"),
    ("base_url with a password", "openai", {"base_url": "http://u:pw@host.test"}, ConfigurationError, "base_url"),
    ("a header that smuggles another", "openai", {"headers": {"X-A": "1\r\nX-B: 2"}}, ConfigurationError, "headers"),
    ("a key with a line end", "openai", {"api_key": "sk-1\r\nX: y"}, ConfigurationError, "api_key"),
    ("an empty key", "openai", {"api_key": ""}, ConfigurationError, "api_key"),
    ("weights for a remote provider", "openai", {"model_path": "x.gguf"}, ConfigurationError, "model_path"),
    ("a region for one address", "openai", {"region": "us-east-1"}, ConfigurationError, "region"),
    ("a region that leads elsewhere", "bedrock-mantle", {"region": "evil.test/x"}, ConfigurationError, "region"),
    ("a region and an address", "bedrock-mantle", {"region": "eu-west-1", "base_url": "http://h.test"}, ConfigurationError, "region"),
    ("a fallback that is no list", "openai", {"fallback": "ylokh"}, ConfigurationError, "fallback"),
    ("an unknown fallback", "openai", {"fallback": ("ylohk",)}, UnknownProviderError, "provider"),
    ("an option that a fallback's wire has not", "openai", {"fallback": ("yqcloud",), "options": {"seed": 1}}, UnsupportedOptionError, "seed"),
    ("a certificate file that is not there", "openai", {"verify": "/no/such.pem"}, ConfigurationError, "verify"),
    ("no bytes at all", "openai", {"max_response_bytes": 0}, ConfigurationError, "max_response_bytes"),
]  # fmt: skip


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("mode", MODES)
def test_bad_input_is_refused_before_anything_is_sent(side: str, mode: str, subtests: pytest.Subtests) -> None:
    for what, provider, arguments, kind, argument in BAD_CALLS:
        with subtests.test(what):
            mock = MockTransport(lambda _request: pytest.fail("something was sent"))
            error = call(side, mode, provider, **({"transport": mock} | arguments)).error
            assert type(error) is kind
            assert isinstance(error, ConfigurationError)
            assert error.argument == argument
            assert mock.requests == []
            assert "pw" not in str(error)
            assert "sk-1" not in str(error)


def test_a_wrong_transport_is_refused() -> None:
    for side, wrong in (("sync", object()), ("async", object()), ("async", requests.Session())):
        error = call(side, "chat", "openai", transport=wrong).error
        assert isinstance(error, ConfigurationError)
        assert error.argument == "transport"


def test_a_public_service_that_needs_a_key_says_where_to_put_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(MissingAPIKeyError, match="OPENAI_API_KEY"):
        Client("openai/gpt-5")


def test_the_nearest_provider_is_named() -> None:
    with pytest.raises(UnknownProviderError, match="did you mean ylokh"):
        Client("ylohk")


def test_a_service_known_dead_is_warned_of_once_and_only_without_a_base_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llmclients.config.endpoint, "_warned", set())
    for provider in ("ylokh", "aichatos", "ai365vip"):
        with pytest.warns(ProviderWarning, match="base_url") as caught:
            Client(provider, transport=MockTransport())
        assert [warning.filename for warning in caught] == [__file__]
        with warnings.catch_warnings():
            warnings.simplefilter("error", ProviderWarning)
            Client(provider, transport=MockTransport())
            Client(provider, base_url=URL, transport=MockTransport())
    with warnings.catch_warnings():
        warnings.simplefilter("error", ProviderWarning)
        Client("yqcloud", transport=MockTransport())


# --- settings that reach the wire -----------------------------------------------------------------------------------


def sent_by(provider: str, *, options: dict[str, Any] | None = None, **made: Any) -> dict[str, Any]:
    mock = MockTransport([good_reply(provider.partition("/")[0], "chat")])
    outcome = call("sync", "chat", provider, options=options, transport=mock, **made)
    assert outcome.error is None
    body: dict[str, Any] = json.loads(mock.requests[0].body)
    return body


def test_a_model_is_chosen_by_the_client_the_name_or_the_call() -> None:
    assert sent_by("ylokh/gpt-4", model=None)["model"] == "gpt-4"
    assert sent_by("ylokh", model="gpt-4")["model"] == "gpt-4"
    assert sent_by("ylokh/gpt-4", model=None, options={"model": "gpt-4o"})["model"] == "gpt-4o"
    assert sent_by("openai/org/model", model=None)["model"] == "org/model"


def test_a_model_alias_is_resolved() -> None:
    aliased = Provider(
        "aliased-test",
        "llmclients.codecs.openai_chat.ylokh:YlokhCodec",
        URL,
        default_model="short",
        model_aliases={"short": "long-name-1"},
    )
    mock = MockTransport([Reply(json=REPLY)])
    with registered(aliased):
        Client("aliased-test", transport=mock).chat("Hi")
    assert json.loads(mock.requests[0].body)["model"] == "long-name-1"


def test_openai_gets_its_own_name_for_max_tokens_and_other_servers_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    own = sent_by("openai", base_url=None, api_key="sk-1", options={"max_tokens": 5})
    other = sent_by("openai", options={"max_tokens": 5})
    assert (own.get("max_completion_tokens"), own.get("max_tokens")) == (5, None)
    assert (other.get("max_completion_tokens"), other.get("max_tokens")) == (None, 5)


def test_the_environment_gives_key_and_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://gateway.test/v1/")
    mock = MockTransport([Reply(json=REPLY)])
    Client("openai/m", transport=mock).chat("Hi")
    [request] = mock.requests
    assert request.url == "http://gateway.test/v1/chat/completions"
    assert ("Authorization", "Bearer sk-env") in request.headers


def test_the_callers_messages_are_never_changed() -> None:
    messages = [
        {"role": "system", "content": "S"},
        {"role": "user", "content": [{"type": "text", "text": "Q"}]},
        Message("user", "R"),
    ]
    before = json.dumps(messages, default=lambda message: message.model_dump())
    for provider in PROVIDERS:
        for side in SIDES:
            call(side, "chat", provider, messages, transport=MockTransport([good_reply(provider, "chat")]))
    assert json.dumps(messages, default=lambda message: message.model_dump()) == before


# --- streams --------------------------------------------------------------------------------------------------------


def stream_client(*replies: Reply) -> tuple[Client, MockTransport]:
    mock = MockTransport(replies or [Reply(chunks=EVENTS)])
    return Client("openai/m", base_url=URL, transport=mock, retry=None), mock


def test_a_stream_sends_nothing_until_its_first_chunk_is_asked_for() -> None:
    client, mock = stream_client()
    stream = client.stream("Hi")
    assert mock.requests == []
    assert str(next(stream)) == "The "
    assert len(mock.requests) == 1
    stream.close()


def test_the_response_grows_with_the_stream() -> None:
    client, _ = stream_client()
    with client.stream("Hi") as stream:
        texts = [stream.response.text for _ in stream]
    assert texts == ["The ", "The Nile", "The Nile"]
    assert stream.response.finish_reason == "stop"


@pytest.mark.parametrize("way", ["break", "exception", "close", "dropped"])
@pytest.mark.parametrize("side", SIDES)
def test_leaving_a_stream_early_frees_its_connection(side: str, way: str) -> None:
    mock = MockTransport([Reply(chunks=EVENTS)])

    def leave() -> None:
        client = Client("openai/m", base_url=URL, transport=mock)
        stream = client.stream("Hi")
        if way == "close":
            next(stream)
            stream.close()
        elif way == "dropped":
            next(stream)
        else:
            with stream:
                for _ in stream:
                    if way == "exception":
                        raise KeyError
                    break

    async def leave_async() -> None:
        client = AsyncClient("openai/m", base_url=URL, transport=mock)
        stream = client.stream("Hi")
        if way == "close":
            await anext(stream)
            await stream.close()
        elif way == "dropped":
            await anext(stream)
        else:
            async with stream:
                async for _ in stream:
                    if way == "exception":
                        raise KeyError
                    break

    try:
        asyncio.run(leave_async()) if side == "async" else leave()
    except KeyError:
        assert way == "exception"
    if way == "dropped":
        gc.collect()
    assert (mock.opened, mock.open_exchanges) == (1, 0)


def test_a_stream_closed_early_does_not_pretend_to_have_ended() -> None:
    client, _ = stream_client()
    stream = client.stream("Hi")
    next(stream)
    stream.close()
    with pytest.raises(StreamInterruptedError, match="closed before its end"):
        next(stream)
    assert stream.response.text == "The "


def test_a_stream_that_has_ended_stays_ended() -> None:
    client, mock = stream_client()
    stream = client.stream("Hi")
    assert len(list(stream)) == 3
    assert list(stream) == []
    stream.close()
    assert len(mock.requests) == 1


def test_a_stream_that_has_failed_stays_failed() -> None:
    client, _ = stream_client(Reply(chunks=[EVENTS[0], Cut()]))
    stream = client.stream("Hi")
    next(stream)
    for _ in range(2):
        with pytest.raises(StreamInterruptedError):
            next(stream)


def test_cancelling_a_task_frees_its_stream_and_stays_a_cancellation() -> None:
    mock = MockTransport([Reply(chunks=[EVENTS[0], *[b": ping\n\n"] * 10_000])])

    async def read() -> None:
        async for _ in AsyncClient("openai/m", base_url=URL, transport=mock).stream("Hi"):
            pass

    async def main() -> None:
        task = asyncio.create_task(read())
        while not mock.opened:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert mock.open_exchanges == 0

    asyncio.run(main())


def test_a_client_is_shared_by_threads() -> None:
    mock = MockTransport(
        lambda request: Reply(
            json={"choices": [{"message": {"content": json.loads(request.body)["messages"][0]["content"]}}]}
        )
    )
    client = Client("openai/m", base_url=URL, transport=mock)
    answers: dict[int, str] = {}
    threads = [threading.Thread(target=lambda n=n: answers.update({n: client.chat(f"q{n}").text})) for n in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {n: f"q{n}" for n in range(64)}


@pytest.mark.long
def test_one_async_client_serves_many_tasks_and_two_loops() -> None:
    mock = MockTransport(lambda _request: Reply(chunks=EVENTS))
    client = AsyncClient("openai/m", base_url=URL, transport=mock)

    async def read() -> str:
        return "".join([str(chunk) async for chunk in client.stream("Hi")])

    async def main() -> list[str]:
        return await asyncio.gather(*(read() for _ in range(100)))

    for _ in range(2):
        assert asyncio.run(main()) == ["The Nile"] * 100


def events(*texts: str, end: bool = True) -> list[bytes]:
    lines = [
        b'data: {"choices":[{"index":0,"delta":{"content":%s}}]}\n\n' % json.dumps(text).encode() for text in texts
    ]
    return [*lines, *EVENTS[2:]] if end else lines


@pytest.mark.parametrize("side", SIDES)
def test_a_stream_restarts_on_request_and_says_so(side: str) -> None:
    mock = MockTransport(
        [Reply(chunks=[*events("The ", "Ni", end=False), Cut()]), Reply(chunks=events("The ", "Amazon"))]
    )
    outcome = call(side, "stream", "openai", options={"restart": True}, transport=mock)
    assert [(chunk.text, chunk.restarted) for chunk in outcome.chunks] == [
        ("The ", False),
        ("Ni", False),
        ("", True),
        ("The ", False),
        ("Amazon", False),
        ("", False),
    ]
    assert outcome.text == "The Amazon"
    assert mock.clock.slept != []


@pytest.mark.parametrize("side", SIDES)
def test_a_restart_that_fails_keeps_what_the_caller_has(side: str) -> None:
    refused = [Reply(503), Reply(503)]
    mock = MockTransport([Reply(chunks=[*events("The Ni", end=False), Cut()]), *refused])
    outcome = call(side, "stream", "openai", options={"restart": True}, transport=mock)
    assert isinstance(outcome.error, APIStatusError)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "The Ni"
    assert [type(error) for error in outcome.error.previous_errors] == [Cut, InternalServerError]
    assert [chunk.restarted for chunk in outcome.chunks] == [False]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", SIDES)
def test_the_next_provider_answers_when_the_first_has_given_up(
    side: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    mock = MockTransport([Reply(503), Reply(503), good_reply("openai", mode)])
    outcome = call(
        side,
        mode,
        "ylokh",
        options={"temperature": 0.5, "allow_fallback": False, "extra": {"x": 1}},
        transport=mock,
        fallback=("openai/gpt-x",),
        retry=RetryPolicy(attempts=2),
        headers={"Authorization": "Bearer first"},
    )
    assert outcome.text == "The Nile"
    assert outcome.response is not None
    assert outcome.response.provider == "openai"
    *_, last = mock.requests
    assert last.url == "https://api.openai.com/v1/chat/completions"
    assert ("Authorization", "Bearer sk-openai") in last.headers
    assert "first" not in str(last.headers)
    body = json.loads(last.body)
    assert (body["model"], body["temperature"], "x" in body, "allow_fallback" in body) == ("gpt-x", 0.5, False, False)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("side", SIDES)
def test_what_every_attempt_said_is_kept_on_the_last_error(
    side: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    mock = MockTransport([Reply(503), Reply(429), Reply(401)])
    error = call(side, mode, "ylokh", transport=mock, fallback=("openai/gpt-x",), retry=RetryPolicy(attempts=2)).error
    assert isinstance(error, APIError)
    told = [(type(each).__name__, each.provider) for each in (*error.previous_errors, error)]
    assert told == [("InternalServerError", "ylokh"), ("RateLimitError", "ylokh"), ("AuthenticationError", "openai")]
    if sys.version_info >= (3, 11):
        assert isinstance(error.__cause__, ExceptionGroup)  # noqa: F821 - not in Python 3.10
        assert error.__cause__.exceptions == error.previous_errors
    again = pickle.loads(pickle.dumps(error))
    assert [type(each) for each in again.previous_errors] == [type(each) for each in error.previous_errors]


@pytest.mark.parametrize("side", SIDES)
def test_another_provider_does_not_go_on_with_a_stream_behind_the_callers_back(
    side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    broken = Reply(chunks=[*events("The ", end=False), Cut()])
    mock = MockTransport([broken])
    outcome = call(side, "stream", "ylokh", transport=mock, fallback=("openai/gpt-x",), retry=None)
    assert isinstance(outcome.error, StreamInterruptedError)
    mock = MockTransport([broken, Reply(chunks=events("Whole"))])
    outcome = call(
        side, "stream", "ylokh", transport=mock, fallback=("openai/gpt-x",), retry=None, options={"restart": True}
    )
    assert [(chunk.text, chunk.restarted) for chunk in outcome.chunks] == [
        ("The ", False),
        ("", True),
        ("Whole", False),
        ("", False),
    ]
    assert outcome.text == "Whole"


@pytest.mark.parametrize("side", SIDES)
def test_one_deadline_covers_all_providers(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    mock = MockTransport([Reply(503, wait=4), Reply(200, wait=4)])
    error = call(
        side, "chat", "ylokh", transport=mock, fallback=("openai/gpt-x",), retry=None, timeout=Timeout(total=5)
    ).error
    assert getattr(error, "phase", None) == "total"
    assert mock.clock.now == pytest.approx(1_000_000_005.0)


# --- the callers' own sessions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@responses.activate
def test_a_requests_session_that_is_mocked_is_used(mode: str) -> None:
    body = json.dumps(REPLY).encode() if mode == "chat" else b"".join(EVENTS)
    responses.post(f"{URL}/chat/completions", body=body, headers={"x-request-id": "r1"})
    outcome = call("sync", mode, "openai", transport=requests.Session(), api_key="sk-1")
    assert outcome.text == "The Nile"
    assert responses.calls[0].request.headers["Authorization"] == "Bearer sk-1"


@responses.activate
def test_a_mocked_status_is_its_error() -> None:
    responses.post(f"{URL}/chat/completions", json={"error": {"message": "no"}}, status=401)
    error = call("sync", "chat", "openai", transport=requests.Session()).error
    assert isinstance(error, APIStatusError)
    assert error.status_code == 401


@pytest.mark.parametrize("mode", MODES)
def test_an_httpx_client_that_is_mocked_is_used(mode: str) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=REPLY) if mode == "chat" else httpx.Response(200, content=b"".join(EVENTS))

    own = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    assert call("async", mode, "openai", transport=own, api_key="sk-1").text == "The Nile"
    assert seen[0].headers["Authorization"] == "Bearer sk-1"
    assert not own.is_closed


def test_one_attempt_means_one() -> None:
    for retry in (None, 1, RetryPolicy(attempts=1)):
        mock = MockTransport([Reply(503)])
        assert isinstance(call("sync", "chat", "openai", transport=mock, retry=retry).error, APIStatusError)
        assert len(mock.requests) == 1


@pytest.mark.local
@pytest.mark.parametrize("side", SIDES)
def test_no_proxy_leads_to_the_model_on_this_machine_not_even_as_a_fallback(
    side: str, monkeypatch: pytest.MonkeyPatch, small_model: Path
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    options = {"max_tokens": 5, "temperature": 0}
    for proxy in (None, "http://127.0.0.1:9"):  # from the environment, and given
        arguments: dict[str, Any] = {"fallback": ("local",), "proxy": proxy, "trust_env": True, "retry": None}
        outcome = call(side, "chat", "ylokh", "Say hello.", options=options, **arguments)
        assert outcome.error is None, f"{proxy=}: {outcome.error}"
        assert outcome.text, f"{proxy=}"
