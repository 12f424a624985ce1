"""A client SDK for chat models: synchronous first, with an async mirror, one codec for each provider.

    from llmclients import Client

    print(Client("ylokh").chat("Hello!"))

Importing the package loads no HTTP library; the clients are loaded when they are first named.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmclients._version import __version__
from llmclients.config.values import Proxy, RetryPolicy, Timeout
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
from llmclients.providers.provider import Provider
from llmclients.providers.registry import provider_names, register_provider
from llmclients.types.content import AudioPart, FilePart, ImagePart, TextPart
from llmclients.types.messages import Message, MessageDict, ToolCall, ToolResult
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

if TYPE_CHECKING:
    from llmclients.async_client import AsyncClient
    from llmclients.async_stream import AsyncStream
    from llmclients.bulk.options import MapOptions
    from llmclients.calls.tool_options import OnToolCall, OnToolResult
    from llmclients.client import Client
    from llmclients.conversation import AsyncConversation, Conversation
    from llmclients.history.store import History
    from llmclients.providers.names import ProviderName
    from llmclients.saved_conversation import Turn
    from llmclients.stream import Stream
    from llmclients.transports import AsyncTransport, Transport
    from llmclients.tuning import tune_gc
    from llmclients.types.map_result import MapResult
    from llmclients.types.options import ChatOptions
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
    "AsyncClient": "llmclients.async_client",
    "AsyncConversation": "llmclients.conversation",
    "AsyncStream": "llmclients.async_stream",
    "AsyncTransport": "llmclients.transports",
    "ChatOptions": "llmclients.types.options",
    "Client": "llmclients.client",
    "Conversation": "llmclients.conversation",
    "History": "llmclients.history.store",
    "ProviderName": "llmclients.providers.names",
    "MapOptions": "llmclients.bulk.options",
    "MapResult": "llmclients.types.map_result",
    "ResponseFormat": "llmclients.types.response_format",
    "Stream": "llmclients.stream",
    "Tool": "llmclients.types.tools",
    "OnToolCall": "llmclients.calls.tool_options",
    "OnToolResult": "llmclients.calls.tool_options",
    "ToolDenied": "llmclients.types.tools",
    "Transport": "llmclients.transports",
    "Turn": "llmclients.saved_conversation",
    "tune_gc": "llmclients.tuning",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'llmclients' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LAZY[name]), name)
    return value


def __dir__() -> list[str]:
    return __all__
