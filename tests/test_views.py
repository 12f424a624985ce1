"""Defaults of a client, of a conversation; views of a client; clients that are closed."""

from __future__ import annotations

import asyncio
import copy
import pickle
from typing import Any

import pytest
from asking import KINDS, closed, each_way, outcome

from llmclients import (
    AsyncClient,
    Client,
    ConfigurationError,
    Conversation,
    InvalidRequestError,
    MissingAPIKeyError,
    StreamInterruptedError,
    UnsupportedOptionError,
)
from llmclients.testing import FaultServer, MockTransport, Reply, mock_clients
from llmclients.testing.fault_server import CHUNKED_HEAD, HOLD, chunked, http

KEY = "sk-0123456789"
kinds = pytest.mark.parametrize("kind", KINDS)
ENDED = "the client is closed, and sends nothing more"


def answers(_: Any) -> Reply:
    return Reply.text("Hi")


def made(kind: Any, mock: MockTransport, name: str = "openai/m", **options: Any) -> Any:
    return kind(name, **{"api_key": KEY, "transport": mock, **options})


# --- defaults -------------------------------------------------------------------------------------------------------


@kinds
def test_defaults_are_options_of_every_call_that_does_not_name_them(kind: Any) -> None:
    mock = MockTransport(answers)
    client = made(kind, mock, "anthropic/m", defaults={"temperature": 0, "top_k": 5, "max_tokens": 9})
    outcome(client.chat("x"))
    outcome(client.chat("x", temperature=1, top_k=None))
    outcome(client.conversation(max_tokens=3).chat("x"))
    outcome(client.with_options(defaults={"top_k": 7}).chat("x"))
    assert [
        [request.json.get(name) for name in ("temperature", "top_k", "max_tokens")] for request in mock.requests
    ] == [
        *([0, 5, 9], [1, None, 9], [0, 5, 3], [0, 7, 9]),
    ]


@kinds
def test_defaults_that_no_call_can_have_are_refused_at_once(kind: Any) -> None:
    mistakes: list[tuple[Any, type[ConfigurationError], str]] = [
        ({"temprature": 0}, UnsupportedOptionError, "did you mean 'temperature'"),
        ({"temperature": -1}, InvalidRequestError, "greater than or equal to 0"),
        ({"top_k": 1}, UnsupportedOptionError, "top_k"),
        ({"timeout": 1}, UnsupportedOptionError, r"argument of the client itself, Client\(…, timeout=…\)"),
        ({"system": "x"}, UnsupportedOptionError, r"argument of each call, client.chat\(…, system=…\)"),
        ({"tool_choice": "auto"}, InvalidRequestError, "needs tools"),
        ([("temperature", 0)], ConfigurationError, "must be a mapping"),
        ({3: 4}, ConfigurationError, "must be a mapping"),
    ]
    for defaults, error, reason in mistakes:
        for make in (lambda d: kind("openai", api_key=KEY, defaults=d), made(kind, MockTransport()).with_options):
            with pytest.raises(error, match=f"^defaults.*{reason}") as caught:
                make(defaults) if make.__name__ == "<lambda>" else make(defaults=defaults)
            assert caught.value.argument == "defaults"
    with pytest.raises(UnsupportedOptionError, match="yqcloud"):
        kind("openai", api_key=KEY, defaults={"temperature": 0}, fallback=["yqcloud"])


@kinds
def test_a_conversation_s_options_are_those_of_each_turn_and_are_saved(kind: Any) -> None:
    def tool(city: str) -> str:
        """The weather."""
        return city

    mock = MockTransport(answers)
    client = made(kind, mock)
    conversation = client.conversation(temperature=0, tools=[tool], seed=3)
    outcome(conversation.chat("x"))
    outcome(conversation.copy().chat("y", seed=4))
    assert [
        (request.json["temperature"], request.json["seed"], len(request.json["tools"])) for request in mock.requests
    ] == [
        *((0, 3, 1), (0, 4, 1)),
    ]
    saved = conversation.model_dump_json()
    loaded = Conversation.model_validate_json(saved)
    assert loaded.options == {"temperature": 0, "seed": 3}  # a function is no JSON
    assert loaded.bind(client).options == loaded.options
    assert "options" not in client.conversation().model_dump_json()
    with pytest.raises(UnsupportedOptionError, match="yqcloud cannot carry"):
        loaded.bind(kind("yqcloud", transport=mock))
    for mistake in ({"temprature": 1}, {"temperature": -1}, {"top_k": 3}):
        with pytest.raises(ConfigurationError):
            client.conversation(**mistake)


# --- views ----------------------------------------------------------------------------------------------------------


@kinds
def test_a_view_has_its_own_way_over_the_same_connections(kind: Any) -> None:
    mock = MockTransport(lambda _: Reply(503))
    client = made(kind, mock, headers={"X-Team": "docs", "X-Tenant": "a"})
    view = client.with_options(model="other", api_key="sk-other-key", headers={"x-tenant": "b"}, timeout=5, retry=None)
    assert type(view) is kind
    assert view._transport is client._transport
    for asking, attempts in ((view, 1), (client, 3), (view.with_options(retry=2, model=None), 2)):
        mock.requests.clear()
        with pytest.raises(Exception, match="503"):
            outcome(asking.chat("x"))
        assert len(mock.requests) == attempts
        request = mock.requests[0]
        sent = {name.lower(): value for name, value in request.headers}
        own = asking is client
        assert request.json["model"] == ("m" if own else "other")
        assert (sent["x-team"], sent["x-tenant"]) == ("docs", "a" if own else "b")
        assert sent["authorization"] == ("Bearer " + KEY if own else "Bearer sk-other-key")
    assert (view._settings.timeout.read, client._settings.timeout.read) == (5, 120)
    assert (repr(client), repr(view)) == (f"{kind.__name__}('openai/m')", f"{kind.__name__}('openai/other')")


@kinds
def test_a_view_s_key_takes_the_place_of_a_token(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-0123456789")
    mock = MockTransport(answers)
    client = kind("anthropic/m", transport=mock)
    outcome(client.chat("x"))
    outcome(client.with_options(api_key=KEY).chat("x"))
    first, second = ({name.lower() for name, _ in request.headers} for request in mock.requests)
    assert ("authorization" in first, "x-api-key" in first) == (True, False)
    assert ("authorization" in second, "x-api-key" in second) == (False, True)


@kinds
def test_what_the_connections_are_made_by_cannot_be_changed_in_a_view(kind: Any) -> None:
    client = made(kind, MockTransport())
    for name in ("proxy", "verify", "cert", "trust_env", "transport", "base_url", "fallback", "max_response_bytes"):
        with pytest.raises(ConfigurationError, match=f"shares its client's connections: .* another {name}$") as caught:
            client.with_options(**{name: None})
        assert caught.value.argument == name
    with pytest.raises(ConfigurationError, match="has no model 'gpt-4o'"):
        kind().with_options(model="gpt-4o")


@kinds
def test_a_client_that_lost_its_key_in_a_pickle_gets_one_by_a_view(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    client = pickle.loads(pickle.dumps(kind("openai/m", api_key=KEY, defaults={"seed": 1})))
    with pytest.raises(MissingAPIKeyError):
        client.stream("x")
    with mock_clients(Reply.text("Hi")) as mock:
        assert outcome(client.with_options(api_key=KEY).chat("x")).text == "Hi"
    assert mock.requests[0].json["seed"] == 1


# --- closed ---------------------------------------------------------------------------------------------------------


@kinds
def test_a_closed_client_says_so_and_sends_nothing(kind: Any) -> None:
    mock = MockTransport(answers)
    client = made(kind, mock)
    conversation, view, begun = client.conversation(), client.with_options(timeout=5), client.stream("x")
    closed(view)  # either closes both
    closed(client)
    for call in (
        *(lambda one=one: outcome(one.chat("x")) for one in (client, view, conversation)),
        *(lambda one=one: one.stream("x") for one in (client, view, conversation)),
        lambda: outcome(client.models()),
        lambda: outcome(begun),
        lambda: outcome(client.chat("x", tools=[], run_tools=False)),
    ):
        with pytest.raises(ConfigurationError, match=ENDED):
            call()
    assert mock.requests == []
    assert conversation.messages == []

    assert [answer.text for answer in each_way(made(kind, mock), "x")] == ["Hi", "Hi"]  # the caller's stays usable
    assert outcome(copy.copy(client).chat("x")).text == "Hi"  # and a copy is open
    own = kind("openai/m", api_key=KEY)
    closed(own)
    with mock_clients(answers) as standing_in:
        with pytest.raises(ConfigurationError, match=ENDED):
            outcome(own.chat("x"))
        assert outcome(copy.deepcopy(own).chat("x")).text == "Hi"
    assert len(standing_in.requests) == 1


def test_a_block_ends_a_client_for_good() -> None:
    with made(Client, MockTransport(answers)) as client:
        client.chat("x")
    with pytest.raises(ConfigurationError, match=ENDED), client:
        pass
    with pytest.raises(ConfigurationError, match=ENDED):
        client.chat("x")


def test_an_async_client_is_closed_for_every_loop_and_open_for_every_loop_until_then() -> None:
    with FaultServer(*[[http(body=b'{"choices": [{"message": {"content": "Hi"}}]}')]] * 2) as server:
        client = AsyncClient("openai/m", api_key=KEY, base_url=server.url, trust_env=False)
        for _ in range(2):
            assert asyncio.run(client.chat("x")).text == "Hi"
        begun = [client.stream("x") for _ in range(2)]
        asyncio.run(client.close())
        for stream in begun:
            for call in (lambda: client.chat("x"), lambda stream=stream: stream.__anext__()):
                with pytest.raises(ConfigurationError, match=ENDED):
                    asyncio.run(call())
        assert server.exchanges == 2


@kinds
def test_closing_between_two_attempts_ends_the_call(kind: Any) -> None:
    client: Any = None

    def busy(_: Any) -> Reply:
        closed(client) if kind is Client else setattr(client._transport, "closed", True)
        return Reply(503)

    mock = MockTransport(busy)
    client = made(kind, mock)
    with pytest.raises(ConfigurationError, match=ENDED):
        outcome(client.chat("x"))
    assert len(mock.requests) == 1


def test_closing_breaks_off_what_is_read() -> None:
    with FaultServer([CHUNKED_HEAD, chunked(b"Hel", last=False), HOLD]) as server:
        client = Client("yqcloud", base_url=server.url, trust_env=False, retry=None)
        stream = client.stream("x")
        assert next(stream).text == "Hel"
        client.close()
        with pytest.raises(StreamInterruptedError, match="closed"):
            next(stream)
        assert server.wait_for(0)
