"""Claude Code and Codex at the relay: what they send is taken, and the programs themselves do a task through it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from program_runs import PROGRAMS, RECORDED, NotInstalled, check, members, node_modules, run
from relaytools import PATH, PREFIX, relay_over, send

from llmclients.relay.routes import SERVER_CODECS

CODEC = {codec.name: codec for codec in SERVER_CODECS}
WIRE = {name: "anthropic" if name.startswith("claude") else "openai-responses" for name in PROGRAMS}
RECORDINGS: dict[str, list[dict[str, Any]]] = {
    name: json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8")) for name in PROGRAMS
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_the_program_sends_is_taken_and_reaches_a_provider_of_another_wire(name: str) -> None:
    program, wire = PROGRAMS[name], WIRE[name]
    with relay_over() as (relay, mock):
        for turn, body in enumerate(RECORDINGS[name]):
            answer = send(relay.url, PREFIX[wire] + PATH[wire], body)
            assert answer.status == 200, answer.body
            asked = json.loads(mock.requests[-1].body)
            called = [call for message in asked["messages"] for call in message.get("tool_calls", ())]
            assert [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in called] == [
                (
                    tool,
                    {argument: text if len(text) <= 40 else f"{text[:40]} …" for argument, text in arguments.items()},
                )
                for tool, arguments in program.calls[:turn]
            ]
            assert {tool for tool, _ in program.calls} <= {tool["function"]["name"] for tool in asked["tools"]}
            assert sum(message["role"] == "tool" for message in asked["messages"]) == turn
            warning = answer.headers.get("x-llmclients-warning", "")
            assert all(words in warning for words in program.warned), warning
            assert bool(warning) is bool(program.warned) or wire == "openai-responses"


def test_a_strict_relay_rejects_what_codex_always_sends_by_name() -> None:
    with relay_over(lenient=False) as (relay, mock):
        answer = send(relay.url, "/openai/v1/responses", RECORDINGS["codex-with-patches"][0])
        assert (answer.status, answer.json["error"]["param"]) == (400, "tools")
        assert "tool_search is left out" in answer.json["error"]["message"]
        assert not mock.requests


@pytest.fixture(scope="module")
def modules() -> Path:
    try:
        return node_modules()
    except NotInstalled as reason:
        pytest.skip(f"the programs are not installed: {reason}")


# One way of each: their versions are fixed, and so is what they send. `program_runs.py` runs the others, too.
@pytest.mark.long
@pytest.mark.parametrize("name", ["claude-code-with-a-budget", "codex-with-patches"])
def test_the_program_itself_does_a_task_with_its_tools(name: str, modules: Path, tmp_path: Path) -> None:
    program = PROGRAMS[name]

    result = run(program, modules, tmp_path)

    check(program, result, tmp_path)
    # The recordings are what it sends today.
    assert [sorted(set(members(body))) for body in result["sent"]] == [
        sorted(set(members(body))) for body in RECORDINGS[name]
    ]
