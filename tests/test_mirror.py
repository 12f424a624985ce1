"""The two clients are mirror images: the same names, parameters, defaults and kinds; only some are awaited."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import llmclients
from llmclients import (
    AsyncClient,
    AsyncConversation,
    AsyncStream,
    Client,
    ConfigurationError,
    Conversation,
    MapOptions,
    Stream,
)
from llmclients.base_client import BaseClient
from llmclients.bulk.async_map import AsyncMapResults
from llmclients.bulk.map import MapResults
from llmclients.calls.arguments import tool_options
from llmclients.calls.overrides import Overrides
from llmclients.calls.tool_options import ToolOptions
from llmclients.config.client import ClientOptions
from llmclients.testing import MockTransport
from llmclients.types.options import ChatOptions

PAIRS = [(Client, AsyncClient), (Stream, AsyncStream), (Conversation, AsyncConversation), (MapResults, AsyncMapResults)]
AWAITED = {
    "Client": {"chat", "bulk", "models", "close", "__aenter__", "__aexit__"},
    "Stream": {"close", "__aenter__", "__aexit__", "__anext__"},
    "Conversation": {"chat"},
    "MapResults": {"close", "__aenter__", "__aexit__", "__anext__"},
}
PER_CALL = ("system", "timeout", "headers", "retry")
TOOLS = ("run_tools", "max_turns", "on_tool_call", "on_tool_result", "raise_tool_errors")
PROTOCOLS = {"__aenter__": "__enter__", "__aexit__": "__exit__", "__aiter__": "__iter__", "__anext__": "__next__"}

pairs = pytest.mark.parametrize(("sync", "mirror"), PAIRS, ids=lambda kind: kind.__name__)


def public(kind: type[Any]) -> dict[str, Any]:
    """Public names, and those of the with and for protocols under their synchronous names."""
    found = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith(("llmclients", "collections.abc", "typing")):
            for name in vars(base):
                plain = PROTOCOLS.get(name, name)
                if getattr(vars(base)[name], "__module__", "") == "llmclients.misuse":
                    continue  # the other kind's method, which says so
                if not name.startswith("_") or plain in PROTOCOLS.values():
                    found[plain] = inspect.getattr_static(kind, name)
    return found


def plainly(annotation: Any) -> str:
    """An annotation without its async words."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    text = text.replace("httpx.AsyncClient", "requests.Session")
    text = re.sub(r"^OpeningStream\[(.+)\]$", r"\1", text)  # what can be awaited, or entered
    return re.sub(r"\bAsync(?=[A-Z])", "", text)


def parameters(function: Any) -> list[tuple[str, Any, Any, str]]:
    return [
        (parameter.name, parameter.kind, parameter.default, plainly(parameter.annotation))
        for parameter in inspect.signature(function).parameters.values()
    ]


@pairs
def test_both_have_the_same_public_names(sync: type[Any], mirror: type[Any]) -> None:
    assert mirror.__name__ == f"Async{sync.__name__}"
    assert public(sync).keys() == public(mirror).keys()
    assert {name: type(value) for name, value in public(sync).items()} == {
        name: type(value) for name, value in public(mirror).items()
    }


def test_the_names_are_the_documented_ones() -> None:
    assert set(public(Client)) == {
        *("chat", "stream", "map", "bulk", "conversation", "with_options", "models", "close", "__enter__", "__exit__"),
    }
    assert set(public(Stream)) == {
        *("response", "open", "text_stream", "objects", "partial", "partial_tool_calls", "close"),
        *("__enter__", "__exit__", "__iter__", "__next__"),
    }
    assert {"chat", "stream", "bind"} <= set(public(Conversation))
    assert set(Conversation.model_fields) == {
        *("provider", "model", "system", "messages", "state", "turns", "options"),
    }


@pairs
def test_both_have_the_same_parameters_defaults_and_types(sync: type[Any], mirror: type[Any]) -> None:
    functions = {name: value for name, value in public(sync).items() if inspect.isfunction(value)}
    assert functions

    for name, function in functions.items():
        other = public(mirror)[name]
        assert parameters(function) == parameters(other), name
        returns = [plainly(inspect.signature(side).return_annotation) for side in (function, other)]
        assert returns[0] == returns[1], name
    assert parameters(sync.__init__)[1:] == parameters(mirror.__init__)[1:]


def test_the_client_s_arguments_are_the_documented_ones() -> None:
    found = {name: (kind.name, default) for name, kind, default, _ in parameters(Client.__init__)[1:]}

    assert list(found) == ["provider", "transport", "log", "options"]
    assert list(ClientOptions.__annotations__) == [
        *("model", "api_key", "base_url", "region", "model_path", "context_size", "threads", "headers", "timeout"),
        *("retry", "proxy", "fallback", "defaults", "trust_env", "verify", "cert", "max_response_bytes", "limits"),
    ]
    for name in ("provider", "transport", "log", *ClientOptions.__annotations__):
        assert re.search(rf"^ +{name}: ", BaseClient.__init__.__doc__ or "", re.MULTILINE), name
    assert found["provider"] == ("POSITIONAL_OR_KEYWORD", "local")
    assert found["transport"] == found["log"] == ("KEYWORD_ONLY", None)
    assert found["options"][0] == "VAR_KEYWORD"
    assert [name for name, kind, _, _ in parameters(Client.chat)] == [
        *("self", "messages", "model", *PER_CALL, *TOOLS, "options"),
    ]
    assert [name for name, kind, _, _ in parameters(Client.stream)] == [
        *("self", "messages", "model", *PER_CALL, "restart", *TOOLS, "options"),
    ]
    assert [name for name, kind, _, _ in parameters(Client.conversation)] == [
        *("self", "system", "model", "messages", "options"),
    ]


@pairs
def test_what_waits_is_awaited_and_nothing_else(sync: type[Any], mirror: type[Any]) -> None:
    awaited = {name for name in dir(mirror) if inspect.iscoroutinefunction(inspect.getattr_static(mirror, name, None))}

    assert {name for name in awaited if not name.startswith("_") or name in PROTOCOLS} == AWAITED[sync.__name__]
    assert not any(inspect.iscoroutinefunction(value) for value in public(sync).values())


@pairs
def test_both_say_the_same_about_each_method(sync: type[Any], mirror: type[Any]) -> None:
    for name, value in public(sync).items():
        if inspect.isfunction(value) and not name.startswith("_"):
            assert value.__doc__, f"{sync.__name__}.{name} has no words"
            assert public(mirror)[name].__doc__, f"{mirror.__name__}.{name} has no words"
            arguments = re.findall(r"^ +(\w+): ", value.__doc__, re.MULTILINE)
            assert re.findall(r"^ +(\w+): ", public(mirror)[name].__doc__, re.MULTILINE) == arguments, name


# --- the arguments of a call ----------------------------------------------------------------------------------------
# They are written out wherever a call is made, for `help()`, for editors and for what a checker says of a mistake: a
# `TypedDict` for `**options` shows none of them, nor their defaults. So there are copies, and here each is held to
# `Client.chat`'s: those that run, and those that stand there for type checkers alone.


def copies() -> Iterator[tuple[str, dict[str, tuple[str, str]]]]:
    """Each `chat` and `stream` in the code: where, and its keyword arguments with their types and defaults."""
    for module in ("client", "async_client", "base_client", "conversation"):
        tree = ast.parse((Path(llmclients.__file__).parent / f"{module}.py").read_text(encoding="utf-8"))
        for kind in filter(lambda node: isinstance(node, ast.ClassDef), tree.body):
            for method in ast.walk(kind):
                if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and method.name in ("chat", "stream"):
                    named = zip(method.args.kwonlyargs, method.args.kw_defaults, strict=True)
                    yield (
                        f"{kind.name}.{method.name}",  # type: ignore[attr-defined]
                        {arg.arg: (ast.unparse(arg.annotation), ast.unparse(value)) for arg, value in named},  # type: ignore[arg-type]
                    )


def test_every_copy_of_the_call_s_arguments_is_the_same(subtests: pytest.Subtests) -> None:
    found = list(copies())
    chat = dict(found)["Client.chat"]
    assert list(chat) == ["model", *PER_CALL, *TOOLS]
    assert {where for where, _ in found} == {
        *("Client.chat", "Client.stream", "AsyncClient.chat", "AsyncClient.stream", "BaseClient.stream"),
        *("Conversation.chat", "Conversation.stream", "AsyncConversation.chat", "AsyncConversation.stream"),
    }
    for where, arguments in found:
        with subtests.test(where):
            expected = [*(() if "Conversation" in where else ("model",)), *PER_CALL]
            expected += [*(("restart",) if "stream" in where else ()), *TOOLS]
            assert list(arguments) == expected
            assert arguments == {name: {**chat, "restart": ("bool", "False")}[name] for name in expected}
    with subtests.test("MapOptions"):
        own = {
            name: hint for name, hint in MapOptions.__annotations__.items() if name not in ChatOptions.__annotations__
        }
        shown = {name: re.sub(r"ForwardRef\('(.*?)'.*", r"\1", str(hint)) for name, hint in own.items()}
        assert shown == {name: kind.replace("llmclients.", "") for name, (kind, _) in chat.items()}
    with subtests.test("defaults"):
        defaults = {name: ast.literal_eval(value) for name, (_, value) in chat.items() if value != "UNSET"}
        for function in (tool_options, Overrides.given):
            taken = inspect.signature(function).parameters
            assert {name: taken[name].default for name in taken if name != "retry"} == {
                name: defaults[name] for name in taken if name != "retry"
            }
        assert ToolOptions()._asdict() == {name: defaults[name] for name in ToolOptions._fields}


BAD = {
    "system": "",
    "timeout": -1,
    "headers": {"a b": "c"},
    "retry": 0,
    "run_tools": "yes",
    "max_turns": 0,
    "on_tool_call": 5,
    "on_tool_result": 5,
    "raise_tool_errors": "yes",
}
"""A value that none of them can have."""


def ask(method: Any, **options: Any) -> None:
    called = method(["Hi"] if method.__name__ == "map" else "Hi", **options)
    if inspect.iscoroutine(called):
        asyncio.run(called)


def test_every_copy_hands_on_each_argument(subtests: pytest.Subtests) -> None:
    def weather() -> str:
        return ""

    assert BAD.keys() == {*PER_CALL, *TOOLS}
    ways = ("chat", "stream", "map")
    for kind in (Client, AsyncClient):
        mock = MockTransport()
        client: Any = kind("openai/m", api_key="k", transport=mock)
        for where, way in [(client, way) for way in ways] + [(client.conversation(), way) for way in ways[:2]]:
            for name, value in BAD.items():
                tools = {"run_tools": True, "tools": [weather]} if name in TOOLS else {}
                with subtests.test(f"{type(where).__name__}.{way}({name}=)"):
                    with pytest.raises(ConfigurationError) as caught:
                        ask(getattr(where, way), **{**tools, name: value})
                    assert str(caught.value.argument).partition(".")[0] == name
        assert mock.requests == []
