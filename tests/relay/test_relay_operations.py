"""What an operator sees of a relay, and what web pages may do: health, metrics, the log, CORS, TLS."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import pytest
import trustme
from relaytools import GOOD_REPLY, HI, delta, post, relay_over, send, upstream_client

from llmclients import Client, errors
from llmclients.relay import ConnectionLimits, RelayConfig, RelayServer, create_app
from llmclients.relay.log import log_on_stderr
from llmclients.relay.metrics import Metrics
from llmclients.relay.records import RequestRecord
from llmclients.transports.mock import Cut, Reply
from llmclients.types.usage import Usage

PROMPT = "the prompt that nobody else may read"


def metrics(url: str, **headers: str) -> dict[str, float]:
    answer = send(url, "/metrics", headers=headers, method="GET")
    assert answer.status == 200, answer.raw
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = [line for line in answer.raw.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


# --- health and metrics -----------------------------------------------------------------------------------------------


def test_health_needs_no_key_and_metrics_need_theirs() -> None:
    with RelayServer(upstream_client(), api_key="sesame") as relay:
        for path in ("/healthz", "/readyz"):
            assert send(relay.url, path, method="GET").raw == b"ok\n"
        assert send(relay.url, "/metrics", method="GET").status == 401
        assert metrics(relay.url, Authorization="Bearer sesame")
    several: dict[str, Any] = {"default": "yqcloud", "keys": {"alice": {"key": "a-sesame"}}}
    with RelayServer(RelayConfig.from_dict({**several, "server": {"metrics_key": "for-metrics"}})) as relay:
        assert send(relay.url, "/metrics", headers={"x-api-key": "a-sesame"}, method="GET").status == 401
        assert metrics(relay.url, **{"x-api-key": "for-metrics"})
    with relay_over() as (relay, _):
        assert send(relay.url, "/metrics", headers={"Host": "elsewhere.example"}, method="GET").status == 403


def test_metrics_count_requests_tokens_and_times_and_no_label_is_a_clients_choice() -> None:
    def answer(request: Any) -> Reply:
        return Reply(404) if b"invented" in request.body else Reply(json=GOOD_REPLY)

    with relay_over(answer) as (relay, _):
        for model in ("up-1", "up-1", *(f"invented-{number}" for number in range(5))):
            post(relay.url, "openai", {"model": model, "messages": HI})
        send(relay.url, '/nowhere"%0a{}', method="GET")
        found = metrics(relay.url)
    prefix = "llmclients_relay_"
    assert found[prefix + 'requests_total{model="up-1",status="200",wire="openai"}'] == 2
    assert found[prefix + 'requests_total{model="other",status="404",wire="openai"}'] == 5
    assert found[prefix + 'requests_total{model="",status="404",wire="none"}'] == 1
    assert found[prefix + 'tokens_total{kind="input",model="up-1",wire="openai"}'] == 6
    assert found[prefix + 'tokens_total{kind="output",model="up-1",wire="openai"}'] == 4
    assert found[prefix + 'request_seconds_count{model="up-1",wire="openai"}'] == 2
    assert found[prefix + 'first_byte_seconds_count{model="up-1",wire="openai"}'] == 2
    assert (found[prefix + "open_streams"], found[prefix + "open_requests"]) == (0, 0)
    assert found["process_open_fds"] > 0
    assert not [name for name in found if "invented" in name or "nowhere" in name]


def test_only_the_first_models_that_are_answered_have_a_label() -> None:
    counted = Metrics(lambda: 0)
    for number in range(105):
        record = RequestRecord("POST", "/v1/chat/completions")
        record.wire, record.model, record.status, record.usage = "openai", f"m{number}", 200, Usage()
        counted.count(record, record.begun)

    async def shown() -> str:
        return counted.text().decode()

    counts = [line for line in asyncio.run(shown()).splitlines() if line.startswith("llmclients_relay_requests_total")]
    assert len(counts) == 101
    assert 'llmclients_relay_requests_total{model="other",status="200",wire="openai"} 5.0' in counts


# --- the log ----------------------------------------------------------------------------------------------------------


def lines_of(err: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in err.splitlines()]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_the_log_has_a_line_for_each_request_and_no_prompt_and_no_key(
    log_format: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    repeated = json.dumps({"error": {"message": f"bad prompt: {PROMPT} upstream-key"}})
    answers = {
        "good": Reply(json=GOOD_REPLY),
        "bad": Reply(400, body=repeated),
        "broken": Reply(chunks=[delta("Hel"), Cut()], headers={"content-type": "text/event-stream"}),
    }

    def answer(request: Any) -> Reply:
        return answers.get(json.loads(request.body)["model"], answers["good"])

    config = RelayConfig.from_dict({"default": "yqcloud", "keys": {"alice": {"key": "a-sesame"}}})
    logging.getLogger("llmclients.relay").setLevel(logging.INFO)
    with log_on_stderr(log_format):
        with relay_over(answer, api_key="sesame") as (relay, _):
            key = {"Authorization": "Bearer sesame"}
            for model in ("good", "bad", "broken"):
                body = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "stream": model == "broken"}
                post(relay.url, "openai", body, key)
            post(relay.url, "openai", {"messages": [{"role": PROMPT, "content": 5}]}, key)
            post(relay.url, "openai", {"messages": HI, "surprise": PROMPT}, key)
            post(relay.url, "openai", {"model": "evil\n{}\x1b[31m", "messages": HI}, key)
            post(relay.url, "openai", {"messages": HI}, {"Authorization": "Bearer another-key"})
            send(relay.url, "/v1/%0a%1b%5b31mforged", headers=key, method="GET")
        with RelayServer(config) as relay:
            post(relay.url, "yqcloud", {"prompt": PROMPT, "stream": "no"}, {"x-api-key": "a-sesame"})
    err = capsys.readouterr().err
    for secret in (PROMPT, "sesame", "upstream-key", "another-key", "\x1b", "a-sesame"):
        assert secret not in err
    assert len(err.splitlines()) == 9
    if log_format == "text":
        first = err.splitlines()[0]
        assert "POST /openai/v1/chat/completions openai good: HTTP 200, " in first
        assert first.endswith("3+2 tokens, by openai/up-1, complete")
        return
    entries = lines_of(err)
    assert [entry["status"] for entry in entries[:8]] == [200, 400, 200, 400, 400, 200, 401, 404]
    good, bad, broken = entries[:3]
    assert (
        good.items()
        >= {
            "method": "POST",
            "path": "/openai/v1/chat/completions",
            "wire": "openai",
            "model": "good",
            "answered_by": "openai/up-1",
            "input_tokens": 3,
            "output_tokens": 2,
            "outcome": "complete",
            "level": "info",
        }.items()
    )
    assert bad["error"] == "BadRequestError 400"
    assert (broken["error"], broken["outcome"]) == ("Cut", "broken off")
    assert entries[5]["model"] == "evil {}\\x1b[31m"
    assert entries[7]["path"] == "/v1/ \\x1b[31mforged"
    assert entries[8]["key"] == "alice"
    assert all(entry["seconds"] >= 0 for entry in entries)


# --- web pages --------------------------------------------------------------------------------------------------------


def preflight(url: str, origin: str) -> Any:
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    return send(url, "/openai/v1/chat/completions", headers={"Origin": origin, **asks}, method="OPTIONS")


def test_a_page_of_a_named_origin_may_ask_and_no_other() -> None:
    page = "https://chat.example"
    with relay_over(api_key="sesame", cors_origins=[page]) as (relay, _):
        answer = preflight(relay.url, page)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, page)
        assert "POST" in answer.headers["access-control-allow-methods"]
        assert "authorization" in answer.headers["access-control-allow-headers"]
        for key, status in (("sesame", 200), ("wrong", 401)):  # the page can read why it was refused
            answer = post(relay.url, "openai", headers={"Origin": page, "Authorization": f"Bearer {key}"})
            assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, page)
            assert "retry-after" in answer.headers["access-control-expose-headers"].lower()
        assert "access-control-allow-origin" not in preflight(relay.url, "https://evil.example").headers
        other = post(relay.url, "openai", headers={"Origin": "https://evil.example", "x-api-key": "sesame"})
        assert "access-control-allow-origin" not in other.headers
    with relay_over() as (relay, _):
        assert preflight(relay.url, page).status == 405
    with pytest.raises(errors.ConfigurationError, match="without a key"):
        create_app("yqcloud", cors_origins=["*"])
    with relay_over(api_key="sesame", cors_origins=["*"]) as (relay, _):
        assert preflight(relay.url, page).headers["access-control-allow-origin"] == "*"


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    return {"certfile": str(tmp_path / "cert.pem"), "keyfile": str(tmp_path / "key.pem")}


def test_a_relay_with_a_certificate_speaks_tls(
    authority: trustme.CA, certificate: dict[str, str], tmp_path: Path
) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with relay_over(**certificate) as (relay, _):
        assert relay.url.startswith("https://127.0.0.1:")
        with Client("openai/m", base_url=relay.url + "/openai/v1", api_key="k", verify=tmp_path / "ca.pem") as client:
            assert client.chat("Hi").text == "Hello 😀"
            assert "".join(map(str, client.stream("Hi"))) == "Hello 😀"
    with pytest.raises(errors.ConfigurationError, match="certfile, keyfile: cannot be used"):
        RelayServer(upstream_client(), certfile=certificate["keyfile"]).start()


def test_who_connects_and_says_nothing_does_not_hold_a_tls_connection(
    authority: trustme.CA, certificate: dict[str, str]
) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    limits = ConnectionLimits(connections=3, head_seconds=0.5)
    with relay_over(limits=limits, **certificate) as (relay, _):
        port = int(relay.url.rpartition(":")[2])
        began = time.monotonic()
        silent = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(3)]
        # Its head never comes, after a handshake or without one; neither is waited for longer than head_seconds.
        slow = context.wrap_socket(
            socket.create_connection(("127.0.0.1", port), timeout=5), server_hostname="127.0.0.1"
        )
        slow.sendall(b"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        answer = slow.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408 ") or not answer
        for connection in (*silent, slow):
            assert connection.recv(4096) == b""
            connection.close()
        assert time.monotonic() - began < 4
