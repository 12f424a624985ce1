"""Replies in words: each wire's own decoder reads from them what the script says, whole and as a stream."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel

from llmclients import (
    APIResponseError,
    APIStatusError,
    APITimeoutError,
    AsyncClient,
    ChatResponse,
    Client,
    Provider,
    RateLimitError,
    StreamInterruptedError,
    ToolCall,
    Usage,
    provider_names,
    register_provider,
)
from llmclients.codecs.base import Codec, Context, EncodedRequest
from llmclients.providers import registry
from llmclients.testing import Cut, Delay, MockTransport, Reply, ScriptError
from llmclients.types.request import ChatRequest

RAW = ("ai365vip", "yqcloud", "yqcloud-legacy")
CHAT = ("openai", "openai-responses", "anthropic", "gemini", "cohere", "ollama", "ylokh")
"""A provider of each wire that has more than text."""

pytestmark = pytest.mark.filterwarnings("ignore::llmclients.errors.ProviderWarning")


def client(name: str, *script: Reply, kind: type = Client, **options: Any) -> Any:
    mock = MockTransport(script)
    return kind(
        name, model=options.pop("model", None), api_key="-", base_url="http://x.test", transport=mock, **options
    )


def model_of(name: str) -> str:
    return registry.find_provider(name).default_model or "m"


def ask_sync(name: str, reply: Reply, *, stream: bool, **options: Any) -> tuple[ChatResponse, list[str]]:
    asking = client(name, reply, model=model_of(name), retry=None)
    if not stream:
        return asking.chat("How are you?", **options), []
    answer = asking.stream("How are you?", **options)
    texts = [chunk.text for chunk in answer if chunk.text]
    return answer.response, texts


def ask_async(name: str, reply: Reply, *, stream: bool, **options: Any) -> tuple[ChatResponse, list[str]]:
    async def ask() -> tuple[ChatResponse, list[str]]:
        asking = client(name, reply, kind=AsyncClient, model=model_of(name), retry=None)
        if not stream:
            return await asking.chat("How are you?", **options), []
        answer = asking.stream("How are you?", **options)
        texts = [chunk.text async for chunk in answer if chunk.text]
        return answer.response, texts

    return asyncio.run(ask())


Ask = Callable[..., tuple[ChatResponse, list[str]]]
ways = pytest.mark.parametrize("ask", [ask_sync, ask_async])


@ways
def test_every_provider_says_a_text_whole_and_in_pieces(ask: Ask) -> None:
    for name in provider_names():
        whole, _ = ask(name, Reply.text("I am well."), stream=False)
        assert (whole.text, whole.finish_reason) == ("I am well.", "stop"), name

        streamed, pieces = ask(name, Reply.stream("I am", " well."), stream=True)
        assert (streamed.text, streamed.finish_reason, pieces) == ("I am well.", "stop", ["I am", " well."]), name

        assert ask(name, Reply.stream("I am", " well."), stream=False)[0].text == "I am well.", name
        assert ask(name, Reply.text("I am well."), stream=True)[1] == ["I am well."], name

        counted = None if name in RAW else Usage(input_tokens=3, output_tokens=3, total_tokens=6)
        assert whole.usage == streamed.usage == counted, name


@ways
def test_every_wire_says_all_that_it_can(ask: Ask) -> None:
    counts = {"input_tokens": 50, "output_tokens": 20, "total_tokens": 70, "cached_tokens": 10, "reasoning_tokens": 5}
    for name in CHAT:
        lacking = {"ollama": {"cached_tokens", "reasoning_tokens"}, "cohere": {"reasoning_tokens"}}.get(name, set())
        usage = Usage(**{member: count for member, count in counts.items() if member not in lacking})
        reply = Reply.text("Well.", reasoning="How am I?", finish_reason="length", usage=usage, model="other")
        for stream in (False, True):
            response, _ = ask(name, reply, stream=stream)
            said = (response.text, response.reasoning, response.finish_reason, response.usage)
            assert said == ("Well.", "How am I?", "length", usage), name
            assert response.model == ("m" if name == "cohere" else "other"), name  # whose replies do not tell
        assert ask(name, Reply.text("Hi", usage=None), stream=False)[0].usage is None, name


@ways
def test_several_answers_on_every_provider_that_has_n(ask: Ask) -> None:
    asked = [name for name in provider_names() if "n" in registry.find_provider(name).load_codec().fields]
    assert {"openai", "gemini", "mistral", "local"} <= set(asked)
    for name in asked:
        response, _ = ask(name, Reply.choices("Red", "Dark blue"), stream=False, n=2)
        assert [(one.index, one.text, one.finish_reason) for one in response.choices] == [
            (0, "Red", "stop"),
            (1, "Dark blue", "stop"),
        ], name
        assert response.usage == Usage(input_tokens=3, output_tokens=3, total_tokens=6), name


@ways
def test_calls_of_tools_on_every_wire_that_has_them(ask: Ask) -> None:
    calls = Reply.tool_calls(("weather", {"city": "Tromsø"}), ToolCall("x1", "time", {}), text="Let me see.")
    tools = [{"name": "weather"}, {"name": "time"}]
    for name in CHAT:
        for stream in (False, True):
            response, _ = ask(name, calls, stream=stream, tools=tools)
            said = [(call.id, call.name, call.arguments) for call in response.tool_calls]
            assert said == [("call_1_0", "weather", {"city": "Tromsø"}), ("x1", "time", {})], name
            assert (response.text, response.finish_reason) == ("Let me see.", "tool_calls"), name


def test_a_tool_whose_argument_is_called_name() -> None:
    response, _ = ask_sync("openai", Reply.tool_call("greet", name="Ann"), stream=False, tools=[{"name": "greet"}])

    assert response.tool_calls[0].arguments == {"name": "Ann"}


def test_the_tool_loop_and_a_conversation_on_every_wire() -> None:
    def weather(city: str) -> str:
        """How warm it is."""
        return f"4 degrees in {city}"

    for name in CHAT:
        script = [Reply.tool_call("weather", city=city) for city in ("Oslo", "Rome")]
        asking = client(name, *script, Reply.text("Both cold."), Reply.stream("Good", "bye"), model=model_of(name))
        conversation = asking.conversation()
        response = conversation.chat("Where is it warm?", tools=[weather], run_tools=True)
        assert [message.text for message in response.messages if message.role == "tool"] == [
            "4 degrees in Oslo",
            "4 degrees in Rome",
        ], name
        calls = [call.id for message in response.messages for call in message.tool_calls or ()]
        assert calls == ["call_1_0", "call_2_0"], name  # no two the same
        assert "".join(map(str, conversation.stream("Thanks."))) == "Goodbye", name
        assert len(conversation.messages) == 8, name


@ways
def test_objects_on_every_wire_that_has_schemas(ask: Ask) -> None:
    class Point(BaseModel):
        x: int

    @dataclasses.dataclass
    class Place:
        x: int

    for name in CHAT:
        for value in (Point(x=1), Place(1), {"x": 1}):
            for stream in (False, True):
                response, _ = ask(name, Reply.parsed(value), stream=stream, response_format=Point)
                assert response.parsed == Point(x=1), name
    with pytest.raises(TypeError, match="JSON cannot carry a set"):
        Reply.parsed({1})


def test_an_error_s_body_is_the_wire_s_own() -> None:
    for name in provider_names():
        asking = client(name, Reply.error(429, "slow down", retry_after=1.5), Reply.text("ok"), model=model_of(name))
        assert asking.chat("Hi").text == "ok", name
        assert asking._transport.clock.slept == [1.5], name

        for status, default in ((401, "Unauthorized"), (529, "Overloaded"), (503, "Service Unavailable")):
            with pytest.raises(APIStatusError, match=f"HTTP {status}: {default}") as caught:
                ask_sync(name, Reply.error(status, headers={"x-request-id": "r1"}), stream=True)
            assert (caught.value.status_code, caught.value.headers["x-request-id"]) == (status, "r1"), name
    with pytest.raises(ValueError, match="400 to 599, not 200"):
        Reply.error(200)
    with pytest.raises(RateLimitError) as caught:
        ask_sync("anthropic", Reply.error(429), stream=False)
    assert caught.value.body["error"]["type"] == "rate_limit_error"


@ways
def test_an_answer_that_breaks_off(ask: Ask) -> None:
    for name in provider_names():
        with pytest.raises(StreamInterruptedError) as caught:
            ask(name, Reply.stream("Once", " upon", Cut()), stream=True)
        assert str(caught.value.partial) == "Once upon", name
        with pytest.raises(StreamInterruptedError):
            ask(name, Reply.stream("Once", Cut()), stream=False)


def test_silence_ends_by_the_client_s_timeout() -> None:
    for reply in (Reply.text("Hi", wait=200), Reply.stream("H", Delay(200), "i"), Reply.error(500, wait=200)):
        with pytest.raises(APITimeoutError):
            ask_sync("openai", reply, stream=True)


def test_the_list_of_models_on_every_wire_that_has_one() -> None:
    for name in set(provider_names()) - {*RAW, "ylokh"}:
        asking = client(name, Reply.models("small", "large"))
        assert asking.models() == ["small", "large"], name
        [request] = asking._given_transport.requests
        assert (request.is_listing, request.messages, request.prompt, request.options) == (True, [], "", {}), name


def test_what_a_wire_cannot_say_is_an_error_of_the_test() -> None:
    cases = [
        ("yqcloud", Reply.tool_call("weather"), "no finish reason 'tool_calls' and no tool calls"),
        ("yqcloud", Reply.text("Hi", reasoning="Hm"), "yqcloud cannot say .* no reasoning"),
        ("yqcloud", Reply.text("Hi", usage=Usage(input_tokens=1)), "no input_tokens in its usage"),
        ("yqcloud", Reply.text(""), "no answer without text"),
        ("ollama", Reply.text("Hi", finish_reason="content_filter"), "no finish reason 'content_filter'"),
        ("openai", Reply.text("Hi", finish_reason="pause"), "no finish reason 'pause'"),
        ("cohere", Reply.text("Hi", usage=Usage(reasoning_tokens=1)), "no reasoning_tokens in its usage"),
        ("anthropic", Reply.choices("Red", "Blue"), "no second answer"),
        ("openai", Reply.models("a"), "asks for an answer, and the script has a list of models"),
    ]
    for name, reply, message in cases:
        with pytest.raises(ScriptError, match=message):
            ask_sync(name, reply, stream=False)
    with pytest.raises(ScriptError, match=r"use Reply.models\(\)"):
        client("openai", Reply.text("Hi")).models()
    with pytest.raises(ScriptError, match=r"which is of one answer: use Reply.stream\(\)"):
        ask_sync("openai", Reply.choices("Red", "Blue"), stream=True)
    with pytest.raises(TypeError, match="at least one text"):
        Reply.choices()
    with pytest.raises(TypeError, match="at least one call"):
        Reply.tool_calls()
    with pytest.raises(TypeError, match="a piece is text, a Delay or an error such as Cut"):
        Reply.stream(b"Hi")  # type: ignore[arg-type]


class QuietCodec(Codec):
    """A wire from elsewhere, with the name of one of ours."""

    name = "openai"

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        return EncodedRequest.from_payload("/say", {"said": request.messages[-1].text}, request)

    def stream_decoder(self, content_type: str) -> Any:
        raise AssertionError


def test_a_wire_from_elsewhere_is_told_so_and_a_derived_one_is_its_parent_s(monkeypatch: pytest.MonkeyPatch) -> None:
    from llmclients.codecs.openai_chat.codec import OpenAICodec

    class DerivedCodec(OpenAICodec):
        name = "derived"

    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    register_provider(Provider("quiet", QuietCodec(), "http://quiet.test", default_model="q"))
    register_provider(Provider("derived", DerivedCodec(), "http://derived.test", default_model="d"))

    with pytest.raises(ScriptError, match=r"quiet speaks a wire of its own \(QuietCodec\).* give its reply as bytes"):
        ask_sync("quiet", Reply.text("Hi"), stream=False)
    with pytest.raises(APIResponseError):
        ask_sync("quiet", Reply(body="Hi"), stream=False)
    assert ask_sync("derived", Reply.text("Hi"), stream=False)[0].text == "Hi"


def test_the_requests_are_readable() -> None:
    asking = client("anthropic", Reply.text("Hi"), Reply.stream("Hi"), model="opus")
    asking.chat([{"role": "system", "content": "Be brief."}, "Hello!"], temperature=0, top_k=5, max_tokens=9)
    list(asking.stream("Bye."))
    first, second = asking._given_transport.requests

    assert (first.provider, first.model, first.prompt, first.stream) == ("anthropic", "opus", "Hello!", False)
    assert [(message.role, message.text) for message in first.messages] == [("system", "Be brief."), ("user", "Hello!")]
    assert first.options == {"temperature": 0, "top_k": 5, "max_tokens": 9}
    assert (first.path, first.json["system"], first.json["top_k"]) == ("/v1/messages", "Be brief.", 5)
    assert (second.prompt, second.stream, second.options) == ("Bye.", True, {})
    assert repr(second) == "MockRequest('anthropic/opus', 'Bye.', {})"


def test_a_function_answers_by_what_it_is_asked() -> None:
    mock = MockTransport(lambda request: Reply.text(f"{request.prompt} yourself!"))

    assert Client("openai/m", api_key="-", transport=mock).chat("Hello").text == "Hello yourself!"
