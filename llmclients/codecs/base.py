"""The interface of codecs, and what all of them share.

A codec is one provider's wire format, and pure: it uses no socket, clock, thread, environment or global state. What it
needs of them comes in a `Context`. One instance serves all calls of a client, from any thread; a decoder serves one
reply.
"""

from __future__ import annotations

import json
import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

from pydantic_core import from_json

from llmclients.codecs.addresses import Address, parse_address
from llmclients.codecs.errors import error_event, error_message, excerpt, status_error
from llmclients.codecs.framing import begins_like_events, begins_like_page
from llmclients.codecs.json_text import load_json, load_torn
from llmclients.errors import APIError, APIResponseError, APIStatusError, InvalidRequestError
from llmclients.types.base import Model, make_model
from llmclients.types.content import MAX_PART_BYTES
from llmclients.types.limits import check_json_values
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk

__all__ = [
    "Codec",
    "CodecOptions",
    "Context",
    "EncodedRequest",
    "PartRule",
    "StreamDecoder",
    "bearer_headers",
    "decode_json",
    "encode_json",
    "given",
    "is_json",
    "model_names",
    "page_error",
    "read_torn_event",
]

_MARK = b"\xef\xbb\xbf"
_END_MARK = b"data: [DONE]"
_PAGE_HEAD = 64 * 1024
"""Bytes of a page in which its title is looked for."""


class CodecOptions(Model):
    """Base of a codec's own options: a pydantic model, one field for each.

    Attributes:
        think_tags: on every wire: whether what stands between `<think>` and `</think>`, in front of the text, is
            reasoning. None: as the provider's models are known to write. True also finds it where only `</think>` is
            there, as some templates have it; a stream then waits for that tag, or its end.
    """

    think_tags: bool | None = None


class PartRule(NamedTuple):
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


class EncodedRequest(NamedTuple):
    """A request as bytes. The provider's base URL goes before `path`."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    method: str = "POST"

    @classmethod
    def from_payload(
        cls, path: str, payload: Mapping[str, Any], request: ChatRequest, headers: Iterable[tuple[str, str]] = ()
    ) -> EncodedRequest:
        """A JSON request: the payload with the request's `extra` over it.

        Its Content-Type comes before `headers`, unless they have one.

        Raises:
            InvalidRequestError: `extra` has a value that JSON cannot carry.
        """
        headers = tuple(headers)
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers = (("Content-Type", "application/json"), *headers)
        return cls(path, encode_json({**payload, **(request.extra or {})}), headers)

    def __repr__(self) -> str:  # without the headers: they may hold a key
        return f"EncodedRequest(path={self.path!r}, body={self.body!r}, method={self.method!r})"


class Context(NamedTuple):
    """What encoding needs besides the request, so that the codec itself stays pure.

    Attributes:
        model: the model's name, default and alias resolved.
        stream: whether the caller wants a stream.
        api_key: the key, or None for a provider without one.
        is_default_endpoint: whether the request goes to the provider's public service, not to the caller's `base_url`.
        options: the codec's own options.
        state: what `Codec.conversation_state` made for this conversation; empty outside one.
        unix_time: seconds.
        random: the source of whatever the wire wants random.
    """

    model: str = ""
    stream: bool = False
    api_key: str | None = None
    is_default_endpoint: bool = True
    options: CodecOptions = make_model(CodecOptions)
    state: Mapping[str, Any] = {}
    unix_time: float = 0.0
    random: random.Random = random.Random()

    def __repr__(self) -> str:  # without the key
        return f"Context(model={self.model!r}, stream={self.stream})"


class StreamDecoder(Protocol):
    """Bytes in, chunks out, however the bytes are cut. One serves one reply.

    What `feed` and `finish` return must be iterated to its end, before the next call; chunks that precede an error come
    before it is raised. After an error a decoder is not used again.
    """

    done: bool
    """True once the wire's own end mark has come. What follows it means nothing, and nobody needs to wait for it."""

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """The chunks that `data` completes.

        Raises:
            APIStatusError: the provider reports an error.
            APIResponseError: the bytes are not what the protocol says.
            StreamInterruptedError: the answer says of itself that it was cut.
        """

    def finish(self) -> Iterator[Chunk]:
        """The body has ended cleanly: the chunks that only its end completes.

        Raises:
            StreamInterruptedError: the end mark has not come.
            APIError: of a decoder that reads the body as a whole, as `feed` does.
        """


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

    address_endings: ClassVar[str] = ""
    """What an address may end with that the wire appends itself: the `endings` of `addresses.parse_address`."""

    request_id_headers: ClassVar[tuple[str, ...]] = ("x-request-id", "request-id")
    """Response headers, in lower case, that may hold the provider's id of the request; the first one there counts."""

    @abstractmethod
    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        """The request as it goes over the wire.

        Raises:
            ConfigurationError: the wire cannot carry it.
        """

    @abstractmethod
    def stream_decoder(self, content_type: str) -> StreamDecoder:
        """A new decoder for one streamed reply. Never raises: what is wrong with a reply, the decoder says.

        Args:
            content_type: the reply's Content-Type as sent; "" where it has none.
        """

    def decode(self, body: bytes) -> Chunk:
        """A whole reply, as one chunk of the role `assistant`.

        `raw` is the parsed reply. Each tool call is one `ToolCallDelta` with all of its arguments; their indexes count
        from 0. The `Accumulator` makes a `ChatResponse` of it, as it does of a stream's chunks.

        Raises:
            APIError: the body is not a reply, or is an error in one's place.
        """
        raise APIResponseError(f"{self.name} has no reply that is not a stream")

    def is_stream(self, body: bytes) -> bool:
        """Whether the body of a plain reply is a stream all the same, as some gateways send unasked."""
        return begins_like_events(body)

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that a reply with an error status means. Never raises: an error body can be anything."""
        return status_error(status, headers, body)

    def encode_models(self, context: Context) -> EncodedRequest | None:
        """The question which models there are; None where the wire has none."""
        return None

    def decode_models(self, body: bytes) -> list[str]:
        """The names in the answer to it.

        Raises:
            APIResponseError: the body is no such answer.
        """
        raise APIResponseError(f"{self.name} has no list of models")

    def parse_address(self, url: str) -> Address:
        """What an address means that a caller gives as `base_url`. Never raises: it may be any text."""
        return parse_address(url, self.address_endings)

    def conversation_state(self, unix_time: float) -> dict[str, Any]:
        """What a new conversation keeps over its turns, as JSON values."""
        return {}


# --- JSON -----------------------------------------------------------------------------------------------------------


_dump = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def encode_json(payload: Mapping[str, Any]) -> bytes:
    """Compact UTF-8 JSON, members in their order.

    Raises:
        InvalidRequestError: a value that JSON, or UTF-8, cannot carry.
    """
    try:
        return _dump(payload).encode()
    except (TypeError, ValueError, RecursionError) as error:  # UnicodeEncodeError is a ValueError
        reason = "text has a lone surrogate" if isinstance(error, UnicodeEncodeError) else str(error)
        raise InvalidRequestError(f"extra: JSON cannot carry the payload: {reason}", argument="extra") from None


def decode_json(data: bytes, what: str = "reply") -> dict[str, Any]:
    """A JSON object.

    Raises:
        APIStatusError: an error with a list around it, as Google's servers send.
        APIResponseError: not JSON, or not an object; the message shows how it begins, or a page's title.
        ResponseTooLargeError: it has too many values.
    """
    check_json_values(data, what)
    try:
        value = from_json(data, cache_strings="keys")
    except ValueError as error:
        value = _second_try(data, error, f"the {what}")
    if type(value) is not dict:
        raise no_object(value, data, f"the {what}")
    return value


def no_object(value: Any, data: bytes, what: str) -> APIError:
    """The error for JSON that is no object: the one that it has a list around, if it does."""
    if type(value) is list and value and type(value[0]) is dict and value[0].get("error"):
        return error_event(value[0])
    return APIResponseError(f"{what} is not a JSON object: {excerpt(data)}")


def read_torn_event(event: bytes, error: ValueError) -> Any:
    """The value of a stream's event that `from_json` has refused with `error`: it may have halves of characters.

    Raises:
        APIResponseError: it is no JSON.
    """
    return _second_try(event, error, "an event of the stream")


def _second_try(data: bytes, error: ValueError, what: str) -> Any:
    goes_on = what != "the reply"
    try:
        if data.startswith(_MARK):
            return load_json(data[len(_MARK) :], goes_on=goes_on)
        if data.rstrip().endswith(_END_MARK):  # some gateways end a whole reply as they end a stream
            return load_json(data.rstrip().removesuffix(_END_MARK), goes_on=goes_on)
        return load_torn(data, error, goes_on=goes_on)
    except ValueError:
        if begins_like_page(data):
            raise page_error(data, what) from None
        raise APIResponseError(f"{what} is not JSON ({error}): {excerpt(data)}") from None


def page_error(data: bytes, what: str = "the reply", *, expected: str = "JSON") -> APIResponseError:
    """The error for a page where a reply should be: of a proxy, a login, a block. It has the page's title."""
    page = error_message(data[:_PAGE_HEAD].decode("utf-8", "replace"))
    return APIResponseError(f"{what} is not {expected}: it is {page}")


def is_json(content_type: str) -> bool:
    """Whether a Content-Type, as sent, says that the body is one JSON value."""
    return content_type.partition(";")[0].strip().lower() == "application/json"


def given(**members: Any) -> dict[str, Any]:
    """Those members of a payload that are not None."""
    return {name: value for name, value in members.items() if value is not None}


def model_names(body: bytes, list_name: str = "data", key: str = "id", *, bare_list: bool = True) -> list[str]:
    """The names in a list of models: `{list_name: [{key: name}, …]}`; with `bare_list` also `[…]`, as Together has it.

    Raises:
        APIResponseError: it is none.
    """
    if bare_list and body.lstrip()[:1] == b"[":
        body = b'{"%s":%s}' % (list_name.encode(), body)
    payload = decode_json(body)
    entries = payload.get(list_name)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) and key in entry for entry in entries):
        raise APIResponseError(f"the list of models has no {list_name}[].{key}: not what the protocol says")
    return [str(entry[key]) for entry in entries]


def bearer_headers(context: Context) -> tuple[tuple[str, str], ...]:
    """`Accept`, and the key where there is one, as most wires have them."""
    accept = ("Accept", "application/json")
    return (accept, ("Authorization", f"Bearer {context.api_key}")) if context.api_key else (accept,)
