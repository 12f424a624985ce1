"""A relay of several providers has what one of a single provider has: one model, counts, embeddings, leniency."""

from __future__ import annotations

import http.client
import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from relaytools import GOOD_STREAM, HI, Answer, post, relay_over, send
from routedtools import Upstreams, call, one, pair, status, upstream

from llmclients import errors
from llmclients.relay import RelayConfig, RelayServer
from llmclients.relay.errors import RequestRejected
from llmclients.relay.upstream import Leeway
from llmclients.testing import Cut
from llmclients.transports.mock import Reply

WARNING = "x-llmclients-warning"
ALICE = {"authorization": "Bearer sesame"}
THINKING = {"messages": HI, "max_tokens": 5000, "thinking": {"type": "enabled", "budget_tokens": 4000}}
EMBEDDINGS = {"object": "list", "usage": {"prompt_tokens": 40, "total_tokens": 40}, "data": ["x" * 9000]}


def provider(request: Any) -> Reply:
    """A server of OpenAI's wire: embeddings with their counts first; a stream of completions, which `cut` breaks off."""
    if request.url.endswith("/models"):
        return Reply(json={"data": [{"id": "e-1"}, {"id": "gpt-9"}]})
    body = json.loads(request.body)
    if "down" in body["model"]:
        return Reply(503)
    if request.url.endswith("/embeddings"):
        return Reply(json=EMBEDDINGS)
    if "prompt" not in body:
        return Reply(404)
    end = Cut() if body["prompt"] == "cut" else b'data: {"usage": {"prompt_tokens": 7, "completion_tokens": 2}}\n\n'
    return Reply(chunks=[b'data: {"choices": []}\n\n', end], headers={"content-type": "text/event-stream"})


@contextmanager
def routed(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """A relay in front of a scripted server, whose own address stands in place of each upstream's; what that is asked."""
    with relay_over(provider) as (server, mock):
        for members in config["upstreams"].values():
            members["base_url"] = f"{server.url}/openai/v1"
        with RelayServer(RelayConfig.from_dict(config)) as relay:
            yield relay.url, mock


def asked(mock: Any) -> list[str]:
    return [json.loads(request.body)["model"] for request in mock.requests if request.body]


def embed(url: str, model: str, **members: Any) -> Answer:
    return send(url, "/v1/embeddings", {"model": model, "input": "a"}, **members)


# --- what passes ------------------------------------------------------------------------------------------------------


def test_embeddings_go_where_their_model_is_and_nobody_stands_in_for_them() -> None:
    config = pair() | {"models": {"mine": "two/e-small"}}
    with routed(config) as (url, mock):
        assert (embed(url, "e-1").json["usage"], embed(url, "mine").status) == (EMBEDDINGS["usage"], 200)
        assert embed(url, "e-down").status == 503
        assert asked(mock) == ["e-1", "e-small", "e-down"]  # another model's embeddings would be no such thing
        assert send(url, "/v1/embeddings", {"model": 5}).status == 400
        assert embed(url, "e" * 300).status == 400
        assert len(mock.requests) == 3
    with routed({**config, "default": "", "models": {"a": "one", "mine": "two"}}) as (url, mock):
        answer = embed(url, "e-1")
        assert (answer.status, answer.json["error"]["code"]) == (404, "model_not_found")


async def test_what_passes_takes_the_keys_in_turn_as_chats_do() -> None:
    made = Upstreams(k1=[None, status(429, retry_after="30")], k2=[None])
    router = made.router(one("k1", "k2"))
    for _ in range(4):
        answer = await router.ask_raw("embeddings", {"model": "m", "input": "a"})
        assert answer is not None
        async with answer:
            assert b"Hello" in await answer.read()
    assert [entry.split()[1] for entry in made.asked] == ["k1", "k2", "k1", "k2", "k2"]
    made.answers["k2"] = [status(429)]
    with pytest.raises(errors.RateLimitError):
        await router.ask_raw("embeddings", {"model": "m"})
    with pytest.raises(RequestRejected):
        await router.ask_raw("embeddings", {"model": "m"})


async def test_a_limit_on_counts_is_none_on_chats_nor_the_reverse() -> None:
    made = Upstreams(one=[status(429, retry_after="30")])
    router = made.router(one("k1"))
    with pytest.raises(errors.RateLimitError):
        await router.ask_raw("responses/input_tokens", {"model": "m"})
    with pytest.raises(RequestRejected):
        await router.ask_raw("responses/input_tokens", {"model": "m"})
    assert (await router.chat(call(), Leeway())).text == "Hello 😀"
    made.answers["one"] = [status(429, retry_after="60")]
    with pytest.raises(errors.RateLimitError):
        await router.chat(call(), Leeway())
    made.clock.advance(31)
    answer = await router.ask_raw("responses/input_tokens", {"model": "m"})
    assert answer is not None
    async with answer:
        assert made.asked == ["one k1 m"] * 4


async def test_another_configuration_drops_nothing_that_passes() -> None:
    made = Upstreams()
    router = made.router(pair())
    answer = await router.ask_raw("completions", {"model": "m", "prompt": "a", "stream": True})
    assert answer is not None
    await router.update(RelayConfig.from_dict({"default": "two", "upstreams": {"two": upstream("two")}}))
    assert made.closed == []
    async with answer:
        assert await answer.read() == b"".join(GOOD_STREAM)  # type: ignore[arg-type]
    assert made.closed == ["one"]
    made.answers["two"] = [status(503)]
    with pytest.raises(errors.InternalServerError):
        await router.ask_raw("completions", {"model": "m"})
    assert await router.ask_raw("no/such/address", {"model": "m"}) is None
    await router.close()
    assert made.closed == ["one", "two"]  # neither what failed nor what there is not holds anything


def test_tokens_of_what_passes_are_logged_and_count_for_a_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llmclients.relay")
    limits = {"key": "sesame", "tokens_per_day": 40 + 9 + 12}
    with routed({**one(), "keys": {"alice": limits}}) as (url, _):
        assert embed(url, "e-1", headers=ALICE).status == 200
        completions: dict[str, Any] = {"model": "m", "prompt": "a", "stream": True}
        assert b"usage" in send(url, "/v1/completions", completions, headers=ALICE).raw
        count = {"model": "m", "messages": HI}
        assert send(url, "/v1/messages/count_tokens", count, headers=ALICE).status == 200  # costs nothing
        assert embed(url, "e-down", headers=ALICE).status == 503  # and so does this
        broken = {**completions, "prompt": "cut"}
        with pytest.raises(http.client.IncompleteRead):
            send(url, "/v1/completions", broken, headers=ALICE)
        answer = embed(url, "e-1", headers=ALICE)
        assert (answer.status, answer.json["error"]["code"]) == (429, "insufficient_quota")
    told = [re.search(r"(\S+) tokens, by (.+), key", line) for line in caplog.messages]
    assert [found.groups() for found in told if found] == [
        ("40+?", "openai/e-1"),
        ("7+2", "openai/m"),
        ("11+1", "openai/m"),  # estimated: four bytes of the request are a token, and so is an event of the answer
    ]


def test_a_budget_in_money_is_one_for_what_passes() -> None:
    limits = {"key": "sesame", "money_per_day": 0.00004}
    config = {**one(), "keys": {"alice": limits}, "prices": {"e-1": {"input": 1, "output": 0}}}
    with routed(config) as (url, mock):
        assert embed(url, "e-2", headers=ALICE).status == 403
        assert mock.requests == []
        assert [embed(url, "e-1", headers=ALICE).status for _ in range(2)] == [200, 429]


# --- one model, counts ------------------------------------------------------------------------------------------------


def test_one_model_is_there_if_a_call_for_it_is_answered() -> None:
    config = pair() | {"models": {"claude-*": "two/spare", "fast": "two", "e-*": "two"}}
    with routed(config) as (url, _):
        found = {
            name: send(url, f"/v1/models/{name}", method="GET").status
            for name in ("claude-any", "fast", "e-1", "e-2", "gpt-9", "gpt-8")
        }
        assert found == {"claude-any": 200, "fast": 200, "e-1": 200, "e-2": 404, "gpt-9": 200, "gpt-8": 404}
        assert "tools" in send(url, "/api/show", {"model": "fast"}).json["capabilities"]
    with routed({**config, "default": "two"} | {"upstreams": {"two": upstream("two")}}) as (url, _):
        assert send(url, "/v1/models/gpt-8", method="GET").status == 404


def test_counts_are_those_of_the_routes_provider_or_an_estimate() -> None:
    with routed(pair()) as (url, mock):
        answer = send(url, "/v1/messages/count_tokens", {"model": "m", "messages": HI})
        assert (answer.status, "an estimate" in answer.headers[WARNING]) == (200, True)
        contents = {"contents": [{"parts": [{"text": "Hi"}]}]}
        assert send(url, "/v1beta/models/m:countTokens", contents).json["totalTokens"] >= 1
        assert mock.requests == []
        assert send(url, "/v1/responses/input_tokens", {"model": "m", "input": "Hi"}).status == 200
    config = {**pair(), "default": "", "models": {"a": "one"}}
    with routed(config) as (url, _):
        assert send(url, "/v1beta/models/m:countTokens", contents).status == 404


# --- leniency ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_each_upstream_gets_what_it_can_carry_and_the_reply_warns_of_the_one_that_answered(stream: bool) -> None:
    with relay_over(lambda request: Reply(503), "anthropic/claude-4") as (down, first), relay_over() as (good, second):
        config: dict[str, Any] = {
            "default": "claude",
            "upstreams": {
                "claude": {
                    "provider": "anthropic",
                    "base_url": f"{down.url}/anthropic",
                    "api_key": "k",
                    "fallbacks": ["spare/up-1"],
                },
                "spare": {"provider": "openai", "base_url": f"{good.url}/openai/v1", "api_key": "k"},
            },
        }
        body = {**THINKING, "model": "claude-4", "stream": stream}
        with RelayServer(RelayConfig.from_dict(config)) as relay:
            answer = post(relay.url, "anthropic", body)
        assert (answer.status, answer.raw.count(b"Hel")) == (200, 1)
        assert "reasoning_effort" in answer.headers[WARNING]
        assert json.loads(first.requests[0].body)["thinking"]["budget_tokens"] == 4000
        assert json.loads(second.requests[0].body)["reasoning_effort"] == "medium"
        before = len(first.requests)
        strict = RelayConfig.from_dict({**config, "server": {"lenient": False}})
        tools = {"model": "m", "input": "Hi", "tools": [{"type": "web_search"}]}
        with RelayServer(strict) as relay:
            assert post(relay.url, "openai-responses", tools).status == 400
        with RelayServer(strict, lenient=True) as relay:  # an argument stands in place of the file's
            assert post(relay.url, "openai-responses", tools).status == 200
        assert len(first.requests) == before + 1


async def test_an_upstream_that_is_not_asked_warns_of_nothing() -> None:
    made = Upstreams()
    leeway = Leeway()
    await made.router(pair(fallbacks=["two/spare"])).chat(call(temperature=0.5), leeway)
    assert (leeway.warnings, made.asked) == ([], ["one k m"])
