"""How long a program takes to its first answer, each in a process of its own, with the bytecode already there."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from benchmarks.machine import RUNNER_CORE, pin
from benchmarks.processes import ROOT, RunnerFailedError, environment, interpreter_of

__all__ = ["IMPORTS", "LOADS", "STARTS", "load"]


@dataclass(frozen=True, slots=True)
class _Load:
    """What is imported and called, with whose interpreter. SERVER is the address of a server that sends whole replies.

    `client`: what `call` is awaited within, as `client`; else the call is synchronous.
    """

    runner: str
    imports: str
    call: str = ""
    client: str = ""


_PAYLOAD = "json={'model': 'm', 'messages': [{'role': 'user', 'content': 'Hello'}]}"
LOADS: dict[str, _Load] = {
    "requests + pydantic": _Load(
        "requests",
        "import requests; from pydantic import BaseModel",
        f"requests.Session().post(SERVER, {_PAYLOAD}).json()",
    ),
    "requests": _Load("requests", "import requests", f"requests.Session().post(SERVER, {_PAYLOAD}).json()"),
    "httpx": _Load(
        "httpx",
        "import asyncio, httpx",
        f"(await client.post(SERVER, {_PAYLOAD})).json()",
        client="httpx.AsyncClient()",
    ),
    "httpx + aiohttp + pydantic": _Load(
        "httpx-aiohttp",
        "import asyncio, aiohttp, httpx, httpx_aiohttp; from pydantic import BaseModel",
        f"(await client.post(SERVER, {_PAYLOAD})).json()",
        client="httpx.AsyncClient(transport=httpx_aiohttp.AiohttpTransport(client=aiohttp.ClientSession()))",
    ),
    "llmclients Client": _Load(
        "llmclients",
        "from llmclients import Client",
        "Client('openai', model='m', base_url=SERVER, api_key='key').chat('Hello')",
    ),
    "llmclients AsyncClient": _Load(
        "llmclients",
        "import asyncio; from llmclients import AsyncClient",
        "await client.chat('Hello')",
        client="AsyncClient('openai', model='m', base_url=SERVER, api_key='key')",
    ),
    "openai": _Load(
        "openai",
        "from openai import OpenAI",
        "OpenAI(base_url=SERVER, api_key='key').chat.completions.create("
        "model='m', messages=[{'role': 'user', 'content': 'Hello'}])",
    ),
    "any-llm": _Load(
        "any-llm", "from any_llm import AnyLLM", "AnyLLM.create('openai', api_key='key', api_base=SERVER)"
    ),
    "litellm": _Load("litellm", "from litellm import completion"),
}
IMPORTS = tuple(name for name in LOADS if name not in ("requests", "httpx"))
STARTS = ("requests", "llmclients Client", "httpx", "llmclients AsyncClient", "openai")

_ASYNC = """
async def main():
    async with {client} as client:
        {call}
asyncio.run(main())
"""
_TIMED = """
import time
start = time.perf_counter()
SERVER = {first!r}
{imports}
{warm_up}
SERVER = {server!r}
imported = time.perf_counter()
{call}
end = time.perf_counter()
print([(end - start) * 1e3, (imported - start) * 1e3, (end - imported) * 1e3])
"""


def load(name: str, server: str, warm_up: str = "") -> dict[str, float]:
    """The wall time in ms of the import, of the first call where there is one, and of both.

    `warm_up`: another server, which is called before: what is imported by a first call only is then there.

    Raises:
        RunnerFailedError: with the reason.
    """
    what = LOADS[name]
    python = interpreter_of(what.runner)
    if not python.exists():
        raise RunnerFailedError("not installed")
    call = _ASYNC.format(client=what.client, call=what.call) if what.client else what.call
    program = _TIMED.format(
        server=f"{server}/chat/v1",
        first=f"{warm_up or server}/chat/v1",
        imports=what.imports,
        warm_up=call if warm_up else "",
        call=call,
    )
    done = subprocess.run(
        [str(python), "-c", program],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: pin(RUNNER_CORE),
    )
    if done.returncode:
        raise RunnerFailedError(done.stderr.strip().rpartition("\n")[2][:300])
    total, imported, called = json.loads(done.stdout.strip().rpartition("\n")[2])
    return {"ms": total, "import_ms": imported, "call_ms": called}
