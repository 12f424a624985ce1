"""The replies of the server codecs, byte for byte, and what an error becomes. Without I/O."""

from __future__ import annotations

import json

import pytest
from relaytools import RAW_TEXT

from llmclients import errors
from llmclients.relay.app import SERVER_CODECS
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.errors import Failure
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, ToolCallDelta, Usage

CODEC: dict[str, ServerCodec] = {codec.name: codec for codec in SERVER_CODECS}
META = ReplyMeta("ID", 7, "asked")

# --- replies --------------------------------------------------------------------------------------------------------

USAGE = Usage(input_tokens=3, output_tokens=2, total_tokens=5, cached_tokens=1, reasoning_tokens=0)
HEAD = b'{"id":"ID","object":"chat.completion.chunk","created":7,"model":"m"'


def encoded(name: str, *chunks: Chunk, include_usage: bool = False) -> list[bytes]:
    encoder = CODEC[name].stream_encoder(RelayedCall([], include_usage=include_usage), META)
    return [*map(encoder.feed, chunks), encoder.finish()]


@pytest.mark.parametrize("name", ["openai", "ylokh"])
def test_a_stream_of_events_byte_for_byte(name: str) -> None:
    chunks = [
        Chunk(role="assistant", model="m"),
        Chunk(text='é "q"\n'),
        Chunk(),
        Chunk(reasoning="hm"),
        Chunk(tool_calls=[ToolCallDelta(index=0, id="c", name="f", arguments="{")]),
        Chunk(tool_calls=[ToolCallDelta(index=0, arguments="}")]),
        Chunk(finish_reason="tool_calls"),
        Chunk(usage=USAGE),
    ]
    between = b',"logprobs":null,"finish_reason":null}]}\n\n'
    first = b"data: " + HEAD + b',"choices":[{"index":0,"delta":'
    assert encoded(name, *chunks) == [
        first + b'{"role":"assistant","content":""}' + between,
        first + '{"content":"é \\"q\\"\\n"}'.encode() + between,
        b"",
        first + b'{"reasoning_content":"hm"}' + between,
        first
        + b'{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":"{"}}]}'
        + between,
        first + b'{"tool_calls":[{"index":0,"function":{"arguments":"}"}}]}' + between,
        b"",
        b"",
        first + b'{},"logprobs":null,"finish_reason":"tool_calls"}]}\n\ndata: [DONE]\n\n',
    ]


@pytest.mark.parametrize("name", ["openai", "ylokh"])
def test_the_role_comes_once_also_where_nobody_names_a_model(name: str) -> None:
    encoder = CODEC[name].stream_encoder(RelayedCall([]), ReplyMeta("ID", 7, ""))
    data = b"".join([*(encoder.feed(Chunk(text=text)) for text in "ab"), encoder.finish()])
    assert data.count(b'"role":"assistant"') == 1


def test_usage_comes_as_an_event_of_its_own_when_it_was_asked_for() -> None:
    usage = b'{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":0}}'
    *_, last = encoded("openai", Chunk(text="x", model="m"), Chunk(usage=USAGE), include_usage=True)
    assert last == (
        b"data: "
        + HEAD
        + b',"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}],"usage":null}\n\n'
        b"data: " + HEAD + b',"choices":[],"usage":' + usage + b"}\n\ndata: [DONE]\n\n"
    )
    *_, last = encoded("openai", Chunk(text="x", model="m"), include_usage=True)
    assert b'"choices":[],' not in last  # never an estimate


def test_a_whole_reply_byte_for_byte() -> None:
    response = ChatResponse(text="é", finish_reason="length", model="m", usage=Usage(input_tokens=3))
    assert (
        CODEC["openai"].encode(response, META)
        == (
            '{"id":"ID","object":"chat.completion","created":7,"model":"m","choices":[{"index":0,"message":'
            '{"role":"assistant","content":"é"},"logprobs":null,"finish_reason":"length"}],"usage":{"prompt_tokens":3}}'
        ).encode()
    )
    calls = ChatResponse(reasoning="hm", tool_calls=[ToolCall(id="c", name="f", arguments="{}")])
    message = json.loads(CODEC["ylokh"].encode(calls, META))["choices"][0]["message"]
    assert message["content"] is None
    assert message["reasoning_content"] == "hm"
    assert message["tool_calls"] == [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize("name", RAW_TEXT)
def test_raw_text_is_nothing_but_the_text(name: str) -> None:
    assert encoded(name, Chunk(role="assistant"), Chunk(text="é\n"), Chunk(finish_reason="stop")) == [
        b"",
        "é\n".encode(),
        b"",
        b"",
    ]
    assert CODEC[name].encode(ChatResponse(text="é\n", finish_reason="length"), META) == "é\n".encode()


@pytest.mark.parametrize("name", RAW_TEXT)
def test_raw_text_has_no_good_end_for_an_empty_or_failed_answer(name: str) -> None:
    with pytest.raises(errors.APIResponseError, match="empty"):
        encoded(name, Chunk(finish_reason="stop"))
    with pytest.raises(errors.APIResponseError, match="error"):
        encoded(name, Chunk(text="x", finish_reason="error"))
    with pytest.raises(errors.APIResponseError, match="empty"):
        CODEC[name].encode(ChatResponse(), META)


def test_a_failure_inside_an_answer_is_an_event_or_a_cut() -> None:
    failure = Failure(529, "busy", code="c", param="p")
    error = b'"error":{"message":"busy","type":"overloaded_error","param":"p","code":"c"}}\n\n'
    expected = dict.fromkeys(RAW_TEXT) | dict.fromkeys(("openai", "ylokh"), b"data: {" + error)
    expected["openai-responses"] = b'event: error\ndata: {"type":"error","sequence_number":0,' + error
    expected["anthropic"] = (
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"},"request_id":null}\n\n'
    )
    expected["gemini"] = b'data: {"error":{"code":529,"message":"busy","status":"UNAVAILABLE"}}\r\n\r\n'
    expected["ollama"] = b'{"error":"busy"}\n'
    events = {name: codec.stream_encoder(RelayedCall([]), META).fail(failure) for name, codec in CODEC.items()}
    assert events == expected


# --- errors ---------------------------------------------------------------------------------------------------------

QUOTA = {"error": {"message": "used up", "type": "insufficient_quota", "code": "insufficient_quota", "param": None}}
FAILURES: list[tuple[Exception, int, str, dict[str, str]]] = [
    (errors.InvalidRequestError("m", argument="seed"), 400, "invalid_request_error", {}),
    (errors.UnsupportedOptionError("m", argument="seed"), 400, "invalid_request_error", {}),
    (errors.ConfigurationError("weights are missing"), 500, "server_error", {"x-should-retry": "false"}),
    (errors.AuthenticationError("m", status_code=401), 401, "authentication_error", {}),
    (errors.APIStatusError("m", status_code=402), 402, "invalid_request_error", {}),
    (errors.APIStatusError("m", status_code=413, request_id="req_9"), 413, "invalid_request_error", {}),
    (errors.APIStatusError("m", status_code=413, request_id="a\r\nb: c"), 413, "invalid_request_error", {}),
    (errors.PermissionDeniedError("m", status_code=403), 403, "permission_error", {}),
    (errors.NotFoundError("m", status_code=404), 404, "not_found_error", {}),
    (errors.ConflictError("m", status_code=409), 409, "invalid_request_error", {}),
    (errors.UnprocessableEntityError("m", status_code=422), 422, "invalid_request_error", {}),
    (errors.RateLimitError("m", status_code=429, retry_after=7), 429, "rate_limit_error", {"retry-after": "7"}),
    (
        errors.RateLimitError("m", status_code=429, retry_after=0.25),
        429,
        "rate_limit_error",
        {"retry-after": "1", "retry-after-ms": "250"},
    ),
    (
        errors.RateLimitError("m", status_code=429, body=QUOTA, retryable=False),
        429,
        "insufficient_quota",
        {"x-should-retry": "false"},
    ),
    (errors.AccessBlockedError("m", status_code=200), 429, "rate_limit_error", {"x-should-retry": "false"}),
    (errors.InternalServerError("m", status_code=500), 500, "server_error", {}),
    (errors.InternalServerError("m", status_code=503), 503, "server_error", {}),
    (errors.OverloadedError("m", status_code=529), 529, "overloaded_error", {}),
    (errors.APIStatusError("redirect", status_code=301), 502, "server_error", {"x-should-retry": "false"}),
    (errors.APITimeoutError("m"), 504, "server_error", {}),
    (errors.APIConnectionError("m"), 502, "server_error", {}),
    (errors.StreamInterruptedError("m"), 502, "server_error", {}),
    (errors.APIResponseError("m"), 502, "server_error", {"x-should-retry": "false"}),
    (errors.APIError("m"), 502, "server_error", {}),
    (KeyError("secret"), 500, "server_error", {}),
]


ANTHROPICS_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


GOOGLES_CODES = {
    *("INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND", "RESOURCE_EXHAUSTED"),
    *("INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED"),
}


def test_every_error_has_a_status_and_a_type(subtests: pytest.Subtests) -> None:
    for error, status, error_type, headers in FAILURES:
        with subtests.test(repr(error)):
            failure = Failure.from_error(error)
            assert (failure.status, failure.error_type, dict(failure.headers)) == (status, error_type, headers)
            assert "secret" not in failure.message
            for codec in SERVER_CODECS:
                body = json.loads(codec.encode_error(failure))
                if codec.name in RAW_TEXT:
                    assert body == {"code": status, "message": failure.message}
                elif codec.name == "anthropic":
                    default = "api_error" if status >= 500 else "invalid_request_error"
                    body_error = {"type": ANTHROPICS_TYPES.get(status, default), "message": failure.message}
                    assert body == {"type": "error", "error": body_error, "request_id": failure.request_id}
                elif codec.name == "ollama":
                    assert body == {"error": failure.message}
                elif codec.name == "gemini":
                    assert (body["error"]["code"], body["error"]["message"]) == (status, failure.message)
                    assert body["error"]["status"] in GOOGLES_CODES
                else:
                    assert body == {
                        "error": {
                            "message": failure.message,
                            "type": error_type,
                            "param": failure.param,
                            "code": failure.code,
                        }
                    }


def test_the_providers_id_of_the_request_is_named_where_a_header_can_carry_it() -> None:
    for given, named in (("req_9", "req_9"), ("a\r\nb: c", None), ("", None), (None, None), ("é", None)):
        assert Failure.from_error(errors.RateLimitError("m", status_code=429, request_id=given)).request_id == named


def test_every_error_class_of_the_library_has_a_failure() -> None:
    for name in errors.__all__:
        class_ = getattr(errors, name)
        if isinstance(class_, type) and issubclass(class_, errors.LLMClientError):
            assert Failure.from_error(class_("m")).status in (400, 429, 500, 502, 504)
