"""How long the libraries take to import, each in a process of its own, with the bytecode already there."""

from __future__ import annotations

import json
import subprocess

from benchmarks.machine import RUNNER_CORE, pin
from benchmarks.processes import ROOT, RunnerFailedError, environment, interpreter_of

__all__ = ["LOADS", "load"]

_ASYNC = """
import asyncio
async def main():
    async with {client} as client:
        {call}
asyncio.run(main())
"""

# What is loaded, with whose interpreter. SERVER is the address of a server that answers with a whole reply.
LOADS: dict[str, tuple[str, str]] = {
    "requests + pydantic": (
        "requests",
        "import requests; from pydantic import BaseModel; requests.Session().post(SERVER, json={}).json()",
    ),
    "llmclients Client": (
        "llmclients",
        "from llmclients import Client; Client('openai', model='m', base_url=SERVER, api_key='key').chat('Hello')",
    ),
    "httpx + aiohttp + pydantic": (
        "httpx-aiohttp",
        "import aiohttp, httpx, httpx_aiohttp; from pydantic import BaseModel"
        + _ASYNC.format(
            client="httpx.AsyncClient(transport=httpx_aiohttp.AiohttpTransport(client=aiohttp.ClientSession()))",
            call="(await client.post(SERVER, json={})).json()",
        ),
    ),
    "llmclients AsyncClient": (
        "llmclients",
        "from llmclients import AsyncClient"
        + _ASYNC.format(
            client="AsyncClient('openai', model='m', base_url=SERVER, api_key='key')", call="await client.chat('Hello')"
        ),
    ),
    "openai": (
        "openai",
        "from openai import OpenAI; OpenAI(base_url=SERVER, api_key='key').chat.completions.create("
        "model='m', messages=[{'role': 'user', 'content': 'Hello'}])",
    ),
    "any-llm": ("any-llm", "from any_llm import AnyLLM; AnyLLM.create('openai', api_key='key', api_base=SERVER)"),
    "litellm": ("litellm", "from litellm import completion"),
}

_TIMED = """
import time
start = time.perf_counter()
SERVER = {server!r}
{code}
print((time.perf_counter() - start) * 1e3)
"""


def load(name: str, server: str) -> dict[str, float]:
    """The wall time in ms of an import and, where there is one, of the first call.

    Raises:
        RunnerFailedError: with the reason.
    """
    runner, code = LOADS[name]
    python = interpreter_of(runner)
    if not python.exists():
        raise RunnerFailedError("not installed")
    done = subprocess.run(
        [str(python), "-c", _TIMED.format(server=f"{server}/chat/v1", code=code)],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: pin(RUNNER_CORE),
    )
    if done.returncode:
        raise RunnerFailedError(done.stderr.strip().rpartition("\n")[2][:300])
    return {"ms": json.loads(done.stdout.strip().rpartition("\n")[2])}
