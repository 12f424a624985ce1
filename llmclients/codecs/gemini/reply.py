"""Decoders of Gemini's replies, streams and errors (docs/protocols/gemini.md, "Streams")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from llmclients.codecs.base import decode_json, is_json
from llmclients.codecs.bodies import ReplyDecoder, last_chunks
from llmclients.codecs.errors import (
    STATUS_BY_CODE,
    error_event,
    error_message,
    excerpt,
    parse_error_body,
    status_error,
)
from llmclients.codecs.framing import SSEDecoder
from llmclients.codecs.gemini.answer import Answer
from llmclients.errors import (
    APIResponseError,
    APIStatusError,
    AuthenticationError,
    ResponseTooLargeError,
    StreamInterruptedError,
)
from llmclients.types.response import Chunk

__all__ = ["decode_error", "decode_reply", "make_decoder"]

_STATUSES = STATUS_BY_CODE | {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""The HTTP status of an error that came inside a 200 without a `code`, from its `status`."""


# --- errors ---------------------------------------------------------------------------------------------------------


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    """The error of an HTTP status."""
    return status_error(status, headers, body, **_details(parse_error_body(body)))


def _details(payload: Any) -> dict[str, Any]:
    """What a parsed error tells besides its message: a wrong key, a quota of the day, how long to wait (seconds)."""
    if isinstance(payload, list) and len(payload) == 1:
        payload = payload[0]
    error = payload.get("error") if isinstance(payload, dict) else None
    listed = error.get("details") if isinstance(error, dict) else None
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    reasons = {str(entry.get("reason")) for entry in entries}
    if "API_KEY_INVALID" in reasons or "API key not valid" in error_message(payload):
        return {"error_class": AuthenticationError}  # the status is 400
    waits = (_seconds(entry.get("retryDelay")) for entry in entries)
    return {
        "retryable": False if any("PerDay" in quota for quota in _quotas(entries)) else None,
        "retry_after": next(filter(None, waits), None),
    }


def _quotas(entries: list[dict[str, Any]]) -> Iterator[str]:
    for entry in entries:
        violations = entry.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                yield str(violation.get("quotaId"))


def _seconds(delay: Any) -> float | None:
    """A duration as protocol buffers write it in JSON: decimal seconds, then an `s`."""
    number = delay[:-1] if isinstance(delay, str) and delay.endswith("s") else ""
    whole, _, fraction = number.partition(".")
    is_plain = number.isascii() and whole.isdecimal() and (not fraction or fraction.isdecimal()) and len(number) < 20
    return float(number) if is_plain else None


# --- replies --------------------------------------------------------------------------------------------------------


def decode_reply(body: bytes) -> Chunk:
    """A whole reply.

    Raises:
        APIStatusError: an error in a reply's place.
        APIResponseError: anything else that is no reply.
    """
    answer = Answer(whole=True)
    chunk = answer.chunk(_payload(body, "reply"))
    if not answer.begun:
        raise APIResponseError(f"the reply has no candidates: {excerpt(body)}")
    return chunk.model_copy(update={"role": "assistant"})  # which a blocked prompt's does not say


def _payload(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object, or the only one of an array, which the API puts around errors.

    Raises:
        APIStatusError: it is an error.
        APIResponseError: it is neither.
    """
    if data[:1] != b"{":
        data = data.strip()
        if data == b"[DONE]":  # some gateways end every stream so: it says nothing here
            return {}
        if data[:1] == b"[" and data[-1:] == b"]":
            data = data[1:-1]
    payload = decode_json(data, what)
    if payload.get("error"):
        raise error_event(payload, statuses=_STATUSES, **_details(payload))
    return payload


# --- streams --------------------------------------------------------------------------------------------------------


def make_decoder(content_type: str) -> EventDecoder | ReplyDecoder:
    """The decoder for a stream's reply: a plain JSON body is an error, or of a server that cannot stream."""
    return ReplyDecoder(decode_reply, EventDecoder()) if is_json(content_type) else EventDecoder()


class EventDecoder:
    """A stream of events to chunks, one for each.

    There is no end mark but the end of the body after a finish reason. An error may come even between the two, so the
    body must be read to its end. Inside a stream, the API writes an error as bare JSON, outside of any event.
    """

    def __init__(self) -> None:
        self.done = False
        self._events = SSEDecoder(bare_json=True)
        self._answer = Answer()

    def feed(self, data: bytes) -> Iterator[Chunk]:
        chunk = self._answer.chunk
        plain = self._events.feed_plain(data)
        if plain is not None:
            for event in plain:
                if event:
                    yield chunk(_payload(event, "event of the stream"))
            return
        for _, event in self._events.feed(data):
            if event:
                yield chunk(_payload(event, "event of the stream"))

    def finish(self) -> Iterator[Chunk]:
        events = self._events
        yield from last_chunks(self, events, decode_reply)
        if self.done:
            return
        unfinished, outside = events.rest()
        rest = outside if events.no_events else unfinished
        if rest:
            try:
                _payload(rest, "end of the stream")  # raises the error that it most probably is
            except ResponseTooLargeError:
                raise
            except APIResponseError:  # not JSON, or only its beginning
                raise StreamInterruptedError(f"the stream broke off with {excerpt(rest)}") from None
        if events.no_events:
            raise APIResponseError(f"the stream ends with JSON outside of an event: {excerpt(rest)}")
        if unfinished:
            raise StreamInterruptedError("the stream ended inside an event")
        if not self._answer.finished:
            raise StreamInterruptedError("the stream ended without a finish reason")
        if (last := self._answer.rest()) is not None:
            yield last
        self.done = True
