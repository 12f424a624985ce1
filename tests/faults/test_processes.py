"""A client over a fork, and at the interpreter's end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from llmclients.testing import FaultServer
from llmclients.testing.fault_server import CHUNKED_HEAD, HOLD, ReceivedRequest, Script, chunked, http

PARENT = """
import asyncio, json, os, signal, sys, tempfile, threading
from llmclients import AsyncClient, Client, Timeout
OPTIONS = {'trust_env': False, 'retry': 1, 'timeout': Timeout(connect=10, read=20)}
for line in sys.stdin:
    outputs = [tempfile.TemporaryFile() for _ in range(2)]
    if not (process := os.fork()):
        break
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    written = []
    for output in outputs:
        with output:
            output.seek(0)
            written.append(output.read().decode())
    print(json.dumps([code, *written]), flush=True)
else:
    sys.exit()
signal.alarm(30)
for number, output in enumerate(outputs, 1):
    with output:
        os.dup2(output.fileno(), number)
URL, program = json.loads(line)
exec(program)
"""
"""Forks itself for each program that it is given, which is that process's own from then on, and the end of it."""

Run = Callable[[str, str], tuple[int, str, str]]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a program in a process of its own, where `URL` is a server's and `OPTIONS` a client's.

    It returns the exit code and what was written to each output. The clients are imported once for all programs, and
    nothing else is.
    """
    command = [sys.executable, "-W", "error::ResourceWarning", "-W", "error::RuntimeWarning", "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:

        def run(program: str, url: str) -> tuple[int, str, str]:
            assert parent.stdin is not None
            assert parent.stdout is not None
            print(json.dumps([url, program]), file=parent.stdin, flush=True)
            code, output, errors = json.loads(parent.stdout.readline())
            return code, output, errors

        yield run


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer([CHUNKED_HEAD, chunked(b"Hel", last=False), HOLD]) as server:
        yield server


def echo(request: ReceivedRequest) -> Script:
    return [http(body=request.json["prompt"].encode())]


FORK = """
client = Client("yqcloud", base_url=URL, **OPTIONS)
assert client.chat("before").text == "before"
child = os.fork()
if not child:
    for _ in range(3):
        assert client.chat("child").text == "child"
    client.close()
    os._exit(0)
for _ in range(3):
    assert client.chat("parent").text == "parent"
assert os.waitpid(child, 0)[1] == 0
assert client.chat("after").text == "after"
"""

ASYNC_FORK = """
client = AsyncClient("yqcloud", base_url=URL, **OPTIONS)
async def chat(text):
    for _ in range(3):
        assert (await client.chat(text)).text == text
asyncio.run(chat("before"))
child = os.fork()
asyncio.run(chat("parent" if child else "child"))
if not child:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.parametrize(("program", "texts"), [(FORK, 8), (ASYNC_FORK, 9)], ids=["sync", "async"])
def test_parent_and_child_go_on_after_a_fork(run: Run, program: str, texts: int) -> None:
    with FaultServer(echo) as server:
        assert run(program, server.url) == (0, "", "")
        assert len(server.requests) == texts
        for requests in server.received:
            prompts = {request.json["prompt"] for request in requests}
            assert "child" not in prompts or prompts == {"child"}, "no connection is shared by the two"


AT_EXIT: dict[str, str] = {
    "open stream": """
stream = Client("yqcloud", base_url=URL, **OPTIONS).stream("Hi")
print(next(stream))
""",
    "open stream in a thread that waits": """
client = Client("yqcloud", base_url=URL, **OPTIONS)
stream = client.stream("Hi")
print(next(stream), flush=True)
threading.Thread(target=lambda: list(stream), daemon=True).start()
""",
    "client that nobody closed": """
client = Client("yqcloud", base_url=URL, **OPTIONS)
stream = client.stream("Hi")
print(next(stream))
stream.close()
""",
    "open async stream": """
client = AsyncClient("yqcloud", base_url=URL, **OPTIONS)
stream = client.stream("Hi")
async def main():
    print(await anext(stream))
asyncio.run(main())
""",
    "open async stream of a client that is gone": """
async def main():
    global stream
    stream = AsyncClient("yqcloud", base_url=URL, **OPTIONS).stream("Hi")
    print(await anext(stream))
asyncio.run(main())
""",
    "task that still waits": """
async def main():
    client = AsyncClient("yqcloud", base_url=URL, **OPTIONS)
    stream = client.stream("Hi")
    print(await anext(stream))
    asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.01)
asyncio.run(main())
""",
    "sys.exit inside a stream": """
for chunk in Client("yqcloud", base_url=URL, **OPTIONS).stream("Hi"):
    print(chunk)
    sys.exit()
""",
}


@pytest.mark.parametrize("program", AT_EXIT.values(), ids=AT_EXIT)
def test_the_interpreter_ends_quietly_whatever_is_open(run: Run, server: FaultServer, program: str) -> None:
    assert run(program, server.url) == (0, "Hel\n", "")
    assert server.wait_for(0)
