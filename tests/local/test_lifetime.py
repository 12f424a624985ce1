"""The local model's process: it ends with its program, however that ends, and is started again when it is gone."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from llmclients import AsyncClient, Client, Message
from llmclients.errors import APIConnectionError
from llmclients.local import engine as local
from llmclients.local import process
from tests.local.interrupts import EXIT_WITHIN, PROGRAMS, interrupt
from tests.local.localtools import engines, needs_model, run

pytestmark = [
    needs_model,
    pytest.mark.local,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="signals, forks and descriptors of Unix"),
]

HI = [Message("system", "."), Message("user", "Hi")]  # the template has a longer system message
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture(autouse=True)
def model(small_model: Path) -> Path:
    """Nothing here asks what an answer says."""
    return small_model


def is_there(pid: int) -> bool:
    """Whether the process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_gone_soon(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while is_there(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not is_there(pid)


# --- the program's end ----------------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize(("program", "after"), [("sync", 0.0), ("sync", 0.1), ("async", 0.2), ("sync", 0.4)])
def test_ctrl_c_at_any_moment_of_the_start_ends_all_within_a_second(program, after):
    outcome = interrupt(PROGRAMS[program], after)
    assert outcome.left == []
    assert outcome.took <= 3 * EXIT_WITHIN  # other tests share the machine; what is feared takes for ever


@linux
@pytest.mark.parametrize("after", [0.1, 0.5])
def test_a_program_that_is_killed_leaves_nothing_whether_it_loads_or_answers(after):
    outcome = interrupt(PROGRAMS["sync"], after, signal.SIGKILL)
    assert outcome.left == []


OPEN_REQUESTS = """
import http.client, json, os, sys, time
from urllib.parse import urlsplit
from llmclients.local import engine as local

served = local.endpoint()
kept = []

def request(served, **body):
    connection = http.client.HTTPConnection(urlsplit(served.base_url).netloc)
    body = {"messages": [{"role": "system", "content": "."}], "ignore_eos": True, **body}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {served.api_key}"})
    kept.append(connection)
    return connection

def engines():
    return [running._process.pid for running in local._started]
"""


@linux
def test_the_program_has_its_server_and_exits_cleanly_and_in_silence_whatever_is_open(served):
    done = run(f"""{OPEN_REQUESTS}
kept.append(request(served, stream=True).getresponse())
kept[-1].read(200)
for _ in range(6):
    request(served)
print(served.base_url, *engines())
""")
    assert (done.returncode, done.stderr) == (0, "")
    address, pid = done.stdout.split()
    assert address != served.base_url, "two programs have one server"
    assert not is_there(int(pid))
    assert local.endpoint() is served


@linux
def test_nothing_is_left_open_by_a_program_that_is_looked_at_closely():
    done = run(
        """
        import os, sys
        from llmclients import Client
        from llmclients.local import engine
        before = os.listdir("/proc/self/fd")
        with Client() as client:
            client.models()
        engine.shutdown()
        assert os.listdir("/proc/self/fd") == before
        engine.endpoint()
        """,
        dev=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- forks ----------------------------------------------------------------------------------------------------------


@linux
def test_a_fork_starts_its_own_server_and_leaves_its_parent_s_alone():
    done = run(f"""{OPEN_REQUESTS}
response = request(served, stream=True, max_tokens=9).getresponse()  # the engine is at work while the process forks
child = os.fork()
if child == 0:
    assert engines() == []
    own = local.endpoint()
    assert own.base_url != served.base_url and own.api_key != served.api_key
    answer = request(own, max_tokens=1).getresponse()
    assert answer.status == 200 and answer.read()
    sys.exit(3)  # the whole way out, with all that is run at exit
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
assert b"[DONE]" in response.read()
assert local.endpoint() is served
""")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@linux
def test_a_fork_that_outlives_its_parent_does_not_keep_the_parent_s_engine():
    done = run(f"""{OPEN_REQUESTS}
child = os.fork()
if child == 0:
    os.closerange(1, 3)
    time.sleep(60)
print(child, *engines(), flush=True)
os.kill(os.getpid(), 9)
""")
    child, serving = map(int, done.stdout.split())
    try:
        assert is_gone_soon(serving)
        assert is_there(child)
    finally:
        os.kill(child, signal.SIGKILL)


# --- a process that is gone -----------------------------------------------------------------------------------------


@linux
def test_after_a_kill_the_next_chat_starts_another_and_a_stream_that_broke_off_says_so(model):
    with Client() as client:
        stream = client.stream(HI, extra={"ignore_eos": True})
        next(iter(stream))
        for pid in engines(model):
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(APIConnectionError) as caught:
            list(stream)
        assert caught.value.retryable
        assert client.chat(HI, max_tokens=1, temperature=0).finish_reason == "length"


@linux
async def test_a_chat_that_breaks_off_is_tried_again_at_another(model):
    async with AsyncClient() as client:
        local.endpoint()
        [killed] = engines(model)
        os.kill(killed, signal.SIGSTOP)  # so that it does not answer before it is killed
        asking = asyncio.create_task(client.chat(HI, max_tokens=1, temperature=0))
        await asyncio.sleep(0.1)
        os.kill(killed, signal.SIGKILL)
        assert (await asking).finish_reason == "length"
    assert killed not in engines(model)


@linux
def test_signals_that_ask_a_whole_group_to_end_do_not_reach_it(model):
    first = local.endpoint()
    for pid in engines(model):
        assert os.getsid(pid) == pid
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            os.kill(pid, getattr(signal, name))
    with Client() as client:
        client.chat(HI, max_tokens=1, temperature=0)
    assert local.endpoint() is first


# --- what a terminal sees -------------------------------------------------------------------------------------------


class Stderr(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.isatty = lambda: is_terminal  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("is_terminal", "waits", "shown"),
    [(True, True, "loading the local model …\n"), (True, False, ""), (False, True, ""), (None, True, "")],
)
def test_a_terminal_is_told_of_a_start_that_takes_long(monkeypatch, is_terminal, waits, shown):
    written = threading.Event()
    stderr = None if is_terminal is None else Stderr(is_terminal)
    if stderr is not None:
        monkeypatch.setattr(stderr, "flush", written.set)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(process, "_SILENCE", 0.01 if waits else 60)
    with process._loading_notice():
        written.wait(5 if shown else 0.05)
    assert (stderr.getvalue() if stderr else "") == shown
