"""A `requests.Session` or `httpx.AsyncClient` of the caller: used as it is, never redirected, left open; and mocks of it."""

from __future__ import annotations

import asyncio
import gzip
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import httpx_aiohttp
import pytest
import requests
import responses

from llmclients import Client
from llmclients.errors import (
    APIConnectionError,
    APIResponseError,
    LLMClientError,
    StreamInterruptedError,
)
from llmclients.testing.fault_server import CHUNKED_HEAD, END, HOLD, FaultServer, Script, chunked, http
from llmclients.transports.base import TransportSettings
from llmclients.transports.httpx.transport import HttpxTransport
from llmclients.transports.requests.transport import RequestsTransport

from .helpers import OPEN_BODY, at_once
from .sides import ASYNC, PATIENCE, SYNC, Outcome, post

URL = "http://mock.example/chat"
# No TLS: to load the authorities takes longer than the exchange.
PLAIN: dict[str, Any] = {"trust_env": False, "verify": False}
CLIENTS = [httpx.AsyncClient, httpx_aiohttp.HttpxAiohttpClient]


# --- requests -------------------------------------------------------------------------------------------------------


def test_a_session_brings_its_headers_and_authentication() -> None:
    with FaultServer([http(body=b"hello")]) as server, requests.Session() as session:
        session.trust_env = False
        session.headers["X-User"] = "1"
        session.headers["User-Agent"] = "user"
        session.auth = ("me", "secret")
        [outcome] = SYNC.run(post(server.url), user_session=session)
        assert outcome.body == b"hello"
        head = server.requests[0].decode()
        assert "X-User: 1" in head
        assert "User-Agent: user" in head
        assert "Authorization: Basic" in head
        assert "Accept-Encoding: identity" in head
        assert session.get(server.url).text == "hello", "left open"


def test_a_session_as_it_comes_says_who_we_are() -> None:
    with FaultServer([http()]) as server, requests.Session() as session:
        session.trust_env = False
        SYNC.run(post(server.url), user_session=session)
        assert b"User-Agent: llmclients/" in server.requests[0]


def test_the_key_that_a_client_was_given_stays_with_a_session_of_the_callers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password other", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    reply = http(body=b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}')
    with FaultServer([reply]) as fault_server, requests.Session() as session:
        with Client("openai/m", base_url=fault_server.url, api_key="sk-given-key", transport=session) as client:
            assert client.chat("Hi").text == "Hi"

        assert dict(fault_server.received[0][0].headers)["authorization"] == "Bearer sk-given-key"


def test_a_session_does_not_follow_redirects() -> None:
    with (
        FaultServer([http("307 Elsewhere", [("Location", "/other")], b"moved")]) as server,
        requests.Session() as session,
    ):
        [outcome] = SYNC.run(post(server.url), user_session=session)
        assert (outcome.status, outcome.body, len(server.requests)) == (307, b"moved", 1)


@pytest.mark.parametrize(
    ("script", "body", "error"),
    [
        ([CHUNKED_HEAD + chunked(b"hel", b"lo")], b"hello", None),
        ([CHUNKED_HEAD + b"a\r\nhello", END], b"hello", StreamInterruptedError),
        ([END], b"", APIConnectionError),
    ],
)
def test_a_session_sees_the_same_faults(script: list[Any], body: bytes, error: type[LLMClientError] | None) -> None:
    with FaultServer(script) as server, requests.Session() as session:
        [outcome] = SYNC.run(post(server.url), user_session=session)
        assert outcome.body == body
        assert type(outcome.error) is (error or type(None))


def test_a_hook_that_reads_the_body() -> None:
    with FaultServer([http(headers=[("Content-Encoding", "gzip")], body=gzip.compress(b"hello"))]) as server:
        with requests.Session() as session:
            session.hooks["response"].append(lambda response, **_: response.content and None)
            [outcome] = SYNC.run(post(server.url), user_session=session)
            assert outcome.body == b"hello"

        async def hook(response: httpx.Response) -> None:
            await response.aread()

        async def main() -> bytes:
            async with httpx.AsyncClient(event_hooks={"response": [hook]}, **PLAIN) as client:
                return (await ASYNC.outcomes((post(server.url),), user_session=client))[0].body

        assert asyncio.run(main()) == b"hello"


@pytest.mark.parametrize("with_session", [True, False])
def test_responses_mocks_it(with_session: bool) -> None:
    session = requests.Session() if with_session else None
    with responses.RequestsMock() as mock:
        mock.post(URL, body=b"data: 1\n\ndata: 2\n\n", headers={"X-Id": "7"}, content_type="text/event-stream")
        mock.post(URL, body=gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"})
        mock.post(URL, json={"error": 1}, status=429, headers={"Retry-After": "3"})
        mock.post(URL, body=requests.ConnectionError("no"))
        mock.post(URL, status=302, headers={"Location": "http://elsewhere.example/"})
        outcomes = SYNC.run(*[post(URL, b'{"a": 1}')] * 5, user_session=session)
        assert [call.request.body for call in mock.calls] == [b'{"a": 1}'] * 5
    assert [outcome.status for outcome in outcomes] == [200, 200, 429, None, 302]
    assert outcomes[0].body == b"data: 1\n\ndata: 2\n\n"
    assert outcomes[0].headers["x-id"] == "7"
    assert outcomes[1].body == b"hello"
    assert outcomes[2].headers["retry-after"] == "3"
    assert type(outcomes[3].error) is APIConnectionError
    if session is not None:
        session.close()


# --- httpx ----------------------------------------------------------------------------------------------------------


def run_client(client: httpx.AsyncClient, *urls: str, **options: Any) -> list[Outcome]:
    async def main() -> list[Outcome]:
        outcomes = await ASYNC.outcomes(tuple(post(url) for url in urls), user_session=client, **options)
        assert not client.is_closed, "left open"
        await client.aclose()
        return outcomes

    return asyncio.run(main())


def test_a_client_brings_its_headers_and_authentication() -> None:
    with FaultServer([http(body=b"hello")]) as server:
        client = httpx.AsyncClient(
            headers={"X-User": "1", "User-Agent": "user"}, auth=("me", "secret"), trust_env=False
        )
        [outcome] = run_client(client, server.url)
        assert outcome.body == b"hello"
        head = server.requests[0].decode().lower()
        assert "x-user: 1" in head
        assert "user-agent: user" in head
        assert "authorization: basic" in head
        assert "accept-encoding: identity" in head


def test_a_client_as_it_comes_says_who_we_are_and_does_not_follow_redirects() -> None:
    with FaultServer([http("307 Elsewhere", [("Location", "/other")], b"moved")]) as server:
        [outcome] = run_client(httpx.AsyncClient(follow_redirects=True, **PLAIN), server.url)
        assert (outcome.status, outcome.body, len(server.requests)) == (307, b"moved", 1)
        assert b"llmclients/" in server.requests[0]


@pytest.mark.parametrize("make", CLIENTS)
@pytest.mark.parametrize(
    ("script", "body", "error"),
    [
        ([CHUNKED_HEAD + chunked(b"hel", b"lo")], b"hello", None),
        ([CHUNKED_HEAD + b"a\r\nhello", END], b"hello", StreamInterruptedError),
        ([END], b"", APIConnectionError),
        ([b"SSH-2.0\r\n\r\n", END], b"", LLMClientError),
        ([http(headers=[("Content-Encoding", "br")], body=b"x")], b"", APIResponseError),
    ],
)
def test_a_client_sees_the_same_faults(
    make: type[httpx.AsyncClient], script: list[Any], body: bytes, error: type[LLMClientError] | None
) -> None:
    with FaultServer(script) as server:
        [outcome] = run_client(make(**PLAIN), server.url)
        assert outcome.body == body
        assert isinstance(outcome.error, error or type(None))
        assert server.wait_for(0)


def test_a_deadline_ends_a_silence_whoever_s_connections_they_are() -> None:
    def over_session(script: Script) -> Outcome:
        with FaultServer(script) as server, requests.Session() as session:
            return SYNC.run(post(server.url), user_session=session, within=0.2)[0]

    def over_client(script: Script, make: type[httpx.AsyncClient]) -> Outcome:
        with FaultServer(script) as server:
            [outcome] = run_client(make(**PLAIN), server.url, within=0.2)
            assert server.wait_for(0)
            return outcome

    outcomes = at_once(
        partial(over_session, [HOLD]),
        partial(over_session, OPEN_BODY),
        *(partial(over_client, [HOLD], make) for make in CLIENTS),
        *(partial(over_client, OPEN_BODY, make) for make in CLIENTS),
    )
    assert [outcome.body for outcome in outcomes] == [b"", b"hello", b"", b"", b"hello", b"hello"]
    assert [getattr(outcome.error, "phase", None) for outcome in outcomes] == ["total"] * 6


@pytest.mark.parametrize("make", CLIENTS)
def test_leaving_a_clients_stream_frees_its_connection(make: type[httpx.AsyncClient]) -> None:
    async def main() -> None:
        async with make(**PLAIN) as client:
            transport = HttpxTransport(TransportSettings(), client)
            for leave in ("close", "abort", "drop", "cancel"):
                response: Any = await transport.open(post(server.url), PATIENCE, None)
                assert await response.read() == b"hello"
                if leave == "close":
                    await response.close()
                elif leave == "abort":
                    response.abort()
                elif leave == "cancel":
                    with pytest.raises(asyncio.TimeoutError):
                        await asyncio.wait_for(response.read(), 0.02)
                del response
                await asyncio.sleep(0.03)
                assert server.wait_for(0), leave

    with FaultServer(OPEN_BODY) as server:
        asyncio.run(main())


def test_httpx_mock_transport() -> None:
    async def pieces() -> Any:
        yield b"data: 1\n\n"
        yield b"data: 2\n\n"

    async def broken() -> Any:
        yield b"data: 1\n\n"
        raise httpx.ReadError("cut")

    answers: list[Any] = [
        httpx.Response(200, content=b"hello", headers={"X-Id": "7"}),
        httpx.Response(200, content=pieces()),
        httpx.Response(200, content=broken()),
        httpx.Response(429, json={"error": 1}, headers={"Retry-After": "3"}),
        httpx.ConnectError("no"),
        httpx.ReadTimeout("slow"),
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        found = answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return]

    outcomes = run_client(httpx.AsyncClient(transport=httpx.MockTransport(answer)), *[URL] * 6)
    assert [outcome.status for outcome in outcomes] == [200, 200, 200, 429, None, None]
    assert outcomes[0].body == b"hello"
    assert outcomes[0].headers["x-id"] == "7"
    assert outcomes[1].pieces == [b"data: 1\n\n", b"data: 2\n\n"]
    assert outcomes[2].pieces == [b"data: 1\n\n"]
    assert type(outcomes[2].error) is StreamInterruptedError
    assert type(outcomes[4].error) is APIConnectionError
    assert outcomes[5].error.phase == "read"


def test_a_deadline_bounds_a_dripping_body_whoever_s_connections_they_are() -> None:
    drip: list[Any] = [step for _ in range(250) for step in (b"1\r\nx\r\n", 0.02)]

    def over_session() -> Outcome:
        with requests.Session() as session:
            return SYNC.run(post(server.url), user_session=session, within=0.2)[0]

    def over_client() -> Outcome:
        return run_client(httpx.AsyncClient(**PLAIN), server.url, within=0.2)[0]

    with FaultServer([CHUNKED_HEAD, *drip, HOLD]) as server:
        for outcome in at_once(over_session, over_client):
            assert getattr(outcome.error, "phase", None) == "total"
            assert outcome.seconds < 3


def test_what_is_a_requests_transport() -> None:
    with requests.Session() as session:
        RequestsTransport(TransportSettings(), session).close()
        session.mount("http://", requests.adapters.HTTPAdapter())
