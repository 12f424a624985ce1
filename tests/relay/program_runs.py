"""The programs that people point at the relay: where they are, how they are called, what they are asked to do.

`python tests/relay/program_runs.py` runs them in all ways, and writes `programs/*.json` anew: what they send, cut down.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORDED = HERE / "programs"
ROOT = HERE.parent.parent

PACKAGES = ("@anthropic-ai/claude-code@2.1.197", "@openai/codex@0.171.0")
FOLDER_VARIABLE = "LLMCLIENTS_PROGRAMS"
"""Names a folder in which the packages are installed already: it has a `node_modules`."""

CLAUDE = "@anthropic-ai/claude-code/cli-wrapper.cjs"
CODEX = "@openai/codex/bin/codex.js"
CLAUDE_ENV = {
    "ANTHROPIC_BASE_URL": "{url}/anthropic",
    "ANTHROPIC_API_KEY": "none",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
}
CODEX_ARGUMENTS = (
    *("exec", "--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox"),
    *("-c", 'model_provider="relay"', "-c"),
    'model_providers.relay={name="relay", base_url="{url}/openai/v1", env_key="OPENAI_API_KEY", wire_api="responses"}',
)
QUESTION = "What is the word in note.txt?"
PATCH = "*** Begin Patch\n*** Update File: note.txt\n@@\n-the word is heron\n+the word is stork\n*** End Patch\n"
SCRIPT = 'const result = await tools.exec_command({cmd: "cat note.txt"}); text(result.output);'


@dataclass(frozen=True)
class Program:
    """One way in which a program is called, and the task that it is given.

    Attributes:
        script: its file in `node_modules`.
        arguments: of the command.
        env: its environment, besides PATH and HOME.
        calls: of its tools, as the model makes them.
        results: what each call's result has in it.
        warned: what the relay left out or changed.
        note: what is in the file at the end.
    """

    script: str
    arguments: tuple[str, ...]
    env: dict[str, str]
    calls: tuple[tuple[str, dict[str, Any]], ...]
    results: tuple[str, ...]
    warned: tuple[str, ...] = ()
    note: str = "the word is heron\n"


def claude(*arguments: str, calls: tuple[tuple[str, dict[str, Any]], ...], warned: tuple[str, ...] = ()) -> Program:
    allowed = ("--allowedTools", "Bash(cat:*)", "Read")
    return Program(CLAUDE, ("-p", QUESTION, *arguments, *allowed), CLAUDE_ENV, calls, ("heron",), warned)


def codex(*arguments: str, calls: tuple[tuple[str, dict[str, Any]], ...], **more: Any) -> Program:
    return Program(
        CODEX,
        (*CODEX_ARGUMENTS, *arguments, QUESTION),
        {"OPENAI_API_KEY": "none"},
        calls,
        **({"results": ("heron",)} | more),
    )


PROGRAMS = {
    "claude-code": claude(calls=(("Bash", {"command": "cat note.txt", "description": "Read the note"}),)),
    "claude-code-with-a-budget": claude(
        *("--model", "claude-sonnet-4-5"),
        calls=(("Read", {"file_path": "note.txt"}),),
        warned=("thinking: sent as reasoning_effort='high'",),
    ),
    "codex": codex(calls=(("functions__exec", {"input": SCRIPT}),)),
    "codex-with-patches": codex(
        *("-m", "gpt-5.5"),
        calls=(("exec_command", {"cmd": "cat note.txt"}), ("apply_patch", {"input": PATCH})),
        results=("heron", "Updated the following files"),
        warned=("tool_search is left out", "web_search is left out"),
        note="the word is stork\n",
    ),
}


# --- where they are ---------------------------------------------------------------------------------------------------


class NotInstalled(Exception):
    """The programs are not there; the message says why."""


def node_modules() -> Path:
    """Where the packages are installed; installs them, once for each user, if that is possible.

    Raises:
        NotInstalled: it is not.
    """
    if given := os.environ.get(FOLDER_VARIABLE):
        folder = Path(given)
    else:
        folder = _own_folder()
        if not _has_all(folder):
            _install(folder)
    if not _has_all(folder):
        raise NotInstalled(f"{folder} does not have {', '.join(PACKAGES)}")
    return folder / "node_modules"


def _has_all(folder: Path) -> bool:
    return all((folder / "node_modules" / script).is_file() for script in (CLAUDE, CODEX))


def _own_folder() -> Path:
    versions = "-".join(package.rpartition("@")[2] for package in PACKAGES)
    folder = Path(tempfile.gettempdir()) / f"llmclients-programs-{os.getuid()}-{versions}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise NotInstalled(f"{folder} is somebody else's")
    return folder


def _install(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotInstalled("there is no npm")
    quick = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--fetch-timeout=30000")
    try:
        done = subprocess.run(
            [npm, "install", *quick, "--prefix", str(folder), *PACKAGES], capture_output=True, text=True, timeout=240
        )
    except subprocess.TimeoutExpired:
        raise NotInstalled("npm took too long") from None
    if done.returncode:
        raise NotInstalled(f"npm cannot install them: {done.stderr[-300:]}")


# --- how they are run -------------------------------------------------------------------------------------------------


def isolation() -> list[str]:
    """What a command begins with to have no network but loopback; nothing where that cannot be had."""
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], capture_output=True).returncode:
        return []
    return [unshare, "-rn"]


def run(program: Program, modules: Path, home: Path, *, lenient: bool = True) -> dict[str, Any]:
    """What happens when the program does its task, in a home and a folder of its own: see `programs/runner.py`."""
    work = home / "work"
    work.mkdir()
    (work / "note.txt").write_text("the word is heron\n")
    node = shutil.which("node")
    assert node is not None
    task = {
        "program": [node, str(modules / program.script), *program.arguments],
        "env": {**program.env, "HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
        "cwd": str(work),
        "calls": program.calls,
        "text": "It is heron.",
        "lenient": lenient,
    }
    done = subprocess.run(
        [*isolation(), sys.executable, str(RECORDED / "runner.py")],
        input=json.dumps(task),
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def check(program: Program, result: dict[str, Any], home: Path) -> None:
    """Raise AssertionError where it did not do its task, or the relay did not warn as it should."""
    assert (result["status"], "It is heron." in result["stdout"]) == (0, True), result
    assert (home / "work" / "note.txt").read_text() == program.note
    results = [message for message in result["asked"][-1]["messages"] if message["role"] == "tool"]
    for words, message in zip(program.results, results, strict=True):
        assert words in str(message["content"])
    for words in program.warned:
        assert any(words in line for line in result["log"])


# --- what they send ---------------------------------------------------------------------------------------------------

_CHANGING = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32,}|/[\w/.-]*/work\b|\b20\d\d-\d\d-\d\d\b|\d{10,}"
)
_SHOWN = {"name": 200, "type": 200, "role": 200, "syntax": 200}


def cut(value: Any, name: str = "") -> Any:
    """A body without what differs from run to run, and with the beginnings of long texts only."""
    if isinstance(value, dict) and name in ("input_schema", "parameters"):
        properties = {key: {"type": inner.get("type", "object")} for key, inner in value.get("properties", {}).items()}
        return {**{key: inner for key, inner in value.items() if key != "description"}, "properties": properties}
    if isinstance(value, dict):
        return {key: cut(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [cut(inner, name) for inner in value]
    if not isinstance(value, str):
        return value
    text = _CHANGING.sub("0", value)
    length = _SHOWN.get(name, 40)
    return text if len(text) <= length else f"{text[:length]} …"


def members(body: Any) -> Iterator[str]:
    """The names of a body's members, of its messages' and of its tools', with their types."""
    yield from body
    for name in ("messages", "input", "tools"):
        for entry in body.get(name, ()):
            yield f"{name}: {entry.get('type', entry.get('role'))}: {sorted(entry)}"
            for inner in entry.get("tools", ()):
                yield f"{name}: {inner['type']}: {sorted(inner)}"


def main() -> None:
    modules = node_modules()
    for name, program in PROGRAMS.items():
        with tempfile.TemporaryDirectory() as home:
            result = run(program, modules, Path(home))
            check(program, result, Path(home))
            sent = result["sent"]
        (RECORDED / f"{name}.json").write_text(json.dumps(cut(sent), ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
