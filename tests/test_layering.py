"""Who may import whom, from the code's own imports: the rooms of the design, and the fences around libraries."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

import llmclients
from llmclients.testing.fault_server import FaultServer
from llmclients.testing.script import END, http
from llmclients.validation import _BUILT_ON_FIRST_USE

ROOT = Path(llmclients.__file__).parent

SHARED_CODEC_PARTS = (
    *("base", "framing", "members", "prompt", "raw_text"),
    *("chat_calls", "chat_completions", "chat_echo", "chat_errors", "chat_members", "chat_request", "dialect"),
    *("anthropic_blocks", "anthropic_messages", "anthropic_reply", "anthropic_request"),
    *("gemini_answer", "gemini_reply", "gemini_request"),
)
"""What codecs have in common, and the parts of those that are too long for one file."""

MAY_IMPORT: dict[str, set[str]] = {
    "_version": set(),
    "errors": set(),
    "masking": set(),
    "validation": {"errors"},
    "parts": {"validation", "errors"},
    "docstrings": set(),
    "models": {"validation", "parts", "tools", "formats", "errors"},
    "tools": {"validation", "parts", "docstrings", "models", "errors"},
    "formats": {"validation", "errors"},
    "config": {"errors"},
    "fold": {"models", "errors"},
    "codecs": set(),
    "codecs.base": {"validation", "parts", "models", "errors"},
    "codecs.framing": {"errors"},
    "codecs.prompt": {"models", "errors"},
    "codecs.raw_text": {"codecs.framing", "models", "errors"},
    "codecs.members": {"errors"},
    "codecs.chat_completions": {
        *("codecs.base", "codecs.chat_calls", "codecs.chat_errors", "codecs.chat_members", "codecs.framing"),
        *("codecs.members", "models", "errors"),
    },
    "codecs.chat_calls": {"codecs.members", "models"},
    "codecs.chat_errors": {"codecs.base", "errors"},
    "codecs.chat_members": {"codecs.members", "models", "errors"},
    "codecs.chat_echo": {"codecs.base", "models"},
    "codecs.chat_request": {"models", "parts"},
    "codecs.dialect": {"codecs.base", "codecs.chat_request"},
    "codecs.azure": {"codecs.base", "codecs.openai", "errors", "validation"},
    "codecs.*": {f"codecs.{part}" for part in SHARED_CODEC_PARTS} | {"validation", "parts", "models", "errors"},
    "transports": {"transports.*", "errors"},
    "transports.*": {"transports.*", "config", "errors", "_version"},
    "retry": {"config", "errors"},
    "provider": {"codecs.base", "errors"},
    "presets": {"provider"},
    "providers": {"provider", "presets", "errors"},
}
"""The lower floors: exactly this and nothing else."""

FLOORS: dict[str, float] = {
    **dict.fromkeys(MAY_IMPORT, 3),
    "settings": 4.1,
    "course": 4.2,
    "call": 4.3,
    "toolloop": 5.0,
    "conversation": 5.1,
    "client": 5.2,
    "async_client": 5.2,
    "local": 6.1,
    "testing": 6.1,
    "testing.*": 6.1,
    "testing.codec_suite": 6.15,
    "testing.codec_suite.*": 6.15,
    "": 6.2,
    "relay": 6.3,
    "relay.*": 6.3,
    "demo": 7.1,
    "cli": 7.2,
    "__main__": 7.3,
}
"""The upper ones: whatever is below. The package itself ("") stands below what may be built from its public names."""

LIBRARIES: dict[str, set[str]] = {
    "requests": {"transports.requests*"},
    "urllib3": {"transports.requests*"},
    "httpx": {"transports.httpx*"},
    "httpx_aiohttp": {"transports.httpx*"},
    "aiohttp": {"transports.httpx*", "transports.aiohttp*"},
    "multidict": {"transports.httpx*", "transports.aiohttp*"},
    "async_timeout": {"transports.loops"},  # before Python 3.11
    "tenacity": {"retry"},
    "starlette": {"relay.*"},
    "uvicorn": {"relay.*"},
    "xllamacpp": {"local"},
    "pydantic": {"validation", "parts", "models", "tools", "formats", "conversation"},
    "pydantic_core": {"codecs.*", "tools", "relay.wire"},
    "typing_extensions": {"validation", "parts", "models", "tools", "conversation"},
}
"""The only importers of each. Nothing else from outside the standard library is imported at all."""

NOT_IN_A_CODEC = {
    *("asyncio", "datetime", "http", "io", "logging", "os", "pathlib", "queue", "secrets", "select", "signal"),
    *("socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid"),
}


def modules() -> list[str]:
    """Every module of the package, without the package's own name; "" is the package itself."""
    found = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return found


@cache
def tree(module: str) -> ast.Module:
    base = ROOT.joinpath(*module.split(".")) if module else ROOT
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def is_for_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that a running program reaches: not what is only there for type checkers."""
    for child in ast.iter_child_nodes(node):
        if is_for_typing(child):
            for other in child.orelse:  # type: ignore[attr-defined]
                yield other
                yield from running(other)
        else:
            yield child
            yield from running(child)


def imports(module: str, known: frozenset[str]) -> set[str]:
    """What a module imports, in functions too. The package's own modules begin with `llmclients`."""
    found: set[str] = set()
    for node in running(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module or 'llmclients'}: imports are written in full"
            source = node.module or ""
            for alias in node.names:  # `from package import module`
                inner = f"{source}.{alias.name}".removeprefix("llmclients.")
                found.add(f"llmclients.{inner}" if source.startswith("llmclients") and inner in known else source)
    return found


KNOWN = frozenset(modules())
OWN = {
    module: {
        name.removeprefix("llmclients").removeprefix(".")
        for name in imports(module, KNOWN)
        if name.split(".")[0] == "llmclients"
    }
    for module in KNOWN
}
OUTSIDE = {module: {name for name in imports(module, KNOWN) if name.split(".")[0] != "llmclients"} for module in KNOWN}


def room(module: str, table: object) -> str:
    """The entry of a table that speaks of this module."""
    assert hasattr(table, "__contains__")
    return module if module in table else f"{module.rpartition('.')[0]}.*"


def is_part(module: str, *, of: str) -> bool:
    """Whether a module is a codec's second file: `cohere_reply` is `cohere`'s."""
    return of.startswith("codecs.") and module.startswith(f"{of}_")


@pytest.mark.parametrize("module", sorted(KNOWN))
def test_a_module_has_a_room(module: str) -> None:
    assert room(module, FLOORS) in FLOORS


@pytest.mark.parametrize("module", sorted(module for module in KNOWN if room(module, MAY_IMPORT) in MAY_IMPORT))
def test_a_lower_room_imports_what_the_design_names_and_nothing_else(module: str) -> None:
    allowed = MAY_IMPORT[room(module, MAY_IMPORT)]

    assert {
        name
        for name in OWN[module]
        if name not in allowed and room(name, allowed) not in allowed and not is_part(name, of=module)
    } == set()


@pytest.mark.parametrize("module", sorted(module for module in KNOWN if room(module, MAY_IMPORT) not in MAY_IMPORT))
def test_an_upper_room_imports_what_is_below(module: str) -> None:
    own_room = room(module, FLOORS)
    above = {
        name
        for name in OWN[module]
        if room(name, FLOORS) != own_room
        and FLOORS[room(name, FLOORS)] >= FLOORS[own_room]
        and name.partition(".")[0] != module.partition(".")[0]  # a package's own files
    }

    assert above == set()


def test_the_two_transports_know_nothing_of_each_other() -> None:
    sync = {module for module in KNOWN if fnmatch(module, "transports.requests*")}
    asynchronous = {
        module for module in KNOWN if fnmatch(module, "transports.httpx*") or fnmatch(module, "transports.aiohttp*")
    }

    assert sync
    assert asynchronous
    assert {module for module in sync if OWN[module] & asynchronous} == set()
    assert {module for module in asynchronous if OWN[module] & sync} == set()


def test_no_provider_is_known_outside_its_codec_and_the_registry() -> None:
    of_one_provider = {
        module
        for module in KNOWN
        if module.startswith("codecs.") and module.partition(".")[2] not in SHARED_CODEC_PARTS
    }
    importers = {
        module for module in KNOWN if any(not is_part(name, of=module) for name in OWN[module] & of_one_provider)
    } - {"codecs.azure"}  # is an OpenAICodec

    assert {"codecs.ylokh", "codecs.openai"} <= of_one_provider
    assert importers == set()


@pytest.mark.parametrize("module", sorted(KNOWN))
def test_a_library_is_imported_only_in_its_own_room(module: str) -> None:
    outside = {name.partition(".")[0] for name in OUTSIDE[module]} - sys.stdlib_module_names
    strangers = {name for name in outside if not any(fnmatch(module, fence) for fence in LIBRARIES.get(name, ()))}

    assert strangers == set()


def test_the_fence_around_each_library_has_somebody_inside() -> None:
    for library in set(LIBRARIES) - {"xllamacpp", "async_timeout"}:  # loaded by its name; only for an old Python
        assert any(library in {name.partition(".")[0] for name in OUTSIDE[module]} for module in KNOWN), library


@pytest.mark.parametrize("module", sorted(module for module in KNOWN if module.startswith("codecs")))
def test_a_codec_is_pure(module: str) -> None:
    assert {name.partition(".")[0] for name in OUTSIDE[module]} & NOT_IN_A_CODEC == set()
    assert "random" not in OUTSIDE[module] or module == "codecs.base", "dice come with the context"


ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
PROXIES = {"getproxies", "getproxies_environment", "proxy_bypass", "proxy_bypass_environment", "get_environ_proxies"}


def reads_environment(module: str) -> bool:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute) and (
            (node.attr in ENVIRONMENT and isinstance(node.value, ast.Name) and node.value.id == "os")
            or node.attr in PROXIES
        ):
            return True
        if isinstance(node, ast.ImportFrom) and node.module in ("os", "urllib.request", "requests.utils"):
            names = {alias.name for alias in node.names}
            if names & (ENVIRONMENT | PROXIES):
                return True
    return False


def test_only_config_reads_the_environment() -> None:
    assert {module for module in KNOWN if reads_environment(module)} == {"config"}


def test_only_call_s_rooms_log() -> None:
    assert {module for module in KNOWN if "logging" in OUTSIDE[module]} <= {
        "call",
        "course",
        "cli",
        "demo",
        "relay.app",
        "relay.server",
    }


def test_what_is_there_for_type_checkers_does_not_count() -> None:
    node = ast.parse("if TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    import c\n")

    assert [child.names[0].name for child in running(node) if isinstance(child, ast.Import)] == ["b", "c"]


# --- what is loaded when --------------------------------------------------------------------------------------------

HEAVY = ("requests", "urllib3", "httpx", "httpcore", "aiohttp", "httpx_aiohttp", "tenacity", "starlette", "uvicorn")
CLIENTS = ("AsyncClient", "AsyncStream", "Client", "Stream")


def loaded_by(program: str, watched: tuple[str, ...] = HEAVY) -> set[str]:
    """Which of these modules a fresh interpreter has loaded after this program."""
    return set(run(f"{program}\nimport sys\nprint(*(name for name in {watched!r} if name in sys.modules))").split())


def run(program: str) -> str:
    """The last line that a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_importing_the_package_loads_no_heavy_library() -> None:
    assert loaded_by("import llmclients") == set()


def test_neither_does_any_public_name_but_the_clients() -> None:
    names = [name for name in llmclients.__all__ if name not in CLIENTS]

    assert loaded_by(f"import llmclients\nfor name in {names!r}: getattr(llmclients, name)") == set()


def test_neither_does_loading_every_codec() -> None:
    program = "from llmclients.providers import *\nfor name in provider_names(): find_provider(name).load_codec()"

    assert loaded_by(program) == set()


def test_a_client_loads_requests_and_not_what_the_async_one_needs() -> None:
    loaded = loaded_by("from llmclients import Client\nClient('ylokh', base_url='http://127.0.0.1:1').close()")

    assert loaded == {"requests", "urllib3"}


def test_an_async_client_loads_httpx_and_not_what_the_other_needs() -> None:
    loaded = loaded_by("from llmclients import AsyncClient\nAsyncClient('ylokh', base_url='http://127.0.0.1:1')")

    assert {"httpx", "aiohttp", "httpx_aiohttp"} <= loaded
    assert not loaded & {"requests", "urllib3", "tenacity"}


def test_a_client_with_a_scripted_transport_loads_no_http_library() -> None:
    program = """
from llmclients import AsyncClient, Client
from llmclients.transports.mock import MockTransport
for kind in (Client, AsyncClient):
    kind("ylokh", base_url="http://mock", transport=MockTransport())
"""

    assert loaded_by(program) == set()


RARE = (
    *("asyncio", "difflib", "httpx", "httpx_aiohttp", "aiohttp", "tenacity", "xllamacpp", "pydantic.v1"),
    *("llmclients.async_client", "llmclients.conversation", "llmclients.local", "llmclients.transports.mock"),
)
"""What a program that makes a `Client` and lets it chat does without."""

FIRST_CHAT = """
from llmclients import Client
client = Client("openai", model="m", base_url="{url}", api_key="key", retry=2)
assert client.chat("Hello").text == "Hi"
"""
REPLY = b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1}}'


@pytest.mark.parametrize(("refusals", "loaded"), [(0, set()), (1, {"tenacity"})])
def test_a_first_chat_loads_nothing_that_only_few_programs_need(refusals: int, loaded: set[str]) -> None:
    busy = http("503 Busy", [("retry-after-ms", "1"), ("Connection", "close")])
    with FaultServer(*[[busy, END]] * refusals, [http(body=REPLY)]) as server:
        assert loaded_by(FIRST_CHAT.format(url=server.url), RARE) == loaded
        assert server.exchanges == refusals + 1


@pytest.mark.parametrize("name", ["Client", "AsyncClient"])
def test_a_conversation_s_models_come_with_the_first_conversation(name: str) -> None:
    program = f"""
from llmclients import {name}
from llmclients.transports.mock import MockTransport
client = {name}("ylokh", base_url="http://mock", transport=MockTransport())
"""

    assert loaded_by(program, RARE) & {"llmclients.conversation"} == set()
    assert loaded_by(program + "client.conversation()", RARE) >= {"llmclients.conversation"}


STREAM = """
from llmclients import Client
client = Client("openai", model="m", base_url="{url}", api_key="key", retry=None)
assert "".join(map(str, client.stream("Hello"))) == "Hi"
"""
EVENTS = b'data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
BUILT = """
from llmclients.validation import Model
def models(base):
    return {model for kind in base.__subclasses__() for model in {kind} | models(kind)}
print(*{model.__pydantic_complete__ for model in models(Model)})
"""


@pytest.mark.parametrize(("program", "reply"), [
    (FIRST_CHAT, http(body=REPLY)),
    (STREAM, http(headers=[("Content-Type", "text/event-stream")], body=EVENTS)),
], ids=["chat", "stream"])  # fmt: skip
def test_a_plain_chat_builds_no_validator(program: str, reply: bytes) -> None:
    with FaultServer([reply]) as server:
        done = run(program.format(url=server.url) + BUILT)

    # An older pydantic builds all but those that nothing is ever validated as.
    assert set(done.split()) == ({"False"} if _BUILT_ON_FIRST_USE else {"False", "True"})


def test_what_was_never_built_is_serialized_as_if_it_were() -> None:
    program = """
from typing import Any
from pydantic import BaseModel
from llmclients.models import ChatRequest
class Own(BaseModel):
    item: Any
print(Own(item=ChatRequest.of("Hi", model="m").messages).model_dump_json(exclude_none=True))
"""

    assert run(program) == '{"item":[{"role":"user","content":"Hi"}]}'


def test_threads_may_all_be_the_first_to_use_a_model() -> None:
    program = """
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from llmclients.models import ChatRequest, Message
sys.setswitchinterval(1e-6)
barrier = Barrier(16)
def ask(_):
    barrier.wait()
    return ChatRequest.of([Message("user", "Hi")], temperature=1).model_dump_json(exclude_none=True)
with ThreadPoolExecutor(16) as pool:
    print(*set(pool.map(ask, range(16))))
"""

    assert run(program) == '{"messages":[{"role":"user","content":"Hi"}],"temperature":1}'
