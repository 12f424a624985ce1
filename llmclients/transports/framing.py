"""Where a response's body ends: HTTP/1.1's three ways of framing it. Bytes in, bytes out, no I/O.

Each has `feed(data)`, where `b""` means that the connection has ended; `done`; and `excess`: there were bytes after
the end of the body.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from llmclients.errors import APIResponseError, StreamInterruptedError

__all__ = ["BodyFraming", "ChunkedBody", "EndlessBody", "SizedBody", "can_serve_again"]

_SIZE_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_PLAIN_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_PLAIN_LINE = 16 + len(b"\r\n")
_MAX_LINE = 4 * 1024
_MAX_TRAILERS = 16 * 1024


class EndlessBody:
    """Ends with the connection."""

    done = False
    excess = False

    def feed(self, data: bytes) -> bytes:
        if not data:
            self.done = True
        return data


class SizedBody:
    """Content-Length."""

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0
        self.excess = False

    def feed(self, data: bytes) -> bytes:
        if not data:
            raise StreamInterruptedError(f"the answer broke off: {self._left} of its declared bytes are missing")
        if len(data) > self._left:
            self.excess = True
            data = data[: self._left]
        self._left -= len(data)
        self.done = self._left == 0
        return data


class ChunkedBody:
    """Transfer-Encoding: chunked. Takes all the chunks there are in one call, and the beginning of a chunk as well.

    When `feed` raises for malformed chunks, `salvaged` is what it had of those before.
    """

    def __init__(self) -> None:
        self._rest = b""  # a line that is not complete
        self._left = 0  # of the chunk that is being read
        self._line_due = False  # the line end after a chunk's data
        self.salvaged = b""
        self._trailers: int | None = None  # bytes of trailers so far, once the last chunk was seen
        self.done = False
        self.excess = False

    def feed(self, data: bytes) -> bytes:
        if not data:
            raise StreamInterruptedError("the answer broke off: its last chunk is missing")
        if self._rest:
            data, self._rest = self._rest + data, b""
        pieces: list[bytes] = []
        position, end = 0, len(data)
        try:
            while position < end and not self.done:
                if self._left:
                    piece = data[position : position + self._left]
                    pieces.append(piece)
                    position += len(piece)
                    self._left -= len(piece)
                    self._line_due = not self._left
                elif self._line_due or self._trailers is not None:
                    after = self._line_end(data, position) if self._line_due else self._trailer(data, position)
                    if after == position:
                        break
                    position = after
                elif (after := self._whole_chunks(data, position, pieces)) > position:
                    position = after
                elif (line := _SIZE_LINE.match(data, position)) is not None:
                    position = line.end()
                    if size := int(line[1], 16):
                        self._left = size
                    else:
                        self._trailers = 0
                elif end - position > _MAX_LINE or data.find(b"\n", position) >= 0:
                    raise APIResponseError("the response's chunks are malformed")
                else:
                    break
        except APIResponseError:
            self.salvaged = b"".join(pieces)
            raise
        if self.done:
            self.excess = position < end
        elif position < end:
            self._rest = data[position:]
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _whole_chunks(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """The position after the chunks that are all there, as most are, their size lines without ornament."""
        while (found := data.find(b"\r\n", position, position + _PLAIN_LINE)) > 0:
            start = found + 2
            after = start + _plain_size(data[position:found])
            if after == start or data[after : after + 2] != b"\r\n":
                break
            pieces.append(data[start:after])
            position = after + 2
        return position

    def _line_end(self, data: bytes, position: int) -> int:
        """The position after a chunk's line end; `position` itself when that is not complete."""
        for ending in (b"\r\n", b"\n"):
            if data.startswith(ending, position):
                self._line_due = False
                return position + len(ending)
        if data[position:] != b"\r":
            raise APIResponseError("the response's chunks are malformed")
        return position

    def _trailer(self, data: bytes, position: int) -> int:
        """The position after one trailer line; `position` itself when that is not complete."""
        assert self._trailers is not None
        found = data.find(b"\n", position)
        size = (found if found >= 0 else len(data)) - position
        if self._trailers + size > _MAX_TRAILERS:
            raise APIResponseError("the response's trailers are too long")
        if found < 0:
            return position
        self.done = data[position:found] in (b"", b"\r")
        self._trailers += size + 1
        return found + 1


@lru_cache(maxsize=1024)
def _plain_size(line: bytes) -> int:
    """The size in a line of nothing but hexadecimal digits; 0 for any other, which needs a closer look."""
    return int(line, 16) if _PLAIN_SIZE.fullmatch(line) else 0


BodyFraming = EndlessBody | SizedBody | ChunkedBody


def can_serve_again(headers: Mapping[str, str]) -> bool:
    """Whether a response with these headers can end before its connection does. Names in lower case."""
    options = [option.strip() for option in headers.get("connection", "").lower().split(",")]
    return "close" not in options and ("transfer-encoding" in headers or "content-length" in headers)
