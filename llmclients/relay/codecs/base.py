"""`ServerCodec`: one provider's wire format from its server's side. Pure: bytes in, bytes out, no I/O.

It is the mirror of a client's `Codec`: that one encodes a `ChatRequest` and decodes the reply; this one decodes the
request into a `RelayedCall`, which says what to ask the upstream provider, and encodes the `ChatResponse` or the chunks
that come back. One instance serves all requests; a `StreamEncoder` serves one reply.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from llmclients.relay.codecs.json_fields import decode_json, get_name
from llmclients.relay.codecs.json_reply import encode_json
from llmclients.relay.errors import Failure
from llmclients.types.messages import Message
from llmclients.types.response import ChatResponse, Chunk

__all__ = ["RelayedCall", "ReplyMeta", "ServerCodec", "StreamEncoder", "WireTool"]


class WireTool(NamedTuple):
    """A tool of the wire that the upstream provider knows as a function of another name, or of another kind.

    Attributes:
        name: its name on the wire.
        namespace: the group of tools that it belongs to; "" for none.
        is_custom: whether its calls have one text in place of arguments.
    """

    name: str
    namespace: str = ""
    is_custom: bool = False


@dataclass(frozen=True, slots=True)
class RelayedCall:
    """A request as the arguments of `AsyncClient.chat` or `.stream`.

    Attributes:
        messages: at least one.
        model: the model asked for, or None.
        options: options of the call, as the request has them.
        stream: whether the answer is wanted piece by piece.
        droppable: the options that ask for nothing out of the ordinary. An upstream provider that cannot carry one
            does without it.
        tolerated: the options that the wire's programs send whether their user wants them or not, though they ask for
            something. An upstream provider that cannot carry one does without it if the relay is lenient, which says
            so.
        alternatives: by option, what asks for about the same where the upstream provider has no such option.
        dropped: what of the request was not read though it asks for something, in words: its programs ask for it
            always. Only a lenient relay answers such a request.
        model_is_droppable: whether the same is true of `model`: the upstream's own default comes first.
        include_usage: whether a stream is to end with the token counts.
        mirrored: fields of the request that the wire's reply has again.
        tools: the tools that are functions to the upstream provider, and something else on the wire, by their names as
            functions.
        ready: the whole reply, where there is nothing to ask a model.
    """

    messages: list[Message]
    model: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    stream: bool = False
    droppable: frozenset[str] = frozenset()
    tolerated: frozenset[str] = frozenset()
    alternatives: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    model_is_droppable: bool = False
    include_usage: bool = False
    mirrored: Mapping[str, Any] = field(default_factory=dict)
    tools: Mapping[str, WireTool] = field(default_factory=dict)
    ready: bytes | None = None


@dataclass(frozen=True, slots=True)
class ReplyMeta:
    """What a reply has besides the answer.

    Attributes:
        id: the relay's own, in the form of the wire.
        created: when, in seconds since 1970.
        model: the model that was asked for, where the upstream does not name the one that answered; or "".
        mirrored: as in `RelayedCall`.
        tools: as in `RelayedCall`.
    """

    id: str
    created: int
    model: str
    mirrored: Mapping[str, Any] = field(default_factory=dict)
    tools: Mapping[str, WireTool] = field(default_factory=dict)


class StreamEncoder(Protocol):
    """Chunks in, bytes out.

    The reply's head goes out with the first bytes: as long as `feed` has returned none, a failure can still be an HTTP
    status. `finish` or `fail` comes last, once.
    """

    def feed(self, chunk: Chunk) -> bytes:
        """The bytes of a chunk; `b""` for one that the wire has nothing for."""

    def finish(self) -> bytes:
        """The last bytes of a complete answer.

        Raises:
            APIError: the wire has no way to say how this answer ended, so it must not end like a good one.
        """

    def fail(self, failure: Failure) -> bytes | None:
        """The bytes that say, inside the reply, that it failed. None: the wire has none, cut the connection."""


class ServerCodec(ABC):
    """One provider's wire format, seen from its server."""

    name: ClassVar[str]
    prefix: ClassVar[str]
    """Where a `base_url` of this wire's client points to, after the relay's own address."""
    path: ClassVar[str]
    """What the client appends to it."""
    stream_type: ClassVar[str]
    """The Content-Type of a streamed reply."""
    reply_type: ClassVar[str]
    """The Content-Type of a whole one."""
    id_prefix: ClassVar[str] = "chatcmpl-"
    """What the ids of replies begin with."""
    request_id_header: ClassVar[str] = "x-request-id"
    """The header of a reply that has its id."""
    unread_fields: ClassVar[frozenset[str]] = frozenset()
    """Members of a request that are read by nobody here: about bookkeeping, cost and speed."""

    def plain_headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """A request's headers, where the wire has names of its own for what all have: the key, the body's type."""
        return headers

    @abstractmethod
    def decode(self, body: bytes) -> RelayedCall:
        """What a request asks for.

        Raises:
            InvalidRequestError: naming the field that is wrong.
            UnsupportedOptionError: naming the field that the relay cannot carry.
        """

    def decode_model_name(self, body: bytes) -> str:
        """The model that a request is about which asks for a description of it.

        Raises:
            InvalidRequestError: it names none.
        """
        return get_name(decode_json(body), "model")

    @abstractmethod
    def encode(self, response: ChatResponse, meta: ReplyMeta) -> bytes:
        """A whole reply.

        Raises:
            APIError: as `StreamEncoder.finish`.
        """

    @abstractmethod
    def stream_encoder(self, call: RelayedCall, meta: ReplyMeta) -> StreamEncoder:
        """A new encoder for one streamed reply."""

    @abstractmethod
    def encode_error(self, failure: Failure) -> bytes:
        """The JSON body of an error status."""

    def encode_models(self, names: Iterable[str]) -> bytes:
        """The list of models; in chat completions' form, unless the wire has its own."""
        return encode_json({"object": "list", "data": [_model_entry(name) for name in names]})

    def encode_count(self, tokens: int) -> bytes:
        """How many tokens a request has."""
        return encode_json({"input_tokens": tokens})

    def encode_model(self, name: str, abilities: Iterable[str]) -> bytes:
        """One model; in the form that the list of models has.

        Args:
            abilities: what the provider's wire carries: `tools`, `vision`, `thinking`.
        """
        return encode_json(_model_entry(name))


def _model_entry(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "llmclients"}
