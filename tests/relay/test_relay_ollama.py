"""Ollama's own SDK as the client of a running relay, in front of a provider that carries everything."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel
from relaytools import HI, raw_post, send
from scripted import Scripted, failing, scripted_relay
from sdks import ollama, ollama_sdk

from llmclients import Client
from llmclients.codecs.base import CodecOptions
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, TokenLogprob, ToolCallDelta, Usage

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 8).decode()
CALLS = [ToolCall("c1", "weather", '{"city":"Oslo"}'), ToolCall("c2", "weather", '{"city":"Rome"}')]
USAGE = Usage(input_tokens=7, output_tokens=3)


@pytest.fixture(scope="module")
def _relay() -> Iterator[tuple[str, Scripted]]:
    with scripted_relay() as found:
        yield found


@pytest.fixture(scope="module", params=["", "/ollama"])
def client(_relay: Any, request: Any) -> Iterator[ollama.Client]:
    with ollama_sdk(_relay[0] + request.param) as client:
        yield client


@pytest.fixture
def script(_relay: Any) -> Scripted:
    script: Scripted = _relay[1]
    script.__init__()  # type: ignore[misc]
    return script


def weather(city: str) -> str:
    """How warm it is.

    Args:
        city: where.
    """
    return city


class Answer(BaseModel):
    city: str


def test_a_chat_with_all_that_the_wire_has(client: ollama.Client, script: Scripted) -> None:
    script.answer = ChatResponse(
        text="Cold.", reasoning="hm", tool_calls=CALLS, finish_reason="tool_calls", model="s-9", usage=USAGE
    )
    answer = client.chat(
        "asked",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is this?", "images": [PNG]},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"function": {"name": "weather", "arguments": {"city": "Oslo"}}},
                    {"function": {"name": "other", "arguments": {}}},
                ],
            },
            {"role": "tool", "tool_name": "other", "content": "none"},
            {"role": "tool", "tool_name": "weather", "content": "4"},
        ],
        tools=[weather],
        format=Answer.model_json_schema(),
        think="high",
        options={
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 7,
            "seed": 1,
            "num_predict": 30,
            "stop": ["END", ""],
            "presence_penalty": 1,
            "frequency_penalty": 1,
            "num_ctx": 8192,
            "num_thread": 4,
        },
        keep_alive="5m",
        logprobs=True,
        top_logprobs=2,
    )
    assert answer.message.content == "Cold."
    assert answer.message.thinking == "hm"
    assert [(call.function.name, call.function.arguments) for call in answer.message.tool_calls or ()] == [
        ("weather", {"city": "Oslo"}),
        ("weather", {"city": "Rome"}),
    ]
    assert (answer.model, answer.done, answer.done_reason) == ("s-9", True, "stop")
    assert (answer.prompt_eval_count, answer.eval_count) == (7, 3)
    asked = script.asked
    first, second = (call["id"] for call in asked["messages"][2]["tool_calls"])
    assert [message.get("tool_call_id") for message in asked["messages"][3:]] == [second, first]
    assert asked["messages"][1]["content"][1] == {"type": "image", "data": PNG, "media_type": "image/png"}
    assert asked["tools"][0]["description"] == "How warm it is."
    assert asked["response_format"]["json_schema"]["properties"]["city"]["type"] == "string"
    assert script.codec_options == {"top_k": 7}
    names = ("temperature", "top_p", "seed", "max_tokens", "stop", "reasoning_effort", "logprobs", "top_logprobs")
    assert [asked[name] for name in names] == [0.5, 0.9, 1, 30, ["END"], "high", True, 2]
    assert (asked["model"], asked["stream"]) == ("asked", False)


def test_a_streamed_chat(client: ollama.Client, script: Scripted) -> None:
    halves = [
        Chunk(tool_calls=[ToolCallDelta(index=index, id=call.id, name=call.name, arguments=half)])
        for index, call in enumerate(CALLS)
        for half in (call.arguments_text[:5], call.arguments_text[5:])
    ]
    token = TokenLogprob(token="lo", logprob=-0.5)
    script.streams(
        Chunk(reasoning="hm"),
        Chunk(text="Hel", model="s-9"),
        Chunk(text="lo", logprobs=[token]),
        *halves,
        Chunk(finish_reason="tool_calls", usage=USAGE),
    )
    parts = list(client.chat("m", messages=HI, stream=True))
    assert "".join(part.message.content or "" for part in parts) == "Hello"
    assert parts[0].message.thinking == "hm"
    calls = [call.function.arguments for part in parts for call in part.message.tool_calls or ()]
    assert calls == [{"city": "Oslo"}, {"city": "Rome"}]
    assert [part.done for part in parts] == [False] * 4 + [True]
    assert (parts[-1].done_reason, parts[-1].eval_count) == ("stop", 3)
    script.streams(Chunk(text="Hel"), Chunk(finish_reason="length"))
    assert [part.done_reason for part in client.chat("m", messages=HI, stream=True)][-1] == "length"


def test_a_prompt_alone(client: ollama.Client, script: Scripted) -> None:
    script.answer = ChatResponse(text="Hello", reasoning="hm", finish_reason="stop")
    answer = client.generate(
        "m", prompt="Hi", system="Be brief.", format="json", think=False, options={"num_predict": -1}
    )
    assert (answer.response, answer.thinking, answer.done_reason) == ("Hello", "hm", "stop")
    assert [message["content"] for message in script.asked["messages"]] == ["Be brief.", "Hi"]
    assert ("max_tokens" in script.asked, script.asked["reasoning_effort"]) == (False, "none")
    script.streams(Chunk(text="Hel"), Chunk(text="lo"), Chunk(finish_reason="stop"))
    assert [part.response for part in client.generate("m", prompt="Hi", stream=True)] == ["Hel", "lo", ""]
    script.asked = {}
    assert client.generate("m").done_reason == "load"
    assert client.generate("m", keep_alive=0).done_reason == "unload"
    assert client.chat("m").done_reason == "load"
    assert script.asked == {}


def test_models_and_the_version(client: ollama.Client, script: Scripted) -> None:
    assert [model.model for model in client.list().models] == ["s-1", "s-2"]
    assert client.show("s-1").capabilities == ["completion", "tools", "vision", "thinking"]
    with pytest.raises(ollama.ResponseError, match="there is no model 's-3': there are s-1, s-2"):
        client.show("s-3")


def test_failures_are_the_wires(client: ollama.Client, script: Scripted) -> None:
    for ask in (
        {"options": {"mirostat": 1}},
        {"messages": [{"role": "judge", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": "Hi", "images": ["!"]}]},
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}], "images": ["!"]}
            ]
        },
    ):
        with pytest.raises(ollama.ResponseError) as caught:
            client.chat(**({"model": "m", "messages": HI} | ask))  # type: ignore[call-overload]
        assert caught.value.status_code == 400
    for context in ({"suffix": "x"}, {"template": "x"}, {"raw": True}, {"context": [1]}):
        with pytest.raises(ollama.ResponseError, match=next(iter(context))):
            client.generate("m", prompt="Hi", **context)  # type: ignore[call-overload]
    script.answer = ChatResponse(text="x", finish_reason="error")
    with pytest.raises(ollama.ResponseError, match="ended in an error"):
        client.chat("m", messages=HI)
    script.streams(Chunk(text="Hel"), failing(529, "busy"))
    stream = client.chat("m", messages=HI, stream=True)
    assert next(stream).message.content == "Hel"
    with pytest.raises(ollama.ResponseError, match="busy"):
        list(stream)
    with pytest.raises(ollama.ResponseError, match="there is no POST"):
        client.pull("m")


def test_options_of_a_models_own_server_reach_an_ollama_and_say_nothing_to_others() -> None:
    class Ollamas(CodecOptions):
        num_ctx: int | None = None
        keep_alive: str | None = None

    for options_type, sent in ((Ollamas, {"num_ctx": 9, "keep_alive": "1h"}), (CodecOptions, {})):
        with scripted_relay(options_type=options_type) as (url, script):
            ask = {"model": "m", "messages": HI, "stream": False, "options": {"num_ctx": 9}, "keep_alive": "1h"}
            assert send(url, "/ollama/api/chat", ask).status == 200
            assert script.codec_options == sent


def test_the_bare_address_tells_the_two_wires_of_one_path_apart() -> None:
    with scripted_relay() as (url, script):
        script.streams(Chunk(text="Hello"), Chunk(finish_reason="stop"))
        assert b'"done":true' in send(url, "/api/chat", {"model": "m", "messages": HI}).raw
        assert send(url, "/api/chat", {"model": {"id": "m"}, "messages": HI}).raw == b"Hello"
        assert send(url, "/api/chat", {"messages": HI}).raw == b"Hello"
        quoted = [{"role": "user", "content": '{"model": "m"}'}]
        assert send(url, "/api/chat", {"messages": quoted}).raw == b"Hello"
        assert send(url, "/api/chat", b'{"model": "m"').json["error"].startswith("the request is not JSON")
        assert send(url, "/api/chat", b"{").json["message"].startswith("the request is not JSON")


def test_a_program_need_not_say_that_it_sends_json_but_a_page_must() -> None:
    with scripted_relay() as (url, script):
        script.streams(Chunk(text="Hello"), Chunk(finish_reason="stop"))
        body = json.dumps({"model": "m", "messages": HI})
        head = f"POST /api/chat HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
        form = "Content-Type: application/x-www-form-urlencoded\r\n"
        for more, status in (
            ("", b"200"),
            (form, b"200"),
            ("Content-Type: text/plain\r\n", b"415"),
            *((form + header, b"415") for header in ("Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n")),
            ("Origin: https://evil.example\r\n", b"415"),
        ):
            answer = raw_bytes(url, f"{head}{more}\r\n{body}".encode())
            assert answer.split()[1] == status
        assert raw_post(url, "/api/chat", {"model": "m", "messages": HI}).startswith(b"HTTP/1.1 200")


def raw_bytes(url: str, data: bytes) -> bytes:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(data)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_the_librarys_own_client_of_the_wire() -> None:
    with scripted_relay() as (url, script), Client("ollama/m", base_url=url + "/ollama", retry=None) as client:
        script.streams(Chunk(text="Hel"), Chunk(tool_calls=[ToolCallDelta(index=0, id="c", name="f", arguments="{}")]))
        assert client.models() == ["s-1", "s-2"]
        stream = client.stream("Hi", tools=[weather])
        assert [chunk.text for chunk in stream if chunk.text] == ["Hel"]
        assert stream.response.tool_calls == [ToolCall("c", "f", "{}")]
