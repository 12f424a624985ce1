"""What a wire is: the server's side of one provider's format, the mirror of its codec. Pure: bytes in, bytes out."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from pydantic_core import from_json

from llmclients.errors import InvalidRequestError
from llmclients.relay.errors import Failure
from llmclients.types.messages import Message, as_messages
from llmclients.types.response import ChatResponse, Chunk

__all__ = [
    "CHAT_ECHO",
    "RelayedCall",
    "Stamp",
    "StreamEncoder",
    "Wire",
    "as_message",
    "dump",
    "member",
    "read_entries",
    "read_messages",
    "read_object",
]


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
        repeated: members of the request that the wire's answer has again.
    """

    messages: list[Message]
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    stream: bool = False
    constants: frozenset[str] = frozenset()
    model_is_constant: bool = False
    include_usage: bool = False
    repeated: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a reply carries besides the answer.

    Attributes:
        id: the relay's own, in the form of the wire.
        created: the time, in seconds.
        model: a model's name, for want of a better.
        repeated: as in `RelayedCall`.
    """

    id: str
    created: int
    model: str
    repeated: Mapping[str, Any] = field(default_factory=dict)


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
    id_prefix: ClassVar[str] = "chatcmpl-"
    """What the ids of the wire's answers begin with."""
    request_id_header: ClassVar[str] = "x-request-id"

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

    def models(self, names: Iterable[str]) -> bytes:
        """The answer to the question which models there are; chat completions' form."""
        entries = [{"id": name, "object": "model", "created": 0, "owned_by": "llmclients"} for name in names]
        return dump({"object": "list", "data": entries})


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


def read_entries(payload: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A member that is a list of objects.

    Raises:
        InvalidRequestError: it is missing, or something else.
    """
    entries = payload.get(name)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InvalidRequestError(f"{name} must be a list of objects", argument=name)
    return entries


CHAT_ECHO = "openai"
"""Under this name a message's `provider_data` has the members that chat completions want back unchanged."""

# Members of an answer, which clients send back with their history. They mean nothing there.
_ECHOES = frozenset({"annotations", "audio"})


def read_messages(payload: Mapping[str, Any]) -> list[Message]:
    """The request's list of messages, in the form of chat completions.

    Raises:
        InvalidRequestError: it is missing, or one of them cannot be sent.
    """
    return as_messages([_chat_message(entry) for entry in read_entries(payload, "messages")])


def _chat_message(entry: dict[str, Any]) -> dict[str, Any]:
    """A message without members that are null; of an assistant's, what only servers write is read, too."""
    message = {name: value for name, value in entry.items() if value is not None}
    if message.get("role") != "assistant":
        return message
    for name in _ECHOES:
        message.pop(name, None)
    thoughts = [message.pop(name, "") for name in ("reasoning_content", "reasoning")]
    if reasoning := next(filter(None, thoughts), None):
        message["reasoning"] = reasoning
    if "reasoning_details" in message:  # signed or encrypted, where the backing provider speaks this wire, too
        message["provider_data"] = {CHAT_ECHO: {"reasoning_details": message.pop("reasoning_details")}}
    refusal = message.pop("refusal", None)
    if refusal and not message.get("content"):
        message["content"] = refusal
    if isinstance(content := message.get("content"), list):
        message["content"] = [_said(part) for part in content]
    return message


def _said(part: Any) -> Any:
    """A part of an assistant's content. A refusal is text here."""
    if isinstance(part, dict) and part.get("type") == "refusal":
        return {"type": "text", "text": part.get("refusal")}
    return part


def as_message(entry: Mapping[str, Any], where: str) -> Message:
    """A message, whose place in the request errors name.

    Raises:
        InvalidRequestError: it cannot be sent.
    """
    try:
        return as_messages([entry])[0]
    except InvalidRequestError as error:
        raise InvalidRequestError(
            str(error).replace("messages[0]", where, 1), argument=where.partition("[")[0]
        ) from None


# --- writing a reply ------------------------------------------------------------------------------------------------


def dump(payload: Any) -> bytes:
    """Compact JSON."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
