"""What a wire is: the server's side of one provider's format, the mirror of its codec. Pure: bytes in, bytes out."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from pydantic_core import from_json

from llmclients.errors import InvalidRequestError
from llmclients.models import ChatResponse, Chunk, Message, as_messages
from llmclients.relay.failures import Failure

__all__ = ["RelayedCall", "Stamp", "StreamEncoder", "Wire", "dump", "member", "read_messages", "read_object"]


@dataclass(frozen=True, slots=True)
class RelayedCall:
    """A request as the arguments of `AsyncClient.chat` or `.stream`.

    Attributes:
        messages: at least one.
        model: the model asked for, or None.
        options: options of the call, as the request has them.
        stream: whether the answer is wanted piece by piece.
        constants: the options that the wire's client sends whether its user wants them or not. A backing provider that
            cannot carry one does without it.
        model_is_constant: whether the same is true of `model`: the backing provider's own default comes first.
        include_usage: whether a stream is to end with the token counts.
    """

    messages: list[Message]
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    stream: bool = False
    constants: frozenset[str] = frozenset()
    model_is_constant: bool = False
    include_usage: bool = False


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a reply carries besides the answer: the relay's own id, the time, a model's name for want of a better."""

    id: str
    created: int
    model: str


class StreamEncoder(Protocol):
    """Chunks in, bytes out. The reply's head goes out with the first bytes: a failure before them is still a status."""

    def feed(self, chunk: Chunk) -> bytes:
        """The bytes of a chunk; `b""` for one that the wire has nothing for."""

    def finish(self) -> bytes:
        """The last bytes of a complete answer.

        Raises:
            APIError: the wire has no way to say how this answer ended, so it must not end like a good one.
        """

    def fail(self, failure: Failure) -> bytes | None:
        """The bytes that say, inside the answer, that it failed. None: the wire has no words, cut the connection."""


class Wire(ABC):
    """One provider's format, seen from its server."""

    name: ClassVar[str]
    prefix: ClassVar[str]
    """Where a `base_url` of this wire's client points to, after the relay's own address."""
    path: ClassVar[str]
    """What the client appends to it."""
    stream_type: ClassVar[str]
    reply_type: ClassVar[str]

    @abstractmethod
    def read(self, body: bytes) -> RelayedCall:
        """What a request asks for.

        Raises:
            InvalidRequestError: naming the member that is wrong.
        """

    @abstractmethod
    def reply(self, response: ChatResponse, stamp: Stamp) -> bytes:
        """A whole answer.

        Raises:
            APIError: as `StreamEncoder.finish`.
        """

    @abstractmethod
    def stream_encoder(self, call: RelayedCall, stamp: Stamp) -> StreamEncoder:
        """A new encoder for one streamed answer."""

    @abstractmethod
    def refusal(self, failure: Failure) -> bytes:
        """The JSON body of an error status."""


# --- reading a request ----------------------------------------------------------------------------------------------


def read_object(body: bytes) -> dict[str, Any]:
    """The request's JSON object, without the members that are null: as good as absent.

    Raises:
        InvalidRequestError: not JSON, or not an object.
    """
    try:
        payload = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise InvalidRequestError(f"the request is not JSON: {error}") from None
    if not isinstance(payload, dict):
        raise InvalidRequestError("the request is not a JSON object")
    return {name: value for name, value in payload.items() if value is not None}


def member(payload: Mapping[str, Any], name: str, kind: type | tuple[type, ...], default: Any) -> Any:
    """A member that is of one kind, or absent.

    Raises:
        InvalidRequestError: of another kind.
    """
    value = payload.get(name, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InvalidRequestError(f"{name} has the wrong type: {type(value).__name__}", argument=name)
    return value


# Members of an answer, which clients send back with their history. They mean nothing there.
_ECHOES = frozenset({"refusal", "annotations", "audio", "function_call", "reasoning", "reasoning_content"})


def read_messages(payload: Mapping[str, Any]) -> list[Message]:
    """The request's list of messages.

    Raises:
        InvalidRequestError: it is missing, or one of them cannot be sent.
    """
    entries = payload.get("messages")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidRequestError("messages must be a list of objects", argument="messages")
    return as_messages([_without_echoes(entry) for entry in entries])


def _without_echoes(entry: dict[str, Any]) -> dict[str, Any]:
    dropped = _ECHOES if entry.get("role") == "assistant" else ()
    return {name: value for name, value in entry.items() if value is not None and name not in dropped}


# --- writing a reply ------------------------------------------------------------------------------------------------


def dump(payload: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
