"""A client for chat models: the same names with and without await, and each provider in its own wire format.

    from llmclients import Client

    client = Client()  # a small model on this machine: no key; `llmclients local install` fetches it
    print(client.chat("Name the capital of Italy."))
    for text in client.stream("What is the sea?").text_stream:
        print(text, end="", flush=True)

    Client("openai/gpt-4.1-mini")  # another provider: the key is in OPENAI_API_KEY, or api_key=

`help(llmclients.Client)` has the arguments, `help(llmclients.ChatOptions)` the options of a call,
`llmclients.provider_names()` the providers. `llmclients.testing` answers for a provider in tests.
Importing the package loads nothing: what it names is loaded when it is first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmclients._version import __version__

if TYPE_CHECKING:
    from llmclients.async_client import AsyncClient
    from llmclients.async_stream import AsyncStream
    from llmclients.bulk.options import MapOptions
    from llmclients.calls.tool_options import OnToolCall, OnToolResult
    from llmclients.client import Client
    from llmclients.config.values import Proxy, RetryPolicy, Timeout
    from llmclients.conversation import AsyncConversation, Conversation
    from llmclients.errors import (
        AccessBlockedError,
        APIConnectionError,
        APIError,
        APIResponseError,
        APIStatusError,
        APITimeoutError,
        AuthenticationError,
        BadRequestError,
        ConfigurationError,
        ConflictError,
        InternalServerError,
        InvalidRequestError,
        LLMClientError,
        MissingAPIKeyError,
        NotFoundError,
        OverloadedError,
        PermissionDeniedError,
        ProviderWarning,
        RateLimitError,
        ResponseTooLargeError,
        StreamInterruptedError,
        StructuredOutputError,
        ToolLoopError,
        UnknownProviderError,
        UnprocessableEntityError,
        UnsupportedOptionError,
    )
    from llmclients.history.store import History
    from llmclients.providers.names import ProviderName
    from llmclients.providers.provider import Provider
    from llmclients.providers.registry import provider_names, register_provider
    from llmclients.saved_conversation import Turn
    from llmclients.stream import Stream
    from llmclients.transports import AsyncTransport, Transport
    from llmclients.tuning import tune_gc
    from llmclients.types.content import AudioPart, FilePart, ImagePart, TextPart
    from llmclients.types.map_result import MapResult
    from llmclients.types.messages import Message, MessageDict, ToolCall, ToolResult
    from llmclients.types.options import ChatOptions
    from llmclients.types.request import ChatRequest
    from llmclients.types.response import (
        ChatResponse,
        Choice,
        Chunk,
        OtherPart,
        PartialToolCall,
        TokenLogprob,
        ToolCallDelta,
        Usage,
    )
    from llmclients.types.response_format import ResponseFormat
    from llmclients.types.tools import Tool, ToolDenied

__all__ = [
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

_LAZY = {
    "MapOptions": "llmclients.bulk.options",
    "MapResult": "llmclients.types.map_result",
    "OnToolCall": "llmclients.calls.tool_options",
    "OnToolResult": "llmclients.calls.tool_options",
    "ToolDenied": "llmclients.types.tools",
    "ToolResult": "llmclients.types.messages",
    "History": "llmclients.history.store",
    "APIConnectionError": "llmclients.errors",
    "APIError": "llmclients.errors",
    "APIResponseError": "llmclients.errors",
    "APIStatusError": "llmclients.errors",
    "APITimeoutError": "llmclients.errors",
    "AccessBlockedError": "llmclients.errors",
    "AsyncClient": "llmclients.async_client",
    "AsyncConversation": "llmclients.conversation",
    "AsyncStream": "llmclients.async_stream",
    "AsyncTransport": "llmclients.transports",
    "AudioPart": "llmclients.types.content",
    "AuthenticationError": "llmclients.errors",
    "BadRequestError": "llmclients.errors",
    "ChatOptions": "llmclients.types.options",
    "ChatRequest": "llmclients.types.request",
    "ChatResponse": "llmclients.types.response",
    "Choice": "llmclients.types.response",
    "Chunk": "llmclients.types.response",
    "Client": "llmclients.client",
    "ConfigurationError": "llmclients.errors",
    "ConflictError": "llmclients.errors",
    "Conversation": "llmclients.conversation",
    "FilePart": "llmclients.types.content",
    "ImagePart": "llmclients.types.content",
    "InternalServerError": "llmclients.errors",
    "InvalidRequestError": "llmclients.errors",
    "LLMClientError": "llmclients.errors",
    "Message": "llmclients.types.messages",
    "MessageDict": "llmclients.types.messages",
    "MissingAPIKeyError": "llmclients.errors",
    "NotFoundError": "llmclients.errors",
    "OtherPart": "llmclients.types.response",
    "OverloadedError": "llmclients.errors",
    "PartialToolCall": "llmclients.types.response",
    "PermissionDeniedError": "llmclients.errors",
    "Provider": "llmclients.providers.provider",
    "ProviderName": "llmclients.providers.names",
    "ProviderWarning": "llmclients.errors",
    "Proxy": "llmclients.config.values",
    "RateLimitError": "llmclients.errors",
    "ResponseFormat": "llmclients.types.response_format",
    "ResponseTooLargeError": "llmclients.errors",
    "RetryPolicy": "llmclients.config.values",
    "Stream": "llmclients.stream",
    "StreamInterruptedError": "llmclients.errors",
    "StructuredOutputError": "llmclients.errors",
    "TextPart": "llmclients.types.content",
    "Timeout": "llmclients.config.values",
    "TokenLogprob": "llmclients.types.response",
    "Tool": "llmclients.types.tools",
    "ToolCall": "llmclients.types.messages",
    "ToolCallDelta": "llmclients.types.response",
    "ToolLoopError": "llmclients.errors",
    "Transport": "llmclients.transports",
    "Turn": "llmclients.saved_conversation",
    "UnknownProviderError": "llmclients.errors",
    "UnprocessableEntityError": "llmclients.errors",
    "UnsupportedOptionError": "llmclients.errors",
    "Usage": "llmclients.types.response",
    "provider_names": "llmclients.providers.registry",
    "register_provider": "llmclients.providers.registry",
    "tune_gc": "llmclients.tuning",
}

_MODULES = ("config", "errors", "providers", "types")
"""What may be asked for as `llmclients.errors`, too, by who has imported the package alone."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"llmclients.{name}")
    if name not in _LAZY:
        raise AttributeError(f"module 'llmclients' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
