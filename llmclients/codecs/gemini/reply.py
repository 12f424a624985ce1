"""Gemini's replies, streams and errors (PROTOCOLS 12.2 to 12.4)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from llmclients.codecs.base import decode_json
from llmclients.codecs.errors import error_message, excerpt, status_error
from llmclients.codecs.framing import MAX_EVENT_BYTES, LineDecoder
from llmclients.codecs.gemini.answer import Answer
from llmclients.codecs.openai_chat.reply import ReplyDecoder
from llmclients.errors import (
    APIResponseError,
    APIStatusError,
    AuthenticationError,
    ResponseTooLargeError,
    StreamInterruptedError,
)
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk

__all__ = ["decode_reply", "make_decoder", "refused"]

_STATUS_OF_WORD = {
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


def refused(status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    """The error of an error status, with what its details say: a wrong key, a quota of the day, how long to wait."""
    found = status_error(status, headers, body)
    payload = found.body
    if isinstance(payload, list) and len(payload) == 1:
        payload = payload[0]
    error = payload.get("error") if isinstance(payload, dict) else None
    listed = error.get("details") if isinstance(error, dict) else None
    details = [detail for detail in listed if isinstance(detail, dict)] if isinstance(listed, list) else []
    if any(detail.get("reason") == "API_KEY_INVALID" for detail in details) or "API key not valid" in str(found):
        return AuthenticationError(str(found), status_code=status, body=found.body, headers=headers)
    if any("PerDay" in quota for quota in _quotas(details)):
        found.retryable = False
    found.retry_after = next(filter(None, (_seconds(detail.get("retryDelay")) for detail in details)), None)
    return found


def _quotas(details: list[dict[str, Any]]) -> Iterator[str]:
    for detail in details:
        violations = detail.get("violations")
        for violation in violations if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                yield str(violation.get("quotaId"))


def _seconds(delay: Any) -> float | None:
    """A duration as protocol buffers write it in JSON: decimal seconds, then an `s`."""
    number = delay[:-1] if isinstance(delay, str) and delay.endswith("s") else ""
    whole, _, fraction = number.partition(".")
    plain = number.isascii() and whole.isdecimal() and (not fraction or fraction.isdecimal()) and len(number) < 20
    return float(number) if plain else None


def _raise_error(payload: dict[str, Any]) -> NoReturn:
    """Raise the error that came inside a 200."""
    error = payload["error"]
    status = 200
    if isinstance(error, dict):
        code = error.get("code")
        if type(code) is int and 400 <= code < 600:
            status = code
        else:
            status = _STATUS_OF_WORD.get(str(error.get("status")), status)
    body = json.dumps(payload).encode()
    found = refused(status, {}, body)
    raise type(found)(
        f"the provider reported an error: {error_message(payload) or excerpt(body)}",
        status_code=status,
        body=payload,
        retryable=found.retryable,
        retry_after=found.retry_after,
    )


# --- replies --------------------------------------------------------------------------------------------------------


def decode_reply(body: bytes) -> ChatResponse:
    """A whole reply.

    Raises:
        APIStatusError: an error in a reply's place.
        APIResponseError: anything else that is no reply.
    """
    payload = _payload(body, "reply")
    answer = Answer()
    chunk = answer.chunk(payload)
    if not answer.begun:
        raise APIResponseError(f"the reply has no candidates: {excerpt(body)}")
    return ChatResponse(
        text=chunk.text,
        reasoning=chunk.reasoning,
        tool_calls=[
            ToolCall(id=call.id or "", name=call.name or "", arguments=call.arguments) for call in chunk.tool_calls
        ],
        finish_reason=chunk.finish_reason,
        usage=chunk.usage,
        model=chunk.model,
        id=chunk.id,
        raw=chunk.raw,
        logprobs=list(chunk.logprobs) or None,
        provider_data=chunk.provider_data,
    )


def _payload(data: bytes, what: str) -> dict[str, Any]:
    """A JSON object, or the only one of an array, which the API puts around errors; raises it if it is an error."""
    if data[:1] != b"{":
        data = data.strip()
        if data[:1] == b"[" and data[-1:] == b"]":
            data = data[1:-1]
    payload = decode_json(data, what)
    if payload.get("error"):
        _raise_error(payload)
    return payload


# --- streams --------------------------------------------------------------------------------------------------------


def make_decoder(content_type: str) -> EventDecoder | ReplyDecoder:
    """The decoder for a stream's reply: a plain JSON body is an error, or a server that cannot stream."""
    kind = content_type.partition(";")[0].strip().lower()
    return ReplyDecoder(decode_reply) if kind == "application/json" else EventDecoder()


class EventDecoder:
    """A stream of events to chunks, one for each.

    There is no end mark but the end of the body after a finish reason. An error may come even between the two, so the
    body must be read to its end.
    """

    def __init__(self) -> None:
        self.done = False
        self._events = _Events()
        self._answer = Answer()

    def feed(self, data: bytes) -> Iterator[Chunk]:
        chunk = self._answer.chunk
        for event in self._events.plain(data) or self._events.feed(data):
            if event:
                yield chunk(_payload(event, "event of the stream"))

    def finish(self) -> Iterator[Chunk]:
        bare, begun = self._events.rest()
        if bare or begun:
            try:
                _payload(bare or begun, "end of the stream")  # raises the error that it most probably is
            except APIResponseError:  # not JSON, or half of it
                raise StreamInterruptedError(f"the stream broke off with {excerpt(bare or begun)}") from None
        if bare:
            raise APIResponseError(f"the stream ends with JSON outside of an event: {excerpt(bare)}")
        if begun:
            raise StreamInterruptedError("the stream ended inside an event")
        if not self._answer.finished:
            raise StreamInterruptedError("the stream ended without a finish reason")
        self.done = True
        return iter(())


class _Events:
    """Server-sent events, of which only the data counts, and JSON that stands outside of any.

    When the API fails in the middle of a stream, it writes the error as bare, indented JSON. By the rules of events its
    lines are unknown fields, to be ignored.
    """

    def __init__(self) -> None:
        self._lines = LineDecoder()
        self._at_start = True
        self._data: list[bytes] = []  # of the event under way
        self._bare: list[bytes] = []  # the rest of the body, once a line of it begins like JSON
        self._size = 0

    def plain(self, data: bytes) -> list[bytes] | None:
        """The events in `data`, where it is whole events of one line of data each, as nearly every read is.

        A faster way than `feed`. None: it is not so plain. Then nothing has been read, and `feed` must take it.
        """
        if data[:6] != b"data: " or data[-4:] != b"\r\n\r\n" or len(data) > MAX_EVENT_BYTES:
            return None
        if self._at_start or self._data or self._bare or self._lines.unfinished:
            return None
        events = data[6:-4].split(b"\r\n\r\ndata: ")
        joined = b"".join(events)
        return events if b"\n" not in joined and b"\r" not in joined else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The events that `data` completes.

        Raises:
            ResponseTooLargeError: the event under way is larger than the limit.
        """
        pending = self._data
        for line in self._lines.feed(data):
            if self._at_start:
                self._at_start = False
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.startswith(b"data: ") and not self._bare and not pending:  # nearly every line that is not empty
                self._size = len(line)
                pending.append(line[6:])
            elif not line and not self._bare:
                if pending:
                    event = pending[0] if len(pending) == 1 else b"\n".join(pending)
                    pending.clear()
                    self._size = 0
                    yield event
            else:
                self._take(line)

    def rest(self) -> tuple[bytes, bytes]:
        """What the body ends with: JSON outside of events, and an event that was never completed."""
        last = self._lines.unfinished
        if last:
            self._take(last)
        return b"\n".join(self._bare), b"\n".join(self._data) or last

    def _take(self, line: bytes) -> None:
        if self._bare or line[:1] == b"{" or line[:1] == b"[":
            self._bare.append(line)
        elif line.startswith(b"data:"):
            line = line[6:] if line.startswith(b"data: ") else line[5:]
            self._data.append(line)
        elif line == b"data":  # a field without a colon: an empty line of data
            self._data.append(b"")
        else:
            return
        self._size += len(line) + 1
        if self._size > MAX_EVENT_BYTES:
            raise ResponseTooLargeError(f"an event is larger than {MAX_EVENT_BYTES} bytes")
