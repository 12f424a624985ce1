"""The demo: a run on the real model, and that it does not call a wrong answer good."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from llmclients import AsyncClient, demo
from llmclients.relay import RelayServer
from llmclients.transports.base import HTTPRequest
from llmclients.transports.mock import MockTransport, Reply

TARGETS = demo.targets
PROVIDERS = ("ylokh", "yqcloud", "yqcloud-legacy", "ai365vip", "openai", "local")


def check_answers(out: str, names: Sequence[str]) -> None:
    """Each of these providers has answered in four ways."""
    assert re.findall(r"\n([\w-]+) +(?:POST|a conv)", out) == [*names, "yqcloud"]
    for name in names:
        part = out.partition(f"\n{name} ")[2].partition("\n\n")[0].splitlines()[1:]
        assert [line.split("  ")[1] for line in part] == ["chat", "stream", "async chat", "async stream"], name
        assert all("Paris" in line for line in part), name
    assert out.count("userId #/chat/") == 2


@pytest.mark.local
def test_the_model_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In its own wire, and in the conversation through the relay; each answer takes half a second of a processor."""
    monkeypatch.setattr(demo, "targets", lambda url: TARGETS(url)[-1:])
    assert demo.run() == 0
    out = capsys.readouterr().out
    check_answers(out, PROVIDERS[-1:])
    assert out.count("mango") >= 3  # once in a question
    assert "All 24 checks are good" in out


def test_every_provider_answers(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def local(url: str) -> list[demo.Target]:
        found = TARGETS(url)
        at = {"base_url": f"{url}/openai/v1", "api_key": "none", "trust_env": False}
        return [*found[:-1], replace(found[-1], arguments=at)]

    assert run_with(monkeypatch, "Paris, as ever.", "stop", local) == 0
    out = capsys.readouterr().out
    check_answers(out, PROVIDERS)
    assert "All 84 checks are good" in out


def only_ylokh(url: str) -> list[demo.Target]:
    return [target for target in TARGETS(url) if target.provider == "ylokh"]


def run_with(
    monkeypatch: pytest.MonkeyPatch, text: str, reason: str, targets: Callable[[str], list[demo.Target]] = only_ylokh
) -> int:
    """The demo's exit code when the model behind its relay answers this, and these targets are tried."""
    deltas = [{"choices": [{"delta": {"content": piece}}]} for piece in re.findall(r"\S+\s*|\s+", text)]
    end = {"choices": [{"delta": {}, "finish_reason": reason}]}
    whole = {"choices": [{"message": {"content": text}, "finish_reason": reason}]}
    events = "".join(f"data: {json.dumps(payload)}\n\n" for payload in (*deltas, end))

    def answer(request: HTTPRequest) -> Reply:
        if reason == "none":
            return Reply(400)
        if json.loads(request.body).get("stream"):
            return Reply(body=f"{events}data: [DONE]\n\n")
        return Reply(json=whole)

    def relay(name: str, **arguments: Any) -> RelayServer:
        mock = MockTransport(answer)
        return RelayServer(AsyncClient("openai/m", base_url="http://mock", api_key="k", transport=mock, retry=None))

    monkeypatch.setattr(demo, "RelayServer", relay)
    monkeypatch.setattr(demo.engine, "endpoint", lambda: None)
    monkeypatch.setattr(demo, "targets", targets)
    return demo.run()


def test_a_right_answer_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with(monkeypatch, "x", "stop") == 0


@pytest.mark.parametrize(
    ("text", "reason", "complaint"),
    [
        (" ", "stop", "ylokh, stream: the answer is empty"),
        ("x", "content_filter", "ylokh, async chat: it ended with content_filter"),
        ("x", "none", "ylokh, async: ylokh (127.0.0.1): HTTP 400"),
    ],
)
def test_a_wrong_answer_is_a_failure(
    text: str, reason: str, complaint: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_with(monkeypatch, text, reason) == 1
    out = capsys.readouterr().out
    assert "checks FAILED" in out
    assert complaint in out


def test_a_stream_must_be_one_and_add_up_to_its_response() -> None:
    report = demo.Report()
    report.end("x", 0.0, demo.ChatResponse(text="ab", finish_reason="stop"), ["a"])
    assert report.failures == ["x: the stream came in one chunk", "x: the chunks are not the response"]
    report.check("x", True, "")
    assert report.checked == 5
