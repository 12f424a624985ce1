"""The two clients are mirror images: the same names, parameters, defaults and kinds; only some are awaited."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from llmclients import AsyncClient, AsyncConversation, AsyncStream, Client, Conversation, Stream
from llmclients.base_client import BaseClient
from llmclients.config.client import ClientOptions

PAIRS = [(Client, AsyncClient), (Stream, AsyncStream), (Conversation, AsyncConversation)]
AWAITED = {
    "Client": {"chat", "models", "close", "__aenter__", "__aexit__"},
    "Stream": {"close", "__aenter__", "__aexit__", "__anext__"},
    "Conversation": {"chat"},
}
PER_CALL = ("system", "timeout", "headers", "retry")
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
        *("chat", "stream", "conversation", "with_options", "models", "close", "__enter__", "__exit__"),
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
        *("retry", "proxy", "fallback", "defaults", "trust_env", "verify", "cert", "max_response_bytes"),
    ]
    for name in ("provider", "transport", "log", *ClientOptions.__annotations__):
        assert re.search(rf"^ +{name}: ", BaseClient.__init__.__doc__ or "", re.MULTILINE), name
    assert found["provider"] == ("POSITIONAL_OR_KEYWORD", "local")
    assert found["transport"] == found["log"] == ("KEYWORD_ONLY", None)
    assert found["options"][0] == "VAR_KEYWORD"
    assert [name for name, kind, _, _ in parameters(Client.chat)] == [
        *("self", "messages", "model", *PER_CALL, "run_tools", "max_turns", "options"),
    ]
    assert [name for name, kind, _, _ in parameters(Client.stream)] == [
        *("self", "messages", "model", *PER_CALL, "restart", "options"),
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
