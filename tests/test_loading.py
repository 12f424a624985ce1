"""What a program loads, and what it builds, before it needs it: nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import llmclients
from llmclients.testing.fault_server import FaultServer
from llmclients.testing.script import END, http
from llmclients.types.base import _BUILT_ON_FIRST_USE

HEAVY = ("requests", "urllib3", "httpx", "httpcore", "aiohttp", "httpx_aiohttp", "tenacity", "starlette", "uvicorn")
CLIENTS = ("AsyncClient", "AsyncStream", "Client", "Stream")


def loaded_by(*programs: str, watched: tuple[str, ...] = HEAVY) -> list[set[str]]:
    """Which of these modules a fresh interpreter has loaded after each of these programs, one after the other."""
    look = f"print(*(name for name in {watched!r} if name in sys.modules))"
    # Where tornado is installed, as with ipykernel, tenacity loads it, and all that it needs.
    begin = "import sys\nsys.modules['tornado'] = None"
    printed = run("\n".join([begin, *(f"{program}\n{look}" for program in programs)]))
    return [set(line.split()) for line in printed.split("\n")]


def run(program: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.removesuffix("\n")


LIGHT = {
    "importing the package": "import llmclients",
    "its plugin for pytest": "import llmclients.testing.pytest_plugin",
    "any public name but the clients": f"""
for name in {[name for name in llmclients.__all__ if name not in CLIENTS]!r}: getattr(llmclients, name)
""",
    "every codec": """
from llmclients.providers.registry import *
for name in provider_names(): find_provider(name).load_codec()
""",
    "a client with a scripted transport": """
from llmclients import AsyncClient, Client
from llmclients.transports.mock import MockTransport
for kind in (Client, AsyncClient):
    kind("ylokh", base_url="http://mock", transport=MockTransport())
""",
    "an async client, and its chat": """
import asyncio
client = AsyncClient('openai', model='m', base_url='{url}', api_key='key')
assert asyncio.run(client.chat('Hello')).text == 'Hi'
""",
}
"""What loads no heavy library, one after the other."""


def test_what_needs_no_heavy_library_loads_none(subtests: pytest.Subtests) -> None:
    with FaultServer([http(body=REPLY)]) as server:
        programs = [program.replace("{url}", server.url) for program in LIGHT.values()]
        found = loaded_by(*programs, watched=(*HEAVY, "llmclients.client"))
    for what, loaded in zip(LIGHT, found, strict=True):
        with subtests.test(what):
            assert loaded == ({"llmclients.client"} if what.startswith(("a client", "an async client")) else set())


REPLY = b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}'
EVENTS = b'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
RARE = (
    *("asyncio", "difflib", "sqlite3", "httpx", "httpx_aiohttp", "aiohttp", "tenacity", "xllamacpp", "pydantic.v1"),
    *("llmclients.async_client", "llmclients.conversation", "llmclients.local.engine", "llmclients.transports.mock"),
)
"""What a program that makes a `Client` and lets it chat does without."""
WATCHED = tuple({*HEAVY, *RARE, "ssl", "http.client", "email"})
WITH_REQUESTS = {"requests", "urllib3", "ssl", "http.client", "email"}

ONE_STEP_AFTER_THE_OTHER = {
    "the client is imported, without what only a connection needs": ("from llmclients import Client", set()),
    "a client is made, without what the async one needs": (
        'client = Client("openai", model="m", base_url="{url}", api_key="key", retry=2)',
        WITH_REQUESTS,
    ),
    "a first chat loads nothing that only few programs need": (
        'assert client.chat("Hello").text == "Hi"',
        WITH_REQUESTS,
    ),
    "nor does a stream": ('assert "".join(map(str, client.stream("Hello"))) == "Hi"', WITH_REQUESTS),
    "a second attempt loads what waits": ('assert client.chat("Hello").text == "Hi"', {*WITH_REQUESTS, "tenacity"}),
    "a first conversation loads its models": (
        "client.conversation()",
        {*WITH_REQUESTS, "tenacity", "llmclients.conversation"},
    ),
}
"""A program, and which of what is watched is there after each of its steps."""
A_MODEL = """
import pydantic
class Model(pydantic.BaseModel): number: int
"""
"""What it loads, an older pydantic's `importlib.metadata` too, is there before; so is coverage, where that runs."""
BUILT = """
from llmclients.types.base import Model
def models(base):
    return {model for kind in base.__subclasses__() for model in {kind} | models(kind)}
print(*{model.__pydantic_complete__ for model in models(Model)})
"""
SERIALIZED = """
from typing import Any
from pydantic import BaseModel
from llmclients.types.request import ChatRequest
class Own(BaseModel):
    item: Any
print(Own(item=ChatRequest.from_messages("Hi", model="m").messages).model_dump_json(exclude_none=True))
"""


def test_each_step_of_a_program_loads_what_it_needs_and_builds_no_validator(subtests: pytest.Subtests) -> None:
    events = http(headers=[("Content-Type", "text/event-stream")], body=EVENTS)
    busy = http("503 Busy", [("retry-after-ms", "1"), ("Connection", "close")])
    answers = [http(body=REPLY)], [events], [busy, END], [http(body=REPLY)]
    with FaultServer(*answers, per_request=True) as server:
        steps = [step.replace("{url}", server.url) for step, _ in ONE_STEP_AFTER_THE_OTHER.values()]
        before, *found = loaded_by(A_MODEL, *steps[:4], f"{BUILT}{SERIALIZED}", *steps[4:], watched=WATCHED)
        built, (serialized,) = found[4], found[5]
        assert server.exchanges == 4
    for (name, (_, loaded)), there in zip(ONE_STEP_AFTER_THE_OTHER.items(), [*found[:4], *found[7:]], strict=True):
        with subtests.test(name):
            assert there - before == loaded - before
    with subtests.test("no validator is built"):
        # An older pydantic builds all but those that nothing is ever validated as.
        assert built == ({"False"} if _BUILT_ON_FIRST_USE else {"False", "True"})
    with subtests.test("what was never built is serialized as if it were"):
        assert serialized == '{"item":[{"role":"user","content":"Hi"}]}'


LOOK_FOR_PYDANTIC = """
import sys
class Look:
    def find_spec(self, name, path=None, target=None):
        if name == "pydantic":
            frame = sys._getframe()
            while frame := frame.f_back:
                if frame.f_globals["__name__"].startswith("llmclients"):
                    importers.append(frame.f_globals["__name__"])
importers = []
sys.meta_path.insert(0, Look())
"""
"""What follows it has the modules of the package that were being imported when pydantic was, the innermost first."""


def test_a_client_is_imported_without_what_only_a_failure_or_a_mistake_needs() -> None:
    program = """
import re, sys
compiled, compile_pattern = set(), re.compile
def noted(*args):
    compiled.add(sys._getframe(1).f_globals["__name__"])
    return compile_pattern(*args)
re.compile = noted
from llmclients import Client
from llmclients.types.base import Model
def models(base):
    return {model for kind in base.__subclasses__() for model in {kind} | models(kind)}
texts = {
    f"{model.__name__}.{name}"
    for model in models(Model)
    for name, annotation in vars(model).get("__annotations__", {}).items()
    if isinstance(annotation, str)
}
print(*(name for name in compiled if name.startswith("llmclients")))
print(*sorted(texts))
print(*importers)
"""
    patterns, texts, importers = run(LOOK_FOR_PYDANTIC + program).split("\n")

    assert patterns == ""
    # Types that pydantic has to compile: of members of their own class, and of one that is alone in its module.
    assert texts.split() == ["Chunk.other_choices", "CodecOptions.think_tags", "TokenLogprob.top"]
    # Not from deep within imports.
    assert importers.split() == ["llmclients.types.response", "llmclients.client", "llmclients"]


def test_an_async_client_imports_pydantic_first_and_a_conversation_s_models_come_with_the_first_one() -> None:
    program = """
from llmclients import AsyncClient
from llmclients.transports.mock import MockTransport
client = AsyncClient("ylokh", base_url="http://mock", transport=MockTransport())
print(*importers)
for _ in range(2):
    print("llmclients.conversation" in sys.modules)
    client.conversation()
"""

    importers, *there = run(LOOK_FOR_PYDANTIC + program).split("\n")

    assert importers.split() == ["llmclients.types.response", "llmclients.async_client", "llmclients"]
    assert there == ["False", "True"]


def test_threads_may_all_be_the_first_to_use_a_model() -> None:
    program = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from llmclients.types.messages import Message
from llmclients.types.request import ChatRequest
sys.setswitchinterval(1e-6)
barrier = Barrier(16)
def ask(_):
    barrier.wait()
    return ChatRequest.from_messages([Message("user", "Hi")], temperature=1).model_dump_json(exclude_none=True)
with ThreadPoolExecutor(16) as pool:
    print(*set(pool.map(ask, range(16))))
"""

    assert run(program) == '{"messages":[{"role":"user","content":"Hi"}],"temperature":1}'
