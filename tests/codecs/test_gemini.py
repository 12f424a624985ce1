"""What Gemini's wire cannot carry, its models, its errors, and answers that go back. Whole requests are recorded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers import whole_reply
from tables import table

from llmclients import Client
from llmclients.codecs.base import Context
from llmclients.codecs.gemini.codec import GeminiCodec, GeminiOptions
from llmclients.errors import (
    APIResponseError,
    AuthenticationError,
    ConfigurationError,
    InternalServerError,
    InvalidRequestError,
    RateLimitError,
    UnsupportedOptionError,
)
from llmclients.transports.mock import MockTransport, Reply
from llmclients.types.content import AudioPart, FilePart, ImagePart
from llmclients.types.messages import Message, ToolCall
from llmclients.types.request import ChatRequest

CODEC = GeminiCodec()
PNG = b"\x89PNG\r\n\x1a\n"
WIRE = Path(__file__).parent.parent / "wire" / "gemini"


def encoded(
    messages: Any = "Hi", model: str = "gemini-2.5-flash", codec_options: dict[str, Any] | None = None, **options: Any
) -> Any:
    context = Context(model=model, api_key="k", options=GeminiOptions(**codec_options or {}))
    return json.loads(CODEC.encode(ChatRequest.from_messages(messages, **options), context).body)


def client(*replies: Reply, **arguments: Any) -> Client:
    return Client("gemini", model="m", api_key="k", transport=MockTransport(list(replies)), **arguments)


# --- rejected before anything is sent -------------------------------------------------------------------------------

CALL = {"id": "c", "name": "f", "arguments": "{}"}


@table(
    "messages, options, message, argument",
    [
        ([Message("system", "Be brief.")], {}, "needs a message that is not the system's", "messages"),
        (
            [Message("system", "Hi"), Message("assistant", "")],
            {},
            "needs a message that is not the system's",
            "messages",
        ),
        ([Message("system", [ImagePart(PNG)]), "Hi"], {}, "only text in a system message", "messages"),
        ([Message("tool", "4", tool_call_id="x")], {}, "tool call 'x' needs the function's name", "messages"),
        (
            [Message("tool", "4", tool_call_id="c"), Message("assistant", tool_calls=[CALL])],
            {},
            "'c' needs",
            "messages",
        ),
        ([Message("assistant", tool_calls=[ToolCall("c", "f", "{")])], {}, "call of f are not JSON", "messages"),
        (
            [Message("assistant", tool_calls=[ToolCall("c", "f", "[]")])],
            {},
            "call of f are not a JSON object",
            "messages",
        ),
        (
            [Message("assistant", "Hi", provider_data={"gemini": {"parts": []}})],
            {},
            "must be a list of parts",
            "messages",
        ),
        ("Hi", {"reasoning_effort": "huge"}, "none, minimal, low, medium, high, auto", "reasoning_effort"),
        ("Hi", {"reasoning_effort": "low", "codec_options": {"thinking_budget": 1}}, "not both", "thinking_budget"),
    ],
)
def test_what_the_wire_has_no_place_for_is_rejected(
    messages: Any, options: dict[str, Any], message: str, argument: str
) -> None:
    with pytest.raises(InvalidRequestError, match=message) as raised:
        encoded(messages, **options)

    assert raised.value.argument == argument


@table(
    "arguments, message",
    [
        (
            {"parallel_tool_calls": False, "tools": [{"name": "f"}]},
            "gemini cannot carry the option 'parallel_tool_calls'",
        ),
        ({"messages": [Message("user", [ImagePart(b"GIF89a..")])]}, "gemini cannot carry image/gif"),
        ({"messages": [Message("user", [ImagePart(PNG + bytes(15_000_000))])]}, "an image of 15000008 bytes"),
        ({"messages": [Message("user", [AudioPart(b"ID3" + bytes(15_000_000))])]}, "an audio of 15000003 bytes"),
        ({"messages": [Message("user", [FilePart(b"%PDF-" + bytes(15_000_000))])]}, "an file of 15000005 bytes"),
    ],
)
def test_an_option_or_a_part_that_the_wire_cannot_carry_is_rejected(arguments: dict[str, Any], message: str) -> None:
    with client() as gemini, pytest.raises(UnsupportedOptionError, match=message):
        gemini.chat(**({"messages": "Hi"} | arguments))


@table(
    "codec_options",
    [{"top_k": 0}, {"top_k": 1.5}, {"thinking_budget": "much"}, {"safety_settings": {"a": "b"}}, {"topK": 1}],
)
def test_options_of_the_codec_are_checked(codec_options: dict[str, Any]) -> None:
    with client() as gemini, pytest.raises(ConfigurationError):
        gemini.chat("Hi", **codec_options)


# --- answers that go back -------------------------------------------------------------------------------------------


def test_an_answer_with_a_signature_goes_back_as_it_came() -> None:
    body = (WIRE / "replies" / "sample.body").read_bytes()
    response = whole_reply(CODEC, body)

    sent = encoded(["Hi", response.message, Message("tool", "4 degrees", tool_call_id=response.tool_calls[0].id)])

    assert sent["contents"][1] == json.loads(body)["candidates"][0]["content"]
    assert sent["contents"][2]["parts"] == [
        {"functionResponse": {"name": "weather", "response": {"output": "4 degrees"}}}
    ]


def test_an_answer_survives_being_saved() -> None:
    response = whole_reply(CODEC, (WIRE / "replies" / "sample.body").read_bytes())
    saved = Message.model_validate_json(response.message.model_dump_json())

    assert encoded(["Hi", saved]) == encoded(["Hi", response.message])


def test_an_answer_without_a_signature_has_no_provider_data() -> None:
    response = whole_reply(CODEC, (WIRE / "replies" / "calls-with-and-without-ids.body").read_bytes())

    assert response.provider_data is None
    assert encoded(["Hi", response.message])["contents"][1]["parts"] == [
        {"functionCall": {"id": "fc-1", "name": "a", "args": {"é": [1.5, None, "🌊"]}}},
        {"functionCall": {"name": "b", "args": {}}},
        {"functionCall": {"name": "a", "args": {}}},
    ]


@table("suffix", ["", "?x=1", "#page=2"])
@table(
    "name, media_type",
    [("a.pdf", "application/pdf"), ("b.MP4", "video/mp4"), ("c", None), ("pdf.x", None), (".", None)],
)
def test_the_type_of_an_address_is_what_its_name_says(name: str, media_type: str | None, suffix: str) -> None:
    url = f"https://example.com/png/{name}{suffix}"
    (part,) = encoded([Message("user", [FilePart(url)])])["contents"][0]["parts"]

    assert part == {"fileData": {**({"mimeType": media_type} if media_type else {}), "fileUri": url}}


# --- models ---------------------------------------------------------------------------------------------------------


def test_models_are_those_that_generate_content() -> None:
    entries = [
        {"name": "models/gemini-2.5-flash", "supportedGenerationMethods": ["generateContent", "countTokens"]},
        {"name": "models/embedding-001", "supportedGenerationMethods": ["embedContent"]},
        {"name": "tunedModels/mine", "supportedGenerationMethods": ["generateContent"]},
        {"name": "models/from-a-proxy"},
    ]
    mock = MockTransport([Reply(body=json.dumps({"models": entries}).encode())])

    with Client("gemini", api_key="k", transport=mock) as gemini:
        assert gemini.models() == ["gemini-2.5-flash", "tunedModels/mine", "from-a-proxy"]

    (request,) = mock.requests
    assert request.url == "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1000"
    assert request.method == "GET"
    assert {name.lower(): value for name, value in request.headers}["x-goog-api-key"] == "k"


@table("body", [b"{}", b'{"models":{}}', b'{"models":[1]}', b'{"models":[{"name":1}]}', b"no"])
def test_a_list_of_models_that_is_none_is_rejected(body: bytes) -> None:
    with pytest.raises(APIResponseError):
        CODEC.decode_models(body)


# --- errors ---------------------------------------------------------------------------------------------------------


def error(*details: dict[str, Any], message: str = "No.") -> bytes:
    return json.dumps({"error": {"code": 429, "message": message, "details": list(details)}}).encode()


@table(
    "delay, seconds",
    [
        *[("34s", 34.0), ("34.07s", 34.07), ("0.5s", 0.5), ("0s", None), ("-1s", None), ("34", None)],
        *[("s", None), (".5s", None), ("1e3s", None), ("nans", None), ("٣s", None), ("9" * 30 + "s", None)],
        *[(34, None), (None, None), (["1s"], None)],
    ],
)
def test_the_wait_is_in_the_body(delay: Any, seconds: float | None) -> None:
    found = CODEC.decode_error(429, {}, error({"@type": "x"}, {"retryDelay": delay}))

    assert isinstance(found, RateLimitError)
    assert found.retryable
    assert found.retry_after == seconds


def test_an_error_inside_a_stream_has_its_wait_and_its_quota_too() -> None:
    quota = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}
    decoder = CODEC.stream_decoder("text/event-stream")

    with pytest.raises(RateLimitError) as raised:
        list(decoder.feed(b"data: " + error(quota, {"retryDelay": "3s"}) + b"\r\n\r\n"))

    assert (raised.value.retry_after, raised.value.retryable) == (3.0, False)
    assert raised.value.body["error"]["message"] == "No."


def test_a_wrong_key_is_not_tried_again() -> None:
    body = (WIRE / "errors" / "400-wrong-key.body").read_bytes()
    mock = MockTransport([Reply(400, body=body)])

    with (
        Client("gemini", model="m", api_key="k", transport=mock) as gemini,
        pytest.raises(AuthenticationError) as raised,
    ):
        gemini.chat("Hi")

    assert len(mock.requests) == 1
    assert raised.value.status_code == 400


def test_an_error_after_the_finish_reason_is_the_streams_end() -> None:
    body = (WIRE / "streams" / "bare-error-crlf.sse").read_bytes()
    finished = (WIRE / "streams" / "sample.sse").read_bytes()
    reply = Reply(headers={"content-type": "text/event-stream"}, chunks=[finished, body[body.index(b"{\r\n") :]])

    with client(reply, retry=1) as gemini, gemini.stream("Hi") as stream, pytest.raises(InternalServerError) as raised:
        list(stream)

    assert raised.value.partial is not None
    assert raised.value.partial.text == "Four."
