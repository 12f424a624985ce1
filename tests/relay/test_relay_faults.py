"""The relay over real sockets when something goes wrong: upstream, in a request, in the relay itself."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
from relaytools import (
    BODY,
    DONE,
    PATH,
    PREFIX,
    PROVIDERS,
    RAW_TEXT,
    WIRES,
    client_of,
    delta,
    end,
    error_message,
    event,
    post,
    raw_post,
    relay_over,
)

from llmclients import Client, errors
from llmclients.transports.mock import ConnectFault, Cut, Delay, MockTransport, Reply


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A relay over a provider that always says the same."""
    with relay_over() as (relay, _):
        yield relay.url


class Script:
    """What the provider behind the relay answers, until the next test says otherwise: starting a relay takes a while."""

    reply: Any = None

    def __call__(self, request: Any) -> Any:
        return self.reply


@pytest.fixture(scope="module")
def _scripted() -> Iterator[tuple[str, MockTransport, Script]]:
    script = Script()
    with relay_over(script) as (relay, mock):
        yield relay.url, mock, script


@pytest.fixture
def scripted(_scripted: Any) -> Any:
    _scripted[1].requests.clear()
    return _scripted


# --- failures ---------------------------------------------------------------------------------------------------------

UPSTREAM_FAILURES: list[tuple[Any, int, dict[str, str]]] = [
    *(
        (Reply(status, json={"error": {"message": "no", "type": "t"}}), status, {})
        for status in (400, 401, 403, 404, 409, 422)
    ),
    (Reply(429, headers={"retry-after": "7"}), 429, {"retry-after": "7"}),
    (Reply(429, body='{"error": {"code": "insufficient_quota"}}'), 429, {"x-should-retry": "false"}),
    (Reply(500), 500, {}),
    (Reply(503, headers={"retry-after-ms": "1500"}), 503, {"retry-after": "2", "retry-after-ms": "1500"}),
    (Reply(529), 529, {}),
    (Reply(302, headers={"location": "http://elsewhere/"}), 502, {}),
    (ConnectFault(), 502, {}),
    (Reply(wait=500), 504, {}),
    (Reply(body="nonsense"), 502, {}),
    (Reply(chunks=[Cut()]), 502, {}),
    (Reply(chunks=[event({"error": {"message": "early", "type": "rate_limit_error"}})]), 429, {}),
]


@pytest.mark.parametrize("provider", WIRES)
def test_an_upstream_failure_before_the_answer_is_a_status(
    scripted: Any, provider: str, subtests: pytest.Subtests
) -> None:
    for fault, status, headers in UPSTREAM_FAILURES:
        with subtests.test(repr(fault)):
            url, mock, script = scripted
            script.reply = fault
            answer = post(url, provider)
            assert answer.status == status
            assert answer.headers["content-type"] == "application/json"
            assert headers.items() <= answer.headers.items()
            message = error_message(answer)
            assert "openai (upstream)" in message
            assert "upstream-key" not in message
            assert mock.open_exchanges == 0


@pytest.mark.parametrize("provider", PROVIDERS)
def test_clients_meet_the_providers_errors(scripted: Any, provider: str) -> None:
    url, _, script = scripted
    script.reply = Reply(429, headers={"retry-after": "7"})
    with Client(**client_of(url, provider)) as client, pytest.raises(errors.RateLimitError) as caught:
        client.chat("Hi")
    assert caught.value.retry_after == 7


BREAKS = [
    Reply(chunks=[delta("Hel"), Cut()]),
    Reply(chunks=[delta("Hel")]),
    Reply(chunks=[delta("Hel"), end()]),
    Reply(chunks=[delta("Hel"), event({"error": {"message": "died"}})]),
    Reply(chunks=[delta("Hel"), b"data: nonsense\n\n"]),
    Reply(chunks=[delta("Hel"), Delay(500)]),
]


ENDS = {
    "anthropic": b"event: message_stop",
    "openai-responses": b"event: response.completed",
    "gemini": b'"finishReason"',
    "ollama": b'"done":true',
}


@pytest.mark.parametrize("provider", WIRES)
def test_an_answer_that_breaks_off_never_looks_complete(
    scripted: Any, provider: str, subtests: pytest.Subtests
) -> None:
    for broken in BREAKS:
        with subtests.test(repr(broken)):
            url, mock, script = scripted
            script.reply = broken
            data = raw_post(url, PREFIX[provider] + PATH[provider], BODY[provider])
            if provider in RAW_TEXT:
                assert data.endswith(b"3\r\nHel\r\n")  # and no last chunk
            else:
                assert data.endswith(b"\n\r\n0\r\n\r\n")
                line = [line for line in data.split(b"\n") if b"{" in line][-1]
                last = json.loads(line[line.index(b"{") :])
                error = last["error"]
                assert (error if provider == "ollama" else error["message"]).startswith("openai (upstream): ")
                assert ENDS.get(provider, b"\ndata: [DONE]") not in data
                assert b'"finish_reason":"' not in data
                assert b'"stop_reason":"' not in data
                assert b'"status":"completed"' not in data
            assert mock.open_exchanges == 0
            if provider in PROVIDERS:
                _the_librarys_own_client_notices(url, provider)


@pytest.mark.parametrize("wire", ["yqcloud", "openai"])
@pytest.mark.parametrize("version", ["1.0", "0.9"])
def test_a_client_of_http_1_0_notices_as_well(scripted: Any, wire: str, version: str) -> None:
    url, _, script = scripted
    body = json.dumps(BODY[wire])
    head = f"POST {PREFIX[wire]}{PATH[wire]} HTTP/{version}\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for reply, is_whole in ((Reply(chunks=[delta("Hel"), end(), DONE]), True), (BREAKS[0], wire != "yqcloud")):
        script.reply = reply
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=5) as connection:
            connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            data = b""
            with nullcontext() if is_whole else pytest.raises(ConnectionResetError):  # there are no chunks to miss
                while piece := connection.recv(65536):
                    data += piece
            answer = data.partition(b"\r\n\r\n")[2]
            assert b"Hel" in answer
            assert answer.startswith(b"Hel" if wire == "yqcloud" else b"data: "), "it knows no chunks"


def _the_librarys_own_client_notices(url: str, provider: str) -> None:
    with Client(**client_of(url, provider)) as client:
        stream = client.stream("Hi")
        with pytest.raises(errors.APIError) as caught:
            list(stream)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "Hel"


@pytest.mark.parametrize("provider", RAW_TEXT)
def test_raw_text_cannot_carry_an_empty_or_failed_answer(provider: str) -> None:
    with relay_over([Reply(chunks=[end(), DONE]), Reply(chunks=[delta("Hel"), end("abort"), DONE])]) as (relay, _):
        assert post(relay.url, provider).status == 502
        assert raw_post(relay.url, PREFIX[provider] + PATH[provider], BODY[provider]).endswith(b"3\r\nHel\r\n")


def test_chat_completions_carry_every_finish_reason() -> None:
    reasons = ("stop", "length", "content_filter", "tool_calls")
    with relay_over([Reply(chunks=[delta("x"), end(reason), DONE]) for reason in reasons]) as (relay, _):
        for reason in reasons:
            assert f'"finish_reason":"{reason}"'.encode() in post(relay.url, "openai").body


MALFORMED: list[bytes] = [b"", b"{", b"[]", b"null", b"{}", b'{"messages": 5, "prompt": 5, "input": 5}']


@pytest.mark.parametrize("provider", WIRES)
def test_a_malformed_request_is_a_400(url: str, provider: str, subtests: pytest.Subtests) -> None:
    for body in MALFORMED:
        with subtests.test(repr(body)):
            answer = post(url, provider, body)
            assert answer.status == 400
            assert error_message(answer)
            if provider not in (*RAW_TEXT, "gemini", "ollama"):
                assert answer.json["error"]["type"] == "invalid_request_error"


def test_a_fault_of_the_relay_itself_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def explode(request: Any) -> Reply:
        raise KeyError("a secret")

    with relay_over(explode) as (relay, _):
        answer = post(relay.url, "openai")
    assert answer.status == 500
    assert b"secret" not in answer.body
    assert "a secret" in caplog.text
