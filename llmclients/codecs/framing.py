"""Decoders of bytes to lines, server-sent events and text, however the bytes are cut."""

# Theory of operation
#
# A read may end anywhere: inside a line, between a CR and its LF, inside a character, inside a byte order mark. What is
# unfinished is kept, as a list of pieces that is joined once, when the rest has come. So no byte is looked at twice,
# and a line that comes byte by byte costs no more than one that comes whole. Each decoder holds at most `max_bytes` and
# one read; what grows beyond is an error.
#
# `LineDecoder`: `_pieces` are those of the line without an end, `_after_cr` says that the last byte was a CR. Such a CR
# has ended its line already, for to wait for an LF could be to wait for the next event. The LF is dropped if it comes.
#
# `SSEDecoder` works on whole lines. `_type` and `_data` belong to the event under way; an empty line hands them out and
# clears them. `_start` holds what has come before it is clear how the body begins: white space, and the one or
# two bytes that may be the beginning of a byte order mark.
#
# What is no event is not lost. A body that begins like JSON or like a page is none at all, whatever its label: every
# line of it goes to `_outside`. Otherwise, lines that the rules call unknown fields, to be ignored, go there, up to
# `_MAX_OUTSIDE` bytes of them: a proxy's words, an error that is written in between without a `data:`. `outside` has
# them when the body has ended, for an answer that did not come to its end. `ends_whole` says whether the last event
# lacks no more than its blank line: then feeding that line hands it out.
#
# `SSEDecoder.feed_plain` is the short way for nearly every read of nearly every stream: whole events, each one line of
# data. It is allowed only after the first event, and between events, when `_type`, `_data` and `_pieces` are empty and
# no LF is to come. `_between_events` says so. `feed` clears it first and sets it last: after an error, or when its
# generator was left in the middle, it stays false, and every later read takes the long way. A plain read changes no
# state, for it ends between events as it began.
#
# One decoder serves one body, in one thread at a time. A generator that `feed` returns is run to its end before the
# next call.

from __future__ import annotations

import codecs
from collections.abc import Iterator

from llmclients.codecs.json_text import load_json
from llmclients.errors import APIResponseError, ResponseTooLargeError, StreamInterruptedError

__all__ = ["MAX_EVENT_BYTES", "LineDecoder", "SSEDecoder", "TextDecoder", "begins_like_events", "begins_like_page"]

MAX_EVENT_BYTES = 8 * 1024 * 1024

_CR, _LF = b"\r\n"
_MARK = b"\xef\xbb\xbf"
_MAX_OUTSIDE = 16 * 1024
_MAX_START = 1024  # bytes of white space before a body says what it is
_FIELDS = (b"data", b"event", b"id", b"retry", b"error")


def begins_like_events(body: bytes) -> bool:
    """Whether a body begins as a stream of events does: with a field, or with a comment."""
    return body.removeprefix(_MARK).lstrip().startswith((b"data:", b"event:", b"id:", b"retry:", b":"))


def begins_like_page(body: bytes) -> bool:
    """Whether a body begins as a page of HTML, or another document of tags, does."""
    begin = body.removeprefix(_MARK).lstrip()[:9].lower()
    return begin.startswith((b"<!doctype", b"<html", b"<head", b"<body", b"<title", b"<?xml", b"<!--"))


class LineDecoder:
    """Bytes to lines, each without its line end: LF, CRLF or a lone CR, mixed as they may be.

    A CR ends a line at once, also as the last byte of a read; an LF right after it then belongs to it.
    """

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_bytes
        self._pieces: list[bytes] = []  # of the line that has no end yet
        self._size = 0
        self._after_cr = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` ends.

        Raises:
            ResponseTooLargeError: the line under way is longer than the limit. Lines that `data` ended come first: then
                the next call raises.
        """
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")
        if b"\r" in data:
            self._after_cr = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = data.split(b"\n")
        rest = lines.pop()
        if lines and self._pieces:
            lines[0] = b"".join(self._pieces) + lines[0]
            self._pieces.clear()
            self._size = 0
        if rest:
            self._pieces.append(rest)
            self._size += len(rest)
            if self._size > self._max and not lines:
                raise ResponseTooLargeError(f"a line is longer than {self._max} bytes")
        return lines

    @property
    def at_line_start(self) -> bool:
        """Whether the next byte begins a line: none is under way, nor is an LF to come that ends the last one."""
        return not self._pieces and not self._after_cr

    @property
    def unfinished(self) -> bytes:
        """What has come of a line that has no end yet."""
        return b"".join(self._pieces)


class SSEDecoder:
    """Server-sent events by the WHATWG rules: bytes to `(event type, data)`, without reconnection (no id, no retry).

    Attributes:
        begun: whether an event has come.
        no_events: whether nothing further can be one: all of it is `outside`, as `rest` returns it.

    Args:
        max_bytes: the most bytes of one event.
        error_field: take a field named `error` as an event of type `error`, as llama.cpp sent before September 2025.
        bare_json: from any line on that begins like JSON, nothing is an event. When Gemini fails inside a stream, it
            writes the error so, indented.
    """

    def __init__(self, max_bytes: int = MAX_EVENT_BYTES, *, error_field: bool = False, bare_json: bool = False) -> None:
        self._lines = LineDecoder(max_bytes)
        self._max = max_bytes
        self._error_field = error_field
        self._bare_json = bare_json
        self._at_start = True
        self._start = b""
        self._type = ""
        self._data: list[bytes] = []  # of the event under way
        self._outside: list[bytes] = []  # lines that are no events
        self._outside_size = 0
        self.no_events = False  # whether every further line is one
        self.begun = False  # whether an event has come
        self._size = 0
        self._between_events = False  # an event has come, and nothing is under way

    def feed_plain(self, data: bytes) -> list[bytes] | None:
        """The data of each event in `data`, where it is whole events of one line of data each, as nearly every read is.

        A faster way than `feed`, for wires without types. None: `data` is not so plain, or an event is under way. Then
        nothing has been read, and `feed` must take it.
        """
        if not self._between_events or data[:6] != b"data: " or len(data) > self._max:
            return None
        if data[-2:] == b"\n\n":
            value = data[6:-2]
            if _LF not in value and _CR not in value:  # one event: models write one at a time
                return [value]
            values = value.split(b"\n\ndata: ")
        elif data[-4:] == b"\r\n\r\n":
            values = data[6:-4].split(b"\r\n\r\ndata: ")
        else:
            return None
        joined = b"".join(values)
        return values if _LF not in joined and _CR not in joined else None  # no other line was between them

    def feed(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        """The events that `data` completes.

        Raises:
            ResponseTooLargeError: the event under way is larger than the limit.
        """
        self._between_events = False
        if self._at_start:
            data = self._first_look(data)
        pending = self._data
        lines = self._lines.feed(data)
        if self.no_events:
            self._keep(lines)
            return
        for line in lines:
            if not line:
                if pending:
                    self.begun = True
                    event = self._type or "message", pending[0] if len(pending) == 1 else b"\n".join(pending)
                    pending.clear()
                    self._size = 0
                    self._type = ""
                    yield event
                else:
                    self._type = ""
            elif line.startswith(b"data:"):  # half of all lines: `_add` without the call
                value = line[6:] if line.startswith(b"data: ") else line[5:]
                pending.append(value)
                self._size += len(value) + 1
                if self._size > self._max:
                    raise self._too_large()
            elif self._bare_json and line[:1] in (b"{", b"["):
                self.no_events = True
                self._keep(lines[lines.index(line) :])  # no line before it is equal: that one would have come here
                return
            else:
                self._other_field(line)
        self._between_events = self.begun and not (pending or self._type) and self._lines.at_line_start

    def ends_whole(self) -> bool:
        """Whether an event is under way that lacks no more than its blank line: its data is a JSON object or `[DONE]`.

        Asked when the body has ended cleanly; then a blank line may be fed.
        """
        last = self._lines.unfinished
        fields = (b"data:", b"error:") if self._error_field else (b"data:",)
        values = [*self._data, *(last.partition(b":")[2] for _ in (last,) if last.startswith(fields))]
        data = b"\n".join(values)
        if self.no_events or not data or (last and b":" not in last):  # the last: the beginning of a field
            return False
        if data.strip() == b"[DONE]":
            return True
        try:
            return type(load_json(data)) is dict
        except ValueError:
            return False

    def rest(self) -> tuple[bytes, bytes]:
        """What a body that has ended leaves behind: the data of an event without its end, and what is no event.

        Raises:
            ResponseTooLargeError: with its last line, one of them is larger than the limit.
        """
        last = self._lines.unfinished
        if not self.no_events and any(field.startswith(last) for field in _FIELDS):
            return b"\n".join(self._data) or last, b"\n".join(self._outside)
        if last:
            list(self.feed(b"\n"))  # ends the line, which ends no event
        return b"\n".join(self._data), b"\n".join(self._outside)

    def _keep(self, lines: list[bytes]) -> None:
        """Lines of a body that is no event stream, or has ceased to be one."""
        for line in lines:
            self._add(self._outside, line)

    def _add(self, lines: list[bytes], value: bytes) -> None:
        lines.append(value)
        self._size += len(value) + 1
        if self._size > self._max:
            raise self._too_large()

    def _too_large(self) -> ResponseTooLargeError:
        return ResponseTooLargeError(f"an event is larger than {self._max} bytes")

    def _other_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._type = value.decode("utf-8", "replace")
        elif name == b"data":  # a field without a colon: an empty line of data
            self._add(self._data, b"")
        elif name == b"error" and self._error_field:
            self._type = "error"
            self._add(self._data, value)
        elif name not in (b"id", b"retry", b"") and self._outside_size < _MAX_OUTSIDE:
            self._outside.append(line[:_MAX_OUTSIDE])
            self._outside_size += len(line)

    def _first_look(self, data: bytes) -> bytes:
        """`data` without the byte order mark that may open a stream; what is unclear is held back."""
        data = self._start + data
        mark = data[: len(_MARK)] if data.startswith(_MARK) else b""
        begin = data[len(mark) :].lstrip()
        if len(data) < 3 and _MARK.startswith(data):
            self._start = data
            return b""
        if not begin and len(self._start) < _MAX_START:  # of lines that are empty, one says as much as all
            lines = data[len(mark) :].replace(b"\r", b"\n")
            self._start = mark + (b"\n" if _LF in lines else b"") + lines.rpartition(b"\n")[2]
            return b""
        self._at_start = False
        self._start = b""
        self.no_events = begin[:1] in (b"{", b"[", b"<")
        return begin if self.no_events else data[len(mark) :]


class TextDecoder:
    """UTF-8 bytes to text, where a read may end inside a character. Nothing is stripped: every byte is content."""

    def __init__(self) -> None:
        # A half of a character passes: it may find its other half (see `json_text`).
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogatepass")

    def feed(self, data: bytes) -> Iterator[str]:
        """The text that `data` completes, if any.

        Raises:
            APIResponseError: the bytes are not UTF-8; the text before them comes first.
        """
        try:
            text = self._decoder.decode(data)
        except UnicodeDecodeError as error:
            yield from filter(None, [error.object[: error.start].decode("utf-8", "surrogatepass")])
            raise APIResponseError(f"the answer is not UTF-8: {error.reason}") from None
        if text:
            yield text

    def finish(self) -> None:
        """The body has ended.

        Raises:
            StreamInterruptedError: inside a character.
        """
        if self._decoder.getstate()[0]:
            raise StreamInterruptedError("the answer ends inside a UTF-8 character: it was cut")
