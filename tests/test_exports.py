"""The public names are exactly those documented, and each says what it is for."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import types
from typing import get_origin

import pytest

import llmclients

PUBLIC = [
    "APIConnectionError",
    "APIError",
    "APIResponseError",
    "APIStatusError",
    "APITimeoutError",
    "AccessBlockedError",
    "AsyncClient",
    "AsyncConversation",
    "AsyncStream",
    "AsyncTransport",
    "AudioPart",
    "AuthenticationError",
    "BadRequestError",
    "ChatOptions",
    "ChatRequest",
    "ChatResponse",
    "Choice",
    "Chunk",
    "Client",
    "ConfigurationError",
    "ConflictError",
    "Conversation",
    "FilePart",
    "History",
    "ImagePart",
    "InternalServerError",
    "InvalidRequestError",
    "LLMClientError",
    "MapOptions",
    "MapResult",
    "Message",
    "MessageDict",
    "MissingAPIKeyError",
    "NotFoundError",
    "OnToolCall",
    "OnToolResult",
    "OtherPart",
    "OverloadedError",
    "PartialToolCall",
    "PermissionDeniedError",
    "Provider",
    "ProviderName",
    "ProviderWarning",
    "Proxy",
    "RateLimitError",
    "ResponseFormat",
    "ResponseTooLargeError",
    "RetryPolicy",
    "Stream",
    "StreamInterruptedError",
    "StructuredOutputError",
    "TextPart",
    "Timeout",
    "TokenLogprob",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolDenied",
    "ToolLoopError",
    "ToolResult",
    "Transport",
    "Turn",
    "UnknownProviderError",
    "UnprocessableEntityError",
    "UnsupportedOptionError",
    "Usage",
    "__version__",
    "provider_names",
    "register_provider",
    "tune_gc",
]
CLASSES = [
    name
    for name in PUBLIC
    if inspect.isclass(value := getattr(llmclients, name)) and get_origin(value) is None  # an alias is one on 3.10
]
OPTIONAL = {"relay", "demo", "cli", "__main__"}  # need an extra, or do something when imported

MODULES = [
    module.name
    for module in pkgutil.walk_packages(llmclients.__path__, "llmclients.", onerror=lambda name: None)
    if module.name.split(".")[1] not in OPTIONAL
]


def test_the_public_names_are_exactly_these() -> None:
    assert llmclients.__all__ == PUBLIC
    assert dir(llmclients) == PUBLIC


def test_a_public_name_is_there_and_stays_the_same(subtests: pytest.Subtests) -> None:
    for name in PUBLIC:
        with subtests.test(name):
            assert getattr(llmclients, name) is getattr(llmclients, name)


def test_there_are_no_others() -> None:
    with pytest.raises(AttributeError, match="module 'llmclients' has no attribute 'Klient'"):
        llmclients.Klient  # noqa: B018
    visible = {
        name
        for name, value in vars(llmclients).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType) and name != "annotations"
    }
    assert visible - set(PUBLIC) <= {"Any", "TYPE_CHECKING", "import_module"}


def test_the_version_is_one() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+([a-z.]\w*)?", llmclients.__version__)


def test_a_public_class_says_what_it_is_for(subtests: pytest.Subtests) -> None:
    for name in CLASSES:
        with subtests.test(name):
            assert getattr(llmclients, name).__dict__.get("__doc__"), f"{name} has no words of its own"


def test_so_does_each_of_its_own_methods(subtests: pytest.Subtests) -> None:
    for name in CLASSES:
        if not issubclass(getattr(llmclients, name), BaseException):
            with subtests.test(name):
                assert silent_methods(getattr(llmclients, name)) == []


def silent_methods(kind: type) -> list[str]:
    silent = []
    for base in kind.__mro__:
        if not base.__module__.startswith("llmclients"):
            continue
        for own, value in list(vars(base).items()):  # a look at a deferred validator builds it
            function = getattr(value, "__func__", value)
            if own.startswith("_") or not inspect.isfunction(function) or base.__name__ == "Model":
                continue
            if not function.__doc__:
                silent.append(f"{base.__name__}.{own}")
    return silent


def test_so_do_the_functions() -> None:
    for name in ("provider_names", "register_provider"):
        assert getattr(llmclients, name).__doc__


def test_a_module_s_own_list_names_what_it_has(subtests: pytest.Subtests) -> None:
    for name in MODULES:
        with subtests.test(name):
            module = importlib.import_module(name)
            listed = getattr(module, "__all__", [])

            assert len(set(listed)) == len(listed)
            assert [public for public in listed if not hasattr(module, public)] == []
            assert module.__doc__ or name.endswith("_version")
