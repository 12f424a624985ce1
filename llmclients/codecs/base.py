"""What a codec is: one provider's wire format, pure. No socket, clock, thread, environment or global is used in one."""

from __future__ import annotations

import json
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from pydantic_core import from_json

from llmclients.errors import APIResponseError, APIStatusError, InvalidRequestError, status_error_class
from llmclients.types.base import Model
from llmclients.types.content import MAX_PART_BYTES
from llmclients.types.messages import ChatRequest, ChatResponse, Chunk

__all__ = [
    "Codec",
    "CodecOptions",
    "Context",
    "PartRule",
    "StreamDecoder",
    "WireRequest",
    "bearer_headers",
    "decode_json",
    "encode_json",
    "error_message",
    "model_ids",
    "status_error",
]


class CodecOptions(Model):
    """Base of a codec's own options: a pydantic model, one field for each."""


@dataclass(frozen=True, slots=True)
class PartRule:
    """What a wire takes of one kind of part.

    Attributes:
        media_types: the types it takes; empty for any.
        data: whether the bytes themselves can be sent.
        urls: whether an address for the provider to fetch can be.
        max_bytes: of one part, before base64.
    """

    media_types: frozenset[str] = frozenset()
    data: bool = True
    urls: bool = True
    max_bytes: int = MAX_PART_BYTES


class WireRequest(NamedTuple):
    """What a codec makes of a request; the provider's base URL goes before `path`."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "POST"

    def __repr__(self) -> str:  # without the headers: they may hold a key
        return f"WireRequest(path={self.path!r}, body={self.body!r}, method={self.method!r})"


@dataclass(frozen=True, slots=True)
class Context:
    """What encoding needs besides the request, so that the codec itself stays pure.

    Attributes:
        model: the model's name, default and alias resolved.
        stream: whether the caller wants a stream.
        api_key: the key, or None for a provider without one.
        own_service: whether the request goes to the provider's public service, not to a `base_url` of the caller's.
        options: the codec's own options.
        state: what `Codec.conversation_state` made for this conversation; empty outside one.
        unix_time: seconds.
        random: the source of whatever the wire wants random.
    """

    model: str = ""
    stream: bool = False
    api_key: str | None = field(default=None, repr=False)
    own_service: bool = True
    options: CodecOptions = field(default_factory=CodecOptions)
    state: Mapping[str, Any] = field(default_factory=dict)
    unix_time: float = 0.0
    random: random.Random = field(default_factory=random.Random, repr=False)


class StreamDecoder(Protocol):
    """Bytes in, chunks out, however the bytes are cut.

    What `feed` and `finish` return must be iterated to its end; chunks that precede an error come before it is raised.
    """

    done: bool
    """True once the wire's own end mark has come. What follows it means nothing, and nobody needs to wait for it."""

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """The chunks that `data` completes. Raises APIError for an error event, and for bytes that are no protocol."""

    def finish(self) -> Iterator[Chunk]:
        """The body has ended cleanly. Raises StreamInterruptedError when the end mark had not come."""


class Codec(ABC):
    """One wire format: encodes a request, decodes a reply, a stream and an error body."""

    name: ClassVar[str]
    fields: frozenset[str] = frozenset()
    """The fields of `ChatRequest` that the wire can carry, besides messages, model and extra."""
    parts: Mapping[str, PartRule] = {}
    """The parts besides text that a message may have: `image`, `audio`, `file`."""
    options: ClassVar[type[CodecOptions]] = CodecOptions
    """The codec's own options."""
    whole_replies: ClassVar[bool] = True
    """Whether the wire has a reply that is no stream. Where not, `chat` reads the stream."""

    request_id_headers: ClassVar[tuple[str, ...]] = ("x-request-id", "request-id")
    """Response headers, in lower case, that may hold the provider's id of the request; the first one there counts."""

    @abstractmethod
    def encode(self, request: ChatRequest, context: Context) -> WireRequest:
        """The request as it goes over the wire.

        Raises:
            ConfigurationError: the wire cannot carry it.
        """

    @abstractmethod
    def stream_decoder(self, content_type: str) -> StreamDecoder:
        """A new decoder for one streamed reply with this Content-Type (as sent; may be empty)."""

    def decode(self, body: bytes) -> ChatResponse:
        """A whole reply.

        Raises:
            APIError: the body is not a reply, or is an error in one's place.
        """
        raise APIResponseError(f"{self.name} has no reply that is not a stream")

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that a reply with an error status means. Never raises: an error body can be anything."""
        return status_error(status, headers, body)

    def encode_models(self, context: Context) -> WireRequest | None:
        """The question which models there are; None where the wire has none."""
        return None

    def decode_models(self, body: bytes) -> list[str]:
        """The names in the answer to it.

        Raises:
            APIResponseError: the body is no such answer.
        """
        raise APIResponseError(f"{self.name} has no list of models")

    def conversation_state(self, unix_time: float) -> dict[str, Any]:
        """What a new conversation keeps over its turns, as JSON values."""
        return {}


# --- JSON -----------------------------------------------------------------------------------------------------------


def encode_json(payload: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 JSON, members in their order.

    Raises:
        InvalidRequestError: a value that JSON, or UTF-8, cannot carry.
    """
    try:
        return json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        reason = "text has a lone surrogate" if isinstance(error, UnicodeEncodeError) else str(error)
        raise InvalidRequestError(f"extra: JSON cannot carry the payload: {reason}", argument="extra") from None


def decode_json(data: bytes, what: str = "reply") -> dict[str, Any]:
    """A JSON object.

    Raises:
        APIResponseError: not JSON, or not an object; the message shows how it begins.
    """
    try:
        value = from_json(data, cache_strings="keys")
    except ValueError as error:
        raise APIResponseError(f"the {what} is not JSON ({error}): {excerpt(data)}") from None
    if type(value) is not dict:
        raise APIResponseError(f"the {what} is not a JSON object: {excerpt(data)}")
    return value


def model_ids(body: bytes) -> list[str]:
    """The ids in a list of models as OpenAI has it, or in a bare list, as Together has it.

    Raises:
        APIResponseError: it is none.
    """
    entries = decode_json(b'{"data":%s}' % body if body.lstrip()[:1] == b"[" else body).get("data")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and "id" in entry for entry in entries):
        raise APIResponseError("the list of models has no data[].id: not what the protocol says")
    return [str(entry["id"]) for entry in entries]


def bearer_headers(context: Context) -> tuple[tuple[str, str], ...]:
    """`Accept`, and the key where there is one, as most wires have them."""
    accept = ("Accept", "application/json")
    return (accept, ("Authorization", f"Bearer {context.api_key}")) if context.api_key else (accept,)


def excerpt(data: bytes, most: int = 120) -> str:
    """The beginning of a body, on one line, for a message."""
    text = " ".join(data[: most * 4].decode("utf-8", "replace").split())
    return repr(text if len(text) <= most else text[:most] + "…")


# --- errors ---------------------------------------------------------------------------------------------------------


def status_error(
    status: int, headers: Mapping[str, str], body: bytes, *, retryable: bool | None = None
) -> APIStatusError:
    """The error for an HTTP status, its message found wherever the body keeps it (PROTOCOLS 1.6).

    `x-should-retry` overrules `retryable`, and that the rule for the status, as in the OpenAI and Anthropic SDKs.
    """
    payload = _parsed(body)
    message = error_message(payload) or (_from_text(body.decode("utf-8", "replace")) if payload else "")
    said = headers.get("x-should-retry", "").strip().lower()
    if said in ("true", "false"):
        retryable = said == "true"
    details: dict[str, Any] = {} if retryable is None else {"retryable": retryable}
    return status_error_class(status)(
        f"HTTP {status}: {message}" if message else f"HTTP {status}",
        status_code=status,
        body=payload,
        headers=headers,
        **details,
    )


def _parsed(body: bytes) -> Any:
    """An error body as JSON whatever its Content-Type says, else as text."""
    try:
        return from_json(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def error_message(payload: Any) -> str:
    """The words for a human in a parsed error body: an object, a list around one, text, an HTML page; or ""."""
    if isinstance(payload, list):
        return _joined(payload)
    if isinstance(payload, str):
        return _from_text(payload)
    if not isinstance(payload, dict):
        return ""
    error, message = payload.get("error"), payload.get("message")
    if isinstance(error, dict):
        return error_message(error) or str(error.get("type") or error.get("code") or "")
    if isinstance(error, str) and error:
        return f"{error}: {message}" if isinstance(message, str) and message else error
    if isinstance(message, str) and message:
        return message
    if isinstance(message, dict):
        return error_message(message)
    for name in ("detail", "msg", "error_message"):
        value = payload.get(name)
        if value:
            return error_message(value)
    return ""


def _joined(items: Iterable[Any]) -> str:
    return "; ".join(text for text in map(error_message, items) if text)


def _from_text(text: str) -> str:
    if re.match(r"\s*<(!doctype|html|head|body|title|\?xml)", text, re.IGNORECASE):
        title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
        return "an HTML page" + (f" titled {' '.join(title[1].split())!r}" if title else "")
    text = " ".join(text.split())
    return text if len(text) <= 500 else text[:500] + "…"
