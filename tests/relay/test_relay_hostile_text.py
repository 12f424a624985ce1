"""Text and numbers from clients and providers: none forges a line of the log or a header, or makes a reply that is no JSON."""

from __future__ import annotations

import io
import itertools
import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from relaytools import BODY, HI, PATH, PREFIX, RAW_TEXT, WIRES, post, relay_over, send

from llmclients import errors
from llmclients.cli.main import main
from llmclients.errors import one_line
from llmclients.relay import RelayServer, create_app, serve
from llmclients.relay.app import SERVER_CODECS
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.codecs.json_fields import MAX_MESSAGES, MAX_TOOLS, MAX_VALUES, decode_json
from llmclients.relay.codecs.json_reply import encode_json, encode_text
from llmclients.relay.errors import Failure
from llmclients.transports.mock import Reply
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, TokenLogprob, ToolCallDelta, Usage

CODEC: dict[str, ServerCodec] = {codec.name: codec for codec in SERVER_CODECS}
META = ReplyMeta("msg_0", 7, "asked", {"metadata": {"n": math.inf}})
FORGED = "x\r\nforged: yes\n\x1b[2Jforged\u2028forged\x85forged\x00"


# --- the log ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """The relay's log, as a terminal would show it."""
    stream = io.StringIO()
    handler, logger = logging.StreamHandler(stream), logging.getLogger("llmclients.relay")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(level)


def assert_not_forged(log: io.StringIO) -> None:
    lines = log.getvalue().splitlines()
    assert lines
    assert not [line for line in lines if line.lstrip().startswith("forged")]
    assert log.getvalue().replace("\n", "").isprintable()
    assert max(map(len, lines)) < 1200


def failing_upstream(request: Any) -> Reply:
    message = FORGED + "m" * 30_000
    error = {"message": message, "type": FORGED, "code": FORGED, "param": FORGED}
    return Reply(400, json={"error": error}, headers={"x-request-id": "a" * 10_000})


def test_no_line_of_the_log_is_forged_and_no_error_is_long(log: io.StringIO, subtests: pytest.Subtests) -> None:
    with relay_over(failing_upstream) as (relay, _):
        for wire in WIRES:
            with subtests.test(wire):
                send_what_may_forge(relay.url, wire)
                assert_not_forged(log)
                log.truncate(log.seek(0))


def send_what_may_forge(url: str, wire: str) -> None:
    for body in (
        BODY[wire],
        {**BODY[wire], "model": FORGED},
        {**BODY[wire], FORGED: 1},
        {**BODY[wire], "x" * 30_000: 1},
        {**BODY[wire], "tools": [{"type": FORGED}]},
        {**BODY[wire], "messages": [{"role": FORGED, "content": "x"}], "input": [{"type": FORGED}]},
    ):
        answer = post(url, wire, body, headers={"User-Agent": "a\tb", "X-Request-Id": "c"})
        assert answer.status in (200, 400)
        assert len(answer.raw) < 20_000
        assert "forged" not in answer.headers
    path = (PREFIX[wire] + PATH[wire]).partition("?")[0]
    answer = send(url, path + "%0d%0aforged%1b" + "x" * 5000, {})
    assert answer.status == 404
    assert len(answer.raw) < 2000


def test_neither_does_a_fault_of_the_program(log: io.StringIO) -> None:
    def explode(request: Any) -> Reply:
        try:
            raise ValueError(FORGED)
        except ValueError as error:
            raise KeyError(FORGED) from error

    with relay_over(explode) as (relay, _):
        assert post(relay.url, "openai").status == 500
    assert_not_forged(log)
    assert "caused by ValueError: x forged" in log.getvalue()
    assert "in explode" in log.getvalue()


def test_one_line() -> None:
    assert one_line("a\r\nb\tc", 100) == "a b c"
    assert one_line("é\x1b[1m\u202e\ud83d", 100) == "é\\x1b[1m\\u202e\\ud83d"
    assert one_line("x" * 20, 10) == "x" * 10 + "…"
    failure = Failure(400, "a\nb", error_type="c\r\nd", code="e\x1b", param="f\u2028g" + "h" * 200)
    shown = (failure.message, failure.error_type, failure.code, failure.param)
    assert shown == ("a b", "c d", "e\\x1b", "f g" + "h" * 97 + "…")


def test_a_request_id_that_is_none_is_no_header() -> None:
    for request_id in ("a\r\nSet-Cookie: b", "a\nb", "é", "x" * 201, "\x1b"):
        failure = Failure.from_error(errors.APIStatusError("no", status_code=400, request_id=request_id))
        assert failure.request_id is None, repr(request_id)


# --- what is sent is JSON ---------------------------------------------------------------------------------------------


def strict(data: str) -> Any:
    def refuse(word: str) -> Any:
        raise AssertionError(word)

    return json.loads(data, parse_constant=refuse)


ODD = {"n": [math.nan, math.inf, -math.inf, 10**5000], "text": "a\ud83d", "pair": "\ud83d\ude00", 5: math.nan}
RESPONSE = ChatResponse(
    text="a\ud83d",
    reasoning="\ude00b",
    model="m\ud83d",
    finish_reason="tool_calls",
    tool_calls=[ToolCall(id="c", name="f", arguments_text='{"x": 1e999, "y": "\\ud83d"}')],
    logprobs=[TokenLogprob(token="\ud83d", logprob=-1)],
    usage=Usage(input_tokens=10**5000),
    provider_data={
        "anthropic": [{"type": "text", "text": "a\ud83d", **{k: v for k, v in ODD.items() if k != 5}}],
        "openai": {"reasoning_details": [ODD]},
        "openai-responses": [{"type": "reasoning", "encrypted_content": "e", "summary": [], "odd": ODD}],
    },
)
CHUNKS = [
    Chunk(reasoning="\ude00b", model="m\ud83d"),
    Chunk(text="a\ud83d", logprobs=[TokenLogprob(token="\ud83d", logprob=-1)]),
    Chunk(raw={"type": "content_block_start", "content_block": {"type": "odd", "odd": ODD}}),
    Chunk(tool_calls=[ToolCallDelta(index=0, id="c\ud83d", name="f", arguments='{"x": "\ud83d')]),
    Chunk(usage=Usage(input_tokens=10**5000), provider_data=RESPONSE.provider_data, finish_reason="tool_calls"),
]


@pytest.mark.parametrize("wire", WIRES)
def test_whatever_the_provider_sent_the_reply_is_json_in_utf_8(wire: str) -> None:
    codec = CODEC[wire]
    response, chunks = RESPONSE, CHUNKS
    encoder = codec.stream_encoder(RelayedCall([], include_usage=True), META)
    if wire in ("gemini", "ollama"):  # whose calls have an object, and no text that may be one
        for encode in (lambda: codec.encode(RESPONSE, META), lambda: [*map(encoder.feed, CHUNKS), encoder.finish()]):
            with pytest.raises(errors.APIResponseError):
                encode()
        response = RESPONSE.model_copy(update={"tool_calls": []})
        chunks = [chunk for chunk in CHUNKS if not chunk.tool_calls]
        encoder = codec.stream_encoder(RelayedCall([]), META)
    whole = codec.encode(response, META).decode()
    stream = b"".join([*map(encoder.feed, chunks), encoder.finish()]).decode()
    error = codec.encode_error(Failure(500, "a\ud83d\x1b")).decode()
    models = codec.encode_models(["a\ud83d"]).decode()
    assert strict(error)
    assert strict(models)
    if wire in RAW_TEXT:
        assert whole == stream == "a\ufffd"
        return
    assert strict(whole)
    events = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: {")]
    if wire == "ollama":
        events = stream.splitlines()
    assert [strict(event) for event in events]


@pytest.mark.parametrize("model", ['"', '"content":"\\""', "m\ud83d", "%b"])
def test_an_event_of_nothing_but_text_is_written_as_any_other(model: str) -> None:
    call = RelayedCall([], include_usage=True)
    for text in ('"', "\\", "a\ud83d", "\n\n", "9" * 5000):
        encoder, other = (CODEC["openai"].stream_encoder(call, META) for _ in range(2))
        plain = encoder.feed(Chunk(text=text, model=model)).decode()
        mixed = other.feed(Chunk(text=text, model=model, reasoning="r")).decode()
        assert plain == mixed.replace(',"reasoning_content":"r"', "")


def test_json_without_words_for_numbers() -> None:
    assert strict(encode_json(ODD).decode()) == {
        "n": [None] * 4,
        "text": "a\ufffd",
        "pair": "😀",
        "5": None,
    }
    assert encode_json({"a": (1, True, None, 1.5, "é")}) == '{"a":[1,true,null,1.5,"é"]}'.encode()
    assert encode_text("\ud83d\ude00\ude00") == "😀\ufffd".encode()


def test_a_number_that_no_float_holds_is_a_400(subtests: pytest.Subtests) -> None:
    for number in ("1e400", "-1e999", "1E+999", '[1, {"b": 1e400}]', "9" * 400 + ".0", "NaN", "Infinity"):
        with subtests.test(number), pytest.raises(errors.InvalidRequestError):
            decode_json(b'{"a": %b}' % number.encode())
    assert decode_json(b'{"a": "1e400", "b": 1e10}') == {"a": "1e400", "b": 1e10}


# --- sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"{}," * 200_000 + b"{}]",
        b"[" + b'"",' * 200_000 + b'""]',
        b"[" + b'"\\\\",' * 200_000 + b'"\\""]',
        b"{" + b",".join(b'"%d":0' % number for number in range(150_000)) + b"}",
    ],
)
def test_too_many_values_are_refused_before_they_are_made(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmclients.relay.codecs import json_fields

    monkeypatch.setattr(json_fields, "from_json", lambda *a, **k: pytest.fail("it was parsed"))
    with pytest.raises(errors.InvalidRequestError, match=str(MAX_VALUES)):
        decode_json(b'{"messages": %b}' % body)


def test_what_looks_like_values_inside_a_text_is_text() -> None:
    text = ',[{"\\' * 100_000
    assert decode_json(json.dumps({"a": text, "b": [text, "\\"]}).encode()) == {"a": text, "b": [text, "\\"]}


def test_too_many_tools_or_messages_are_a_400_of_the_wire() -> None:
    tool = {"type": "function", "name": "f", "function": {"name": "f"}, "input_schema": {}}
    with relay_over() as (relay, mock):
        for wire in ("openai", "ylokh", "anthropic", "openai-responses"):
            name = "input" if wire == "openai-responses" else "messages"
            for field, value in (("tools", [tool] * (MAX_TOOLS + 1)), (name, HI * (MAX_MESSAGES + 1))):
                answer = post(relay.url, wire, {**BODY[wire], field: value})
                assert answer.status == 400, (wire, field)
                assert f"{field} has {len(value)} entries" in answer.json["error"]["message"], wire
            answer = post(relay.url, wire, {**BODY[wire], "model": "m" * 300})
            assert answer.status == 400, wire
            assert not mock.requests, wire


# --- who may use it ---------------------------------------------------------------------------------------------------


def test_a_key_that_no_header_carries_is_refused_when_the_relay_is_made(subtests: pytest.Subtests) -> None:
    bad: list[Any] = ["", " ", "\t", " sesame", "sesame ", "sesame\n", "a\x00b", "clé", b"sesame", [], ["sesame"], 5]
    for api_key, make in itertools.product(bad, (create_app, RelayServer, serve)):
        for host in ({}, {"host": "0.0.0.0"}) if make is not create_app else ({},):
            with subtests.test(repr(api_key), make=make.__name__, **host):
                with pytest.raises(errors.ConfigurationError) as caught:
                    make("yqcloud", api_key=api_key, **host)  # type: ignore[operator]
                assert caught.value.argument == "api_key"


def test_an_empty_key_on_the_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["relay", "--provider", "yqcloud", "--api-key", "", "--port", "0"]) != 0
    assert "api_key" in capsys.readouterr().err


BAD_HOSTS = [
    "[::1",
    "]",
    "[evil]",
    "a b",
    "",
    "user@localhost",
    "localhost:99999",
    "localhost/x",
    "[127.0.0.1]",
    "[::1%lo]",
]
BAD_ORIGINS = ["http://[::1", "x", "", "http://a b", "http://", "//a", "http://u@a"]


@pytest.mark.parametrize("key", [None, "sesame"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/nope"])
def test_a_malformed_host_or_origin_is_a_403(key: str | None, path: str, caplog: pytest.LogCaptureFixture) -> None:
    with relay_over(api_key=key) as (relay, mock):
        for name, values in (("Host", BAD_HOSTS), ("Origin", BAD_ORIGINS)):
            for value in values:
                headers = {"Authorization": "Bearer sesame", name: value}
                answer = send(relay.url, path, BODY["openai"], headers)
                assert answer.status == (404 if path == "/nope" else 403), (name, value)
        assert not mock.requests
        for value in ("null", "http://localhost:3000", "https://a.example", "vscode-file://vscode-app"):
            assert post(relay.url, "openai", headers={"Authorization": "Bearer sesame", "Origin": value}).status == 200
    assert "Traceback" not in caplog.text


# --- work -------------------------------------------------------------------------------------------------------------


def _calls(count: int, *, mixed: bool) -> list[Chunk]:
    """Pieces of many calls: one after the other, or mixed, so that they wait for the end."""
    text = json.dumps({"x": "y" * 3000})
    parts = [text[:9], text[9:]] if mixed else [text]
    return [
        Chunk(tool_calls=[ToolCallDelta(index=index, id=f"c{index}", name="f", arguments=part)])
        for part in parts
        for index in range(count)
    ]


STREAMS: dict[str, Callable[[int], list[Chunk]]] = {
    "deltas of text": lambda count: [Chunk(text="x" * 100)] * count,
    "one call in pieces": lambda count: (
        _calls(1, mixed=True)[:1] + [Chunk(tool_calls=[ToolCallDelta(index=0, arguments=" " * 100)])] * count
    ),
    "calls": lambda count: _calls(count, mixed=False),
    "mixed calls": lambda count: _calls(count, mixed=True),
    "calls in one chunk": lambda count: [
        Chunk(tool_calls=[delta for chunk in _calls(count, mixed=False) for delta in chunk.tool_calls])
    ],
    "text and reasoning in turns": lambda count: [Chunk(text="x"), Chunk(reasoning="y")] * (count // 2),
    "items known before": lambda count: [
        Chunk(
            provider_data={
                "openai-responses": [
                    {"type": "reasoning", "encrypted_content": "e", "id": f"r{n}"} for n in range(count)
                ]
            }
        ),
        *[Chunk(text="x"), Chunk(reasoning="y")] * (count // 2),
    ],
}


def _seconds(wire: str, chunks: list[Chunk]) -> float:
    encoder = CODEC[wire].stream_encoder(RelayedCall([]), ReplyMeta("msg_0", 7, "m"))
    began = time.process_time()
    for chunk in chunks:
        encoder.feed(chunk)
    encoder.finish()
    return time.process_time() - began


@pytest.mark.parametrize("stream", STREAMS)
def test_four_times_as_much_takes_about_four_times_as_long(stream: str) -> None:
    small, large = STREAMS[stream](200), STREAMS[stream](800)
    for wire in ("openai", "anthropic", "openai-responses"):
        limit = 9 * max(min(_seconds(wire, small) for _ in range(2)), 0.001)
        assert _seconds(wire, large) < limit or _seconds(wire, large) < limit, wire
