"""Type hints at run time: they can be evaluated, cost a call nothing, and name what there is."""

from __future__ import annotations

import ast
import inspect
import pickle
import typing
from pathlib import Path

import pytest
import typing_extensions
from pydantic import BaseModel

import llmclients
from llmclients import (
    AsyncClient,
    AsyncConversation,
    AsyncStream,
    ChatOptions,
    ChatResponse,
    Client,
    Conversation,
    Message,
    MessageDict,
    ProviderName,
    Stream,
)
from llmclients.base_client import BaseClient
from llmclients.providers.builtin import BUILT_IN
from llmclients.providers.hosts import HOSTS
from llmclients.providers.presets import PRESETS


def test_the_names_that_an_editor_completes_are_the_built_in_providers() -> None:
    assert list(typing.get_args(ProviderName)) == sorted(provider.name for provider in (*BUILT_IN, *PRESETS, *HOSTS))


def test_a_message_as_a_dict_has_the_names_that_a_message_has() -> None:
    assert list(MessageDict.__annotations__) == list(Message.model_fields)
    assert MessageDict.__required_keys__ == {"role"}


METHODS = [
    *(getattr(kind, name) for kind in (Client, AsyncClient) for name in ("__init__", "chat", "stream", "conversation")),
    *(getattr(kind, name) for kind in (Conversation, AsyncConversation) for name in ("chat", "stream")),
]


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.__qualname__)
def test_hints_can_be_evaluated(method: object) -> None:
    for get_type_hints in (typing.get_type_hints, typing_extensions.get_type_hints):
        hints = get_type_hints(method)
        if method not in (Client.__init__, AsyncClient.__init__, Client.conversation):
            (options,) = typing_extensions.get_args(hints["options"])
            assert typing_extensions.get_origin(options) is ChatOptions


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_client_s_stream_is_declared_as_it_is(
    kind: type[BaseClient[typing.Any, typing.Any, typing.Any, typing.Any]],
) -> None:
    (declared,) = (
        node
        for node in ast.walk(ast.parse(Path(inspect.getfile(kind)).read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name == "stream"
    )
    real = inspect.signature(BaseClient.stream).parameters.values()
    written = zip(declared.args.kwonlyargs, declared.args.kw_defaults, strict=True)

    assert [(one.arg, ast.unparse(one.annotation or one)) for one in declared.args.args[1:]] == [
        (one.name, one.annotation) for one in real if one.kind is one.POSITIONAL_OR_KEYWORD and one.name != "self"
    ]
    assert [
        (one.arg, ast.unparse(one.annotation or one), ast.unparse(default) if default else "None")
        for one, default in written
    ] == [(one.name, one.annotation, repr(one.default)) for one in real if one.kind is one.KEYWORD_ONLY]


class Invoice(BaseModel):
    total: float


class Kept(BaseModel):
    response: ChatResponse[Invoice]


def test_an_answer_s_type_is_for_checkers_alone() -> None:
    assert ChatResponse[Invoice] is ChatResponse
    response = ChatResponse("", parsed=Invoice(total=1))
    assert Kept(response=response).response.parsed.total == 1
    assert pickle.loads(pickle.dumps(response)) == response
    assert isinstance(response, ChatResponse)
    assert typing.get_origin(Stream[Invoice]) is Stream
    assert typing.get_origin(AsyncStream[Invoice]) is AsyncStream


def test_help_names_the_options() -> None:
    shown = str(inspect.signature(Client.chat))

    assert "**options: 'Unpack[llmclients.ChatOptions[AnswerT]]'" in shown
    assert {"ChatOptions", "MessageDict", "ProviderName"} <= set(llmclients.__all__)
