"""Who may use the relay, clients that leave, starting and stopping, and where it listens."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from relaytools import (
    BODY,
    GOOD_STREAM,
    PATH,
    PREFIX,
    PROVIDERS,
    WIRES,
    SlowProvider,
    client_of,
    open_post,
    post,
    raw_post,
    relay_over,
    send,
    upstream_client,
)

from llmclients import AsyncClient, Client, errors
from llmclients.relay import RelayServer, create_app, serve
from llmclients.transports.mock import MockTransport, Reply


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A relay over a provider that always says the same."""
    with relay_over() as (relay, _):
        yield relay.url


# --- access -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", WIRES)
def test_with_a_key_set_every_wire_needs_it(provider: str) -> None:
    with relay_over(api_key="sesame") as (relay, mock):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic sesame"}, {"x-api-key": "é"}):
            answer = post(relay.url, provider, headers=headers)
            assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert not mock.requests
        assert post(relay.url, provider, headers={"Authorization": "bearer sesame"}).status == 200
        assert post(relay.url, provider, headers={"X-API-Key": "sesame"}).status == 200
        assert send(relay.url, "/v1/models", method="GET").status == 401


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_librarys_clients_give_the_key_as_a_header(provider: str) -> None:
    with relay_over(api_key="sesame") as (relay, _):
        with Client(**client_of(relay.url, provider, headers={"Authorization": "Bearer sesame"})) as client:
            assert client.chat("Hi").text == "Hello 😀"
        with Client(**client_of(relay.url, provider)) as client, pytest.raises(errors.AuthenticationError):
            client.chat("Hi")


def test_without_a_key_only_loopback_names_are_answered(url: str) -> None:
    for host in ("evil.example", "evil.example:80", "10.0.0.1", "127.0.0.1.evil.example"):
        assert send(url, "/v1/models", method="GET", headers={"Host": host}).status == 403
    for host in ("localhost", "127.0.0.1:80", "[::1]:80"):
        assert send(url, "/v1/models", method="GET", headers={"Host": host}).status == 200
    with relay_over(api_key="k") as (relay, _):
        headers = {"Host": "relay.example", "Authorization": "Bearer k"}
        assert send(relay.url, "/v1/models", method="GET", headers=headers).status == 200


def test_what_a_web_page_may_send_unasked_is_rejected(url: str) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        assert (
            post(url, "openai", headers={"Content-Type": content_type, "Origin": "https://evil.example"}).status == 415
        )
    assert send(url, "/v1/chat/completions", method="OPTIONS").status == 405
    assert post(url, "openai", headers={"Content-Type": "application/json; charset=utf-8"}).status == 200


def test_a_compressed_body_is_read_within_the_limit_and_any_other_encoding_is_rejected_in_words(url: str) -> None:
    body = json.dumps(BODY["openai"]).encode()
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "identity": [body],
        "gzip": [gzip.compress(body), gzip.compress(body[:9]) + gzip.compress(body[9:])],
        "x-gzip": [gzip.compress(body)],
        "Deflate": [zlib.compress(body), raw.compress(body) + raw.flush()],
    }
    for encoding, bodies in packed.items():
        for one in bodies:
            assert post(url, "openai", one, {"Content-Encoding": encoding}).status == 200, encoding
    for encoding in ("br", "zstd", "identity, gzip"):
        answer = post(url, "openai", headers={"Content-Encoding": encoding})
        assert (answer.status, answer.headers["accept-encoding"]) == (415, "gzip, deflate"), encoding
        assert "gzip or deflate" in answer.json["error"]["message"]
    for broken in (body, gzip.compress(body)[:-9], b"\x1f\x8b"):
        answer = post(url, "openai", broken, {"Content-Encoding": "gzip"})
        assert (answer.status, "Content-Encoding" in answer.json["error"]["message"]) == (400, True)
    began = time.process_time()
    parts = gzip.compress(b"") * 100_000
    assert post(url, "openai", parts, {"Content-Encoding": "gzip"}).status == 400  # there is no text in them
    assert time.process_time() - began < 2  # it was the square of their number
    with relay_over(max_request_bytes=1000) as (relay, mock):
        bomb = gzip.compress(b" " * 1_000_000 + body, 9)
        assert len(bomb) > 1000
        assert post(relay.url, "openai", bomb, {"Content-Encoding": "gzip"}).status == 413
        answer = post(relay.url, "openai", gzip.compress(b" " * 2000 + body), {"Content-Encoding": "gzip"})
        assert (answer.status, "unpacked" in answer.json["error"]["message"], mock.requests) == (413, True, [])


def test_a_request_may_not_be_endless() -> None:
    with relay_over(max_request_bytes=1000) as (relay, mock):
        answer = post(relay.url, "openai", {"messages": [{"role": "user", "content": "x" * 300_000}]})
        assert (answer.status, answer.json["error"]["message"]) == (413, "the request is longer than 1000 bytes")
        assert not mock.requests
        for size, status in ((1000, 200), (1001, 413)):
            assert post(relay.url, "openai", json.dumps(BODY["openai"]).encode().ljust(size)).status == status


UNKNOWN = [
    ("POST", "/nowhere", 404, "A base_url ends with one of /ylokh, "),
    ("POST", "/v1/models", 405, "/v1/models is asked with GET"),
    ("GET", "/anthropic/v1/messages/", 405, "/anthropic/v1/messages is asked with POST"),
    ("POST", "/chat/completions", 404, "POST /openai/v1/chat/completions, POST /v1/chat/completions"),
    ("POST", "/openai/chat/completions", 404, "/openai/v1/chat/completions"),
    ("POST", "/v1/chat/completion", 404, "did you mean /v1/chat/completions?"),
    ("GET", "/v1/v1/models", 404, "GET /openai/v1/models"),
    ("POST", "/openai/v1/nothing", 404, "POST /openai/v1/embeddings"),
    ("GET", "/v1/responses/resp_1", 404, "the relay keeps nothing"),
    ("POST", "/openai/v1/audio/speech", 404, "images and sounds go in messages"),
    ("POST", "/openai/deployments/gpt/chat/completions", 404, "/openai/v1"),
    ("POST", "/anthropic/v1/files", 404, "no files"),
    ("POST", "/ollama/api/pull", 404, "GET /ollama/api/tags"),
    ("POST", "/v1beta/models/m:embedContent", 405, "there is no POST /v1beta/models/m:embedContent"),
]


def test_unknown_paths_and_methods_say_what_there_is_instead(url: str) -> None:
    for method, path, status, message in UNKNOWN:
        answer = send(url, path, {}, method=method)
        error = answer.json["error"]
        assert (answer.status, message in (error if isinstance(error, str) else error["message"])) == (
            status,
            True,
        ), (path, error)
        assert ("request_id" in answer.json) is path.startswith("/anthropic")
        assert isinstance(error, str) is path.startswith("/ollama")


def test_a_slash_more_is_the_same_address(url: str) -> None:
    for path in ("/v1/chat/completions/", "//v1//chat/completions", "/openai/v1/chat/completions//"):
        assert send(url, path, BODY["openai"]).status == 200
    assert send(url, "/v1/models/", method="GET").json == send(url, "/v1/models", method="GET").json


# --- clients that disconnect ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("wire", ["openai", "yqcloud", "anthropic", "openai-responses"])
def test_a_client_that_leaves_ends_the_upstream_call_at_once(wire: str, stream: bool, begun: bool) -> None:
    with (
        SlowProvider(first=begun) as upstream,
        RelayServer(AsyncClient("openai/m", base_url=upstream.base_url, api_key="k", trust_env=False)) as relay,
    ):
        connection = open_post(relay.url, PREFIX[wire] + PATH[wire], {**BODY[wire], "stream": stream})
        assert upstream.asked.wait(5)
        if begun and stream:
            upstream.go()
            while b"w1" not in connection.recv(65536):
                pass
        assert not upstream.left.is_set()
        connection.close()
        assert upstream.left.wait(1)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_stream_that_is_left_early_ends_the_upstream_call(provider: str) -> None:
    with (
        SlowProvider() as upstream,
        RelayServer(AsyncClient("openai/m", base_url=upstream.base_url, api_key="k", trust_env=False)) as relay,
        Client(**client_of(relay.url, provider)) as client,
    ):
        upstream.go()
        with client.stream("Hi") as stream:
            while not str(next(stream)):
                pass
        assert upstream.left.wait(1)


def test_stopping_takes_less_than_a_second_and_leaves_nothing_behind() -> None:
    before = set(threading.enumerate())
    with SlowProvider() as upstream:
        relay = RelayServer(AsyncClient("openai/m", base_url=upstream.base_url, api_key="k", trust_env=False)).start()
        url = relay.url
        with open_post(url, "/yqcloud/api/generateStream", BODY["yqcloud"]) as connection:
            upstream.go()
            while b"w1" not in connection.recv(65536):
                pass
            start = time.monotonic()
            relay.stop()
            assert time.monotonic() - start < 1
            assert upstream.left.wait(1)
            assert connection.recv(65536) == b""  # cut, not ended
    relay.stop()
    deadline = time.monotonic() + 1  # a thread that looked up a name ends by itself, a moment later
    while set(threading.enumerate()) - before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not set(threading.enumerate()) - before
    with pytest.raises(errors.LLMClientError, match="not running"):
        relay.url  # noqa: B018
    with pytest.raises(ConnectionRefusedError):
        raw_post(url, "/", {})


def test_a_relay_can_be_started_again_but_not_twice() -> None:
    relay = RelayServer("yqcloud")
    for _ in range(2):
        with relay:
            assert send(relay.url, "/v1/models", method="GET").json["data"][0]["id"] == "gpt-4"
            with pytest.raises(errors.LLMClientError, match="already"):
                relay.start()


def test_a_client_that_was_brought_stays_open() -> None:
    mock = MockTransport(lambda request: Reply(chunks=GOOD_STREAM))
    client = upstream_client(mock)
    with RelayServer(client) as relay:
        assert post(relay.url, "yqcloud").status == 200
    assert asyncio.run(_stream_text(client)) == "Hello 😀"


async def _stream_text(client: AsyncClient) -> str:
    return "".join([str(chunk) async for chunk in client.stream("Hi")])


def test_connections_are_kept_alive(url: str) -> None:
    with open_post(url, "/yqcloud/api/generateStream", BODY["yqcloud"]) as connection:
        assert connection.recv(65536)
    address = url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=5) as connection:
        for _ in range(3):
            connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
            data = b""
            while b"up-2" not in data:
                data += connection.recv(65536)


# --- where it listens -------------------------------------------------------------------------------------------------


def test_it_does_not_listen_beyond_loopback_without_a_key(subtests: pytest.Subtests) -> None:
    for host in ("0.0.0.0", "::", "", "192.0.2.1", "relay.example"):
        with subtests.test(host):
            for make in (RelayServer, serve):
                with pytest.raises(errors.ConfigurationError, match="api_key") as caught:
                    make("yqcloud", host=host)
                assert caught.value.argument == "host"


def test_it_listens_everywhere_with_a_key() -> None:
    with relay_over(host="0.0.0.0", api_key="k") as (relay, _):
        port = relay.url.rpartition(":")[2]
        headers = {"Authorization": "Bearer k"}
        assert send(f"http://127.0.0.1:{port}", "/v1/models", method="GET", headers=headers).status == 200


def test_it_listens_on_localhost() -> None:
    with relay_over(host="localhost") as (relay, _):
        assert relay.url.startswith("http://localhost:")
        assert post(relay.url, "openai").status == 200


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_here_is_a_configuration_error(host: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="cannot listen"):
        RelayServer("yqcloud", host=host, api_key="k").start()


def test_a_port_that_is_taken_is_a_configuration_error(url: str) -> None:
    port = int(url.rpartition(":")[2])
    for make in (lambda: RelayServer("yqcloud", port=port).start(), lambda: serve("yqcloud", port=port)):
        with pytest.raises(errors.ConfigurationError, match="cannot listen on"):
            make()
    with pytest.raises(errors.ConfigurationError, match="cannot listen on"):
        RelayServer("yqcloud", port=70000).start()


def test_a_relay_that_cannot_work_is_not_made(subtests: pytest.Subtests) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"client": "nope"}, "provider"),
        ({"api_key": ""}, "api_key"),
        ({"api_key": "clé"}, "api_key"),
        ({"defaults": {"max_tokens": 0}}, "defaults"),
        ({"defaults": {"max_tokens": 5}, "client": "yqcloud"}, "defaults"),
        ({"defaults": {"surprise": 5}}, "defaults"),
        ({"defaults": {"model": "m"}}, "defaults"),
        ({"defaults": {"self": 1}}, "defaults"),
        ({"defaults": 3}, "defaults"),
        ({"max_request_bytes": 0}, "max_request_bytes"),
        ({"max_request_bytes": "1000"}, "max_request_bytes"),
    ]
    for arguments, argument in cases:
        with subtests.test(repr(arguments)):
            with pytest.raises(errors.ConfigurationError) as caught:
                create_app(**arguments)
            assert caught.value.argument == argument


@pytest.mark.parametrize("arguments", [{"port": "80"}, {"port": True}, {"host": b"127.0.0.1"}])
def test_an_address_of_another_type_is_refused_by_its_name(arguments: dict[str, Any]) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        RelayServer(**arguments)
    assert caught.value.argument in arguments
