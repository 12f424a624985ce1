"""Who may import whom: the rules that the house in docs/architecture.md stands on, read off the code's own imports.

A rule names modules and what they may import; the most specific rule speaks. So a new file in a package needs no entry,
and a new arrow between packages is seen. `{own}` is the module's own package.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from tests import package_code
from tests.package_code import FILES, ROOT

TYPES = ("types.*", "errors")
SHARED_CODECS = tuple(
    f"codecs.{name}"
    for name in (
        *("addresses", "base", "bodies", "call_arguments", "errors", "framing", "json_fields", "json_text", "payloads"),
    )
)
VALUES = ("config.values", "config.environment", "config.certificates")
SHARED_TRANSPORTS = tuple(
    f"transports.{name}"
    for name in (
        "addresses",
        "base",
        "content_encoding",
        "cycles",
        "errors",
        "framing",
        "head",
        "outgoing",
        "request",
        "socks",
        "waiting",
    )
)
CALL = ("codecs.base", "config.*", "providers.*", "transports.base", "transports.waiting", *TYPES)
CLIENT = (
    "",  # whose public names, loaded when a hint is evaluated, stand in the signatures
    "base_client",
    "base_stream",
    "misuse",
    "driver",
    "async_driver",
    "stream",
    "async_stream",
    "calls.*",
    "conversation",
    "saved_conversation",
    "transports",
    *CALL,
)
PROGRAM = ("", "_version", "async_client", "client", "conversation", *CLIENT, "local.*")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "_version": (),
    "tuning": (),
    "errors": (),
    "misuse": (),
    "types.*": TYPES,
    "config": (),
    "config.values": ("errors",),
    "config.certificates": ("errors",),
    "config.environment": (*VALUES, "errors"),
    "config.credentials": ("config.environment", "config.stored_keys", "providers.*", "errors"),
    "config.endpoint": ("config.environment", "codecs.addresses", "codecs.base", "providers.*", "errors"),
    "config.pickled": ("config.*", "providers.*", "errors"),
    "config.server": ("providers.*", "errors"),
    "config.parts": ("codecs.base", *TYPES),
    "config.hints": (),
    "config.fallback": ("config.hints", "codecs.base", *TYPES),
    "config.client": ("config.*", "codecs.base", "providers.*", "transports.base", "transports.stand_in", *TYPES),
    "codecs.*": (*SHARED_CODECS, *TYPES),
    "codecs.*.*": ("{own}.*", *SHARED_CODECS, *TYPES),
    "transports": ("transports.*", "transports.*.*", "errors"),
    "transports.*": (*SHARED_TRANSPORTS, *VALUES, "errors", "_version"),
    "transports.mock": ("transports.mock_script", *SHARED_TRANSPORTS, *VALUES, "errors"),
    "transports.*.*": ("{own}.*", *SHARED_TRANSPORTS, *VALUES, "errors", "_version"),
    "providers.*": ("providers.*", "codecs.base", "errors"),
    "calls.*": ("calls.*", *CALL),
    "conversation": ("", "saved_conversation", "calls.*", *CALL),
    "saved_conversation": ("", "calls.*", *CALL),
    "base_client": ("", "bulk.cooldown", "bulk.rows", "calls.*", "history.recording", *CALL),
    "base_stream": ("calls.*", *CALL),
    "driver": ("calls.*", "transports", *CALL),
    "async_driver": ("calls.*", "transports", *CALL),
    "stream": ("base_stream", "misuse", "driver", "calls.*", "transports", *CALL),
    "async_stream": ("base_stream", "misuse", "async_driver", "calls.*", "transports", *CALL),
    "client": (*CLIENT, "bulk.map", "bulk.stopping", "bulk.arguments", "bulk.cluster", "bulk.in_thread"),
    "async_client": (*CLIENT, "bulk.async_map", "bulk.arguments", "bulk.bulk", "bulk.cluster"),
    "bulk": ("bulk.limits", "bulk.bulk_report"),
    "bulk.*": ("bulk.*", "misuse", "config.values", "transports.base", "transports.waiting", *TYPES),
    # a run: it asks, so it stands on the calls and a driver, and knows nothing of the clients
    "bulk.row": ("bulk.*", "calls.arguments", *TYPES),
    "bulk.asking": ("bulk.*", "async_driver", "calls.*", "config.client", "transports", *TYPES),
    "bulk.bulk": ("bulk.*", "calls.*", "config.*", "transports", *TYPES),
    "bulk.opening": ("bulk.*", "config.*", *TYPES),
    # on a cluster: what the caller does, and what a worker does with the settings that it is given
    "bulk.cluster": ("bulk.*", "calls.*", "config.*", *TYPES),
    "bulk.shard_job": ("bulk.*", "_version", "config.client", *TYPES),
    "bulk.shard_loop": ("bulk.*", "config.client", *TYPES),
    "bulk.shard_worker": ("bulk.*", "transports", *TYPES),
    "bulk.in_thread": ("bulk.*", "config.client", "transports", "transports.waiting", *TYPES),
    "bulk.options": ("calls.overrides", "calls.tool_options", "config.values", *TYPES),
    "mcp": TYPES,
    "": ("_version", "config.values", "providers.*", *TYPES),
    "local.*": ("local.*", *VALUES, "errors"),
    "testing": ("testing.*", "transports.mock"),
    "testing.*": ("testing.*", "transports.mock", "transports.stand_in", *TYPES),
    "testing.wires.*": ("{own}.*", "testing.answer", "transports.mock", *TYPES),
    "testing.codec_suite": ("testing.*", "transports.mock", *PROGRAM),
    "testing.codec_suite.*": ("testing.*", "transports.mock", *PROGRAM),
    "relay": ("relay.*", "errors"),
    "relay.*": ("relay.*", "transports.content_encoding", "transports.cycles", *PROGRAM),
    "relay.codecs.*": ("{own}.*", "relay.errors", "codecs.*.names", "codecs.raw_text.prompt", *TYPES),
    "relay.page.*": ("{own}.*", "relay.*", "history", *PROGRAM),
    "config.stored_keys": ("config.environment", "errors"),
    "history": ("history.*",),
    "history.*": ("history.*", "config.environment", *TYPES),
    "history.recording": ("history.*", "calls.recorded", *TYPES),
    "demo": ("relay.*", *PROGRAM),
    "cli.*": ("bulk", "cli.*", "cli.markdown.*", "history.*", "relay.*", "demo", *PROGRAM),
    "cli.markdown.*": ("cli.markdown.*",),
    "__main__": ("cli.*",),
}
"""For each room, the most specific rule first to speak: what it may import besides packages that hold only a docstring."""

LIBRARIES: dict[str, set[str]] = {
    "requests": {"transports.requests.*"},
    "urllib3": {"transports.requests.*"},
    "httpx": {"transports.httpx.user_client", "transports.httpx.base_transport"},
    "certifi": {"transports.httpx.transport"},
    "idna": {"config.environment"},
    "pytest": {"testing.pytest_plugin"},
    "socksio": {"transports.socks"},
    "tenacity": {"calls.retry"},
    "prometheus_client": {"relay.metrics"},
    "starlette": {"relay.*"},
    "tomli": {"relay.config"},
    "uvicorn": {"relay.*"},
    "xllamacpp": {"local.*"},
    "platformdirs": {"history.paths"},
    "argcomplete": {"cli.completion"},
    "keyring": {"config.stored_keys"},
    "prompt_toolkit": {"cli.prompting", "cli.session"},
    "cloudpickle": {"bulk.shard_job", "bulk.shard_rows"},
    "distributed": {"bulk.dask_cluster", "bulk.shard_worker"},
    "pygments": {"cli.markdown.code"},
    "wcwidth": {"cli.markdown.cells"},
    "pydantic": {"types.*", "saved_conversation", "mcp"},
    "mcp": {"mcp"},
    "pydantic_core": {
        "bulk.inputs",
        "bulk.record",
        "codecs.*",
        "types.signatures",
        "calls.tool_runner",
        "relay.codecs.*",
    },
    "typing_extensions": {
        *("types.*", "conversation", "saved_conversation", "config.*", "base_client", "client", "async_client"),
    },
}
"""The only importers of each. Nothing else from outside the standard library is imported at all."""

NOT_IN_A_CODEC = {
    *("asyncio", "datetime", "http", "io", "logging", "os", "pathlib", "queue", "secrets", "select", "signal"),
    *("socket", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "urllib", "uuid"),
}


def modules() -> dict[str, Path]:
    """Every module of the package, without the package's own name; "" is the package itself."""
    found = {}
    for path in FILES:
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


PATHS = modules()
KNOWN = frozenset(PATHS)


def is_for_typing(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def running(node: ast.AST) -> Iterator[ast.AST]:
    """Every statement below this node that a running program reaches: not what is only there for type checkers."""
    todo = [node]
    while todo:
        for child in ast.iter_child_nodes(todo.pop()):
            if isinstance(child, ast.expr):  # has no statement inside
                continue
            reached = child.orelse if is_for_typing(child) else [child]  # type: ignore[attr-defined]
            yield from reached
            todo += reached


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports, in functions too. The package's own modules begin with `llmclients`."""
    found: set[str] = set()
    for node in running(package_code.tree(PATHS[module])):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module or 'llmclients'}: imports are written in full"
            source = node.module or ""
            for alias in node.names:  # `from package import module`
                inner = f"{source}.{alias.name}".removeprefix("llmclients.")
                found.add(f"llmclients.{inner}" if source.startswith("llmclients") and inner in KNOWN else source)
    return frozenset(found)


@cache
def own(module: str) -> set[str]:
    """What it imports of the package, named as in `KNOWN`."""
    found = (name for name in imports(module) if name.split(".")[0] == "llmclients")
    return {name.removeprefix("llmclients").removeprefix(".") for name in found}


@cache
def outside(module: str) -> set[str]:
    """What it imports of other packages."""
    return {name for name in imports(module) if name.split(".")[0] != "llmclients"}


def rule_for(module: str) -> str:
    """The most specific rule that speaks of a module."""
    fitting = [pattern for pattern in MAY_IMPORT if matches(module, [pattern])]
    assert fitting, f"{module}: no rule says what it may import"
    return max(fitting, key=lambda pattern: (pattern == module, pattern.count(".")))


def matches(module: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(module, pattern) or f"{module}.*" == pattern for pattern in patterns)


def circles(arrows: dict[str, set[str]]) -> set[frozenset[str]]:
    """The sets of modules that reach one another."""

    def reached(start: str) -> set[str]:
        todo, seen = list(arrows[start]), set[str]()
        while todo:
            if (module := todo.pop()) not in seen:
                seen.add(module)
                todo += arrows[module]
        return seen

    beyond = {module: reached(module) for module in arrows}
    return {
        frozenset({module, *(other for other in beyond[module] if module in beyond[other])})
        for module in arrows
        if module in beyond[module]
    }


def test_a_module_imports_what_its_room_may() -> None:
    found = {}
    for module in KNOWN:
        room = module.rpartition(".")[0] or module
        allowed = [pattern.format(own=room) for pattern in MAY_IMPORT[rule_for(module)]]
        if others := {name for name in own(module) if not matches(name, allowed)}:
            found[module] = others

    assert found == {}


def test_no_modules_import_each_other() -> None:
    assert circles({module: own(module) for module in KNOWN}) == set()


def test_a_circle_is_seen() -> None:
    arrows: dict[str, set[str]] = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}

    assert circles(arrows) == {frozenset({"b", "c"})}


def test_the_rules_are_all_of_use() -> None:
    assert {rule_for(module) for module in KNOWN} == set(MAY_IMPORT)


def test_a_library_is_imported_only_in_its_own_room() -> None:
    found, standard = {}, sys.stdlib_module_names | {"tomllib"}  # which Python 3.10 has not
    for module in KNOWN:
        libraries = {name.partition(".")[0] for name in outside(module)} - standard
        if strangers := {name for name in libraries if not matches(module, LIBRARIES.get(name, ()))}:
            found[module] = strangers

    assert found == {}


def test_the_fence_around_each_library_has_somebody_inside() -> None:
    for library in set(LIBRARIES) - {"xllamacpp"}:  # loaded by its name
        assert any(library in {name.partition(".")[0] for name in outside(module)} for module in KNOWN), library


def test_a_codec_is_pure() -> None:
    for module in (module for module in KNOWN if module.startswith("codecs")):
        assert {name.partition(".")[0] for name in outside(module)} & NOT_IN_A_CODEC == set(), module
        assert "random" not in outside(module) or module == "codecs.base", f"{module}: dice come with the context"


ENVIRONMENT = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
PROXIES = {"getproxies", "getproxies_environment", "proxy_bypass", "proxy_bypass_environment", "get_environ_proxies"}


READERS = re.compile("|".join(ENVIRONMENT | PROXIES))


def reads_environment(module: str) -> bool:
    if not READERS.search(package_code.source(PATHS[module])):
        return False
    for node in package_code.walk(package_code.tree(PATHS[module])):
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
    assert {module for module in KNOWN if reads_environment(module)} == {"config.environment"}


def test_only_call_s_rooms_log() -> None:
    rooms = {module for module in KNOWN if "logging" in outside(module)}
    servers = {module for module in rooms if matches(module, ["relay.*"]) and not matches(module, ["relay.codecs.*"])}
    programs = {"cli.opening"}  # it says where that goes
    assert rooms - servers - programs <= {"calls.base", "calls.chat", "calls.tool_runner"}


def test_what_is_there_for_type_checkers_does_not_count() -> None:
    node = ast.parse("if TYPE_CHECKING:\n    import a\nelse:\n    import b\ndef f():\n    import c\n")

    assert [child.names[0].name for child in running(node) if isinstance(child, ast.Import)] == ["b", "c"]
