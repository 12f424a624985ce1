"""Which upstream gets a call, with which key, who stands in, and how other routes take the place of these."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from relaytools import HI, delta, post, relay_over, send
from routedtools import Upstreams, call, one, pair, status, upstream

from llmclients import errors
from llmclients.relay import RelayConfig, RelayServer
from llmclients.relay.codecs.base import RelayedCall
from llmclients.relay.errors import RequestRejected
from llmclients.relay.routing import Router
from llmclients.relay.upstream import Leeway
from llmclients.transports.mock import Cut, Reply


async def whole(router: Router, asked: RelayedCall) -> str:
    return (await router.chat(asked, Leeway())).text


async def streamed(router: Router, asked: RelayedCall) -> str:
    async with router.stream(asked, Leeway()) as stream:
        return "".join([str(chunk) async for chunk in stream])


Ask = Callable[[Router, RelayedCall], Awaitable[str]]
both = pytest.mark.parametrize("ask", [whole, streamed])


# --- routes -----------------------------------------------------------------------------------------------------------


async def test_a_name_comes_before_patterns_and_the_first_pattern_before_the_second() -> None:
    made = Upstreams()
    config = {
        "default": "rest",
        "models": {"gpt-*": "one", "gpt-4*": "two", "gpt-4.1": "two", "fast": "two/small"},
        "upstreams": {name: upstream(name, model="mine") for name in ("one", "two", "rest")},
    }
    router = made.router(config)
    for model in ("gpt-5", "gpt-4.1", "gpt-4.1-mini", "fast", "llama", None):
        await whole(router, call(model))
    assert made.asked == [
        "one k gpt-5",
        "two k gpt-4.1",
        "one k gpt-4.1-mini",
        "two k small",
        "rest k llama",
        "rest k mine",
    ]
    assert await router.models() == ["gpt-4.1", "fast", "gpt-9", "rest-1"]

    del config["upstreams"]["rest"]  # type: ignore[attr-defined]
    with pytest.raises(RequestRejected) as caught:
        await whole(made.router({**config, "default": ""}), call("llama"))
    assert (caught.value.failure.status, caught.value.failure.code) == (404, "model_not_found")


# --- keys -------------------------------------------------------------------------------------------------------------


@both
async def test_keys_take_turns_and_rest_as_the_server_says(ask: Ask) -> None:
    made = Upstreams(k1=[None, status(429, retry_after="30")], k2=[None, None, status(429)])
    router = made.router(one("k1", "k2"))
    for _ in range(3):  # the third call meets the 429 of the first key, and goes on with the second
        assert await ask(router, call()) == "Hello 😀"
    with pytest.raises(errors.RateLimitError):  # the second has nothing left to say either
        await ask(router, call())
    assert [entry.split()[1] for entry in made.asked] == ["k1", "k2", "k1", "k2", "k2"]
    with pytest.raises(RequestRejected) as caught:
        await ask(router, call())
    failure = caught.value.failure
    assert (failure.status, dict(failure.headers)["retry-after"], len(made.asked)) == (429, "2", 5)
    assert await ask(router, call("another")) == "Hello 😀"  # a server's limit is one for a model
    made.clock.advance(1)
    assert await ask(router, call()) == "Hello 😀"
    made.clock.advance(29)
    assert await ask(router, call()) == "Hello 😀"
    assert [entry.split()[1] for entry in made.asked[-2:]] == ["k2", "k1"]


@both
async def test_a_key_that_is_refused_is_taken_out_unless_it_is_the_last(
    ask: Ask, caplog: pytest.LogCaptureFixture
) -> None:
    made = Upstreams(k1=[status(401)] * 2, k2=[None, status(401), status(401)])
    router = made.router(one("k1", "k2"))
    assert await ask(router, call()) == "Hello 😀"
    for _ in range(2):
        with pytest.raises(errors.AuthenticationError):
            await ask(router, call())
    assert [entry.split()[1] for entry in made.asked] == ["k1", "k2", "k2", "k2"]
    assert await ask(router, call()) == "Hello 😀"
    assert "one: key 1 of 2: HTTP 401: taken out until the configuration is read again" in caplog.messages
    assert "one: key 2 of 2: HTTP 401, and no other key is left" in caplog.messages
    await router.update(RelayConfig.from_dict(one("k1", "k2")))
    for _ in range(2):
        await ask(router, call())
    assert [entry.split()[1] for entry in made.asked[-3:]] == ["k2", "k1", "k2"]  # it is refused once more


# --- fallbacks --------------------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("code", [500, 503, 429, 401, 404])
async def test_another_upstream_stands_in_by_its_own_model(ask: Ask, code: int) -> None:
    made = Upstreams(one=[status(code)])
    assert await ask(made.router(pair()), call()) == "Hello 😀"
    assert made.asked == ["one k m", "two k spare"]


@both
async def test_nobody_stands_in_for_a_malformed_request_nor_for_what_nobody_can_carry(ask: Ask) -> None:
    for code in (400, 413, 422):
        made = Upstreams(one=[status(code)], two=[status(503)])
        with pytest.raises(errors.APIStatusError) as caught:
            await ask(made.router(pair()), call())
        assert (caught.value.status_code, made.asked) == (code, ["one k m"])
    config = pair(fallbacks=["yqcloud"])
    config["upstreams"]["yqcloud"] = {"base_url": "http://free"}
    del config["upstreams"]["two"]
    with pytest.raises(errors.UnsupportedOptionError):
        await ask(made.router(config), call(temperature=0.5))
    assert len(made.asked) == 1


async def test_a_stream_that_has_begun_is_nobody_elses() -> None:
    made = Upstreams(one=[Reply(chunks=[delta("Hel"), Cut()], headers={"content-type": "text/event-stream"})])
    with pytest.raises(errors.StreamInterruptedError):
        await streamed(made.router(pair()), call())
    assert made.asked == ["one k m"]


# --- another configuration --------------------------------------------------------------------------------------------


async def test_another_configuration_drops_no_stream_and_closes_what_it_has_not() -> None:
    made = Upstreams()
    router = made.router(pair())
    first = router.stream(call(), Leeway())
    stream = await first.__aenter__()
    assert str(await anext(stream)) == "Hel"
    changed = pair()
    changed["upstreams"]["three"] = changed["upstreams"].pop("one") | {"base_url": "http://three/v1"}
    await router.update(RelayConfig.from_dict({**changed, "default": "three"}))
    assert await whole(router, call()) == "Hello 😀"
    assert made.asked[-1] == "three k m"
    with pytest.raises(errors.ConfigurationError):
        await router.update(RelayConfig.from_dict({**changed, "default": "nobody"}))
    # A third one, without `three`: the stream of the first still holds its own upstream.
    await router.update(RelayConfig.from_dict({"default": "two", "upstreams": {"two": changed["upstreams"]["two"]}}))
    assert made.closed == ["three"]
    assert "".join([str(chunk) async for chunk in stream]) == "lo 😀"
    await first.__aexit__(None, None, None)
    assert made.closed == ["three", "one"]
    await router.close()
    assert made.closed == ["three", "one", "two"]


# --- through the server -----------------------------------------------------------------------------------------------


def test_a_relay_of_a_file_answers_from_real_servers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llmclients.relay")
    with relay_over() as (good, mock), relay_over(lambda request: Reply(503)) as (bad, _):
        file = tmp_path / "relay.toml"
        file.write_text(
            f"""
            default = "bad"
            [models]
            "gpt-*" = "good"
            [upstreams.good]
            provider = "openai"
            base_url = "{good.url}/openai/v1"
            api_key = "sk-good"
            [upstreams.bad]
            provider = "openai"
            base_url = "{bad.url}/openai/v1"
            api_key = "sk-bad"
            fallbacks = ["good/spare"]
            """
        )
        with RelayServer(RelayConfig.load(file)) as relay:
            for wire in ("openai", "anthropic"):
                for model in ("gpt-5", "other"):
                    body = {"model": model, "messages": HI, "max_tokens": 5}
                    answer = post(relay.url, wire, body)
                    assert answer.status == 200, answer.raw
                    assert "Hello" in answer.raw.decode()
            models = send(relay.url, "/openai/v1/models", method="GET").json["data"]
            assert models == []  # of these two, no route leads to either
        assert {json.loads(request.body)["model"] for request in mock.requests if request.body} == {"gpt-5", "spare"}
    assert "good takes the place of one that failed (InternalServerError 503)" in caplog.text
