"""Body framing: one decoder for each of HTTP/1.1's three ways to say where a body ends. Bytes in, bytes out, no I/O."""

# The decoders and their contract
#
#   UntilCloseBody      neither header: the body ends with the connection
#   ContentLengthBody   Content-Length: N
#   ChunkedBody         Transfer-Encoding: chunked
#
# `feed(data)` takes what came from the connection, in whatever pieces it came, and returns the body's bytes in it.
# `feed(b"")` says that the connection has ended; where the body is not complete then, it raises StreamInterruptedError.
# An HTTP library that takes the connection's end for the body's would turn half an answer into a whole one.
#
#   done    the body is complete. After that, nothing may be fed.
#   excess  the last data had bytes beyond the body. Nobody asked for them, so the connection cannot be trusted with
#           another request: it may be the answer to a request that somebody else smuggled in.
#
# A body is fed by one reader at a time; nothing here is locked.
#
# ChunkedBody
#
# A body is a row of chunks, a last chunk of size 0, trailer lines, and an empty line:
#
#   5;name=value\r\n  hello\r\n  0\r\n  X-Trailer: 1\r\n  \r\n
#
# Its state is where in that grammar the next byte belongs. At most one of these holds:
#
#   _left > 0              inside a chunk's data; so many bytes of it are missing
#   _line_due              the data is complete, its line end is not
#   _trailers is not None  the last chunk was seen: trailer lines, of which this many bytes have come
#   (none of them)         a size line
#
# Between two calls a line that is not complete waits in `_rest`, and is looked at again with what comes next. It is
# short (_MAX_LINE; a trailer _MAX_TRAILERS), so that costs little. A chunk's data never waits: what there is of it is
# returned at once, so an event reaches its reader before its chunk is complete.
#
# A server that streams sends many small chunks. Nearly every read is one of them, whole, behind another whole one: it
# is taken at once at the head of `feed`, which is allowed only at a size line (`_at_size_line`: none of the states
# above, and nothing in `_rest`). Where several come in one packet, `_whole_chunks` takes as many as are complete
# without leaving its loop. Where many do, all are cut at their line ends at once: if every piece is as long as the line
# before it says, those were the chunks, whatever is in them. All three know plain size lines only, at most 16
# hexadecimal digits and \r\n; at anything else they stop, and the general code looks: a cut chunk, spaces, an
# extension, a bare \n, size 0.
#
# Strict where leniency would lose or invent data: a size that is none, a chunk longer than it says, trailers without
# end. Lenient where servers are known to be sloppy and nothing is lost: \n for \r\n, spaces around a size.
#
# A body may be nearly all framing: extensions, trailers, a chunk for each byte. What is framing is counted, and may not
# be more than _FRAMING_SHARE times the body and _FRAMING_SLACK: else a peer could send for ever, and send nothing.
#
# A malformed chunk may follow good ones in the same packet. Those were sent and count: `decoded_before_error` has them.

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from llmclients.errors import APIResponseError, StreamInterruptedError

__all__ = ["BodyFraming", "ChunkedBody", "ContentLengthBody", "UntilCloseBody", "can_serve_again"]

_SIZE_LINE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n]*)?\r?\n")
_PLAIN_SIZE = re.compile(rb"[0-9A-Fa-f]{1,16}")
_PLAIN_LINE = 16 + len(b"\r\n")
_FEW = 1024  # bytes
_MAX_LINE = 4 * 1024
_MAX_TRAILERS = 16 * 1024
_FRAMING_SHARE = 16
_FRAMING_SLACK = 64 * 1024


class UntilCloseBody:
    """A body that ends with its connection. Only a reset tells a cut one from a complete one."""

    done = False
    excess = False

    def feed(self, data: bytes) -> bytes:
        if not data:
            self.done = True
        return data


class ContentLengthBody:
    """A body of `length` bytes: Content-Length."""

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
    """A body in chunks: Transfer-Encoding. One call takes all the chunks that there are, and the beginning of the next.

    When `feed` raises for a malformed chunk, `decoded_before_error` is what the same call had of those before it.
    """

    __slots__ = (
        "_at_size_line", "_framing_left", "_left", "_line_due", "_rest", "_trailers", "decoded_before_error", "done",
        "excess",
    )  # fmt: skip

    def __init__(self) -> None:
        self._rest = b""
        self._at_size_line = True
        self._left = 0
        self._line_due = False
        self._trailers: int | None = None
        self._framing_left = _FRAMING_SLACK
        self.decoded_before_error = b""
        self.done = False
        self.excess = False

    def feed(self, data: bytes) -> bytes:
        """The body's bytes in `data`.

        Raises:
            StreamInterruptedError: the connection has ended before the body.
            APIResponseError: the chunks are malformed or nearly all framing, or the trailers too long.
        """
        came = len(data)
        if self._at_size_line and (found := data.find(b"\r\n", 0, _PLAIN_LINE)) > 0:
            size = _plain_size(data[:found])
            if size and found + size + 4 == came and data.endswith(b"\r\n"):
                self._framing_left += (_FRAMING_SHARE + 1) * size - came
                if self._framing_left < 0:
                    raise _nearly_all_framing()
                return data[found + 2 : -2]
        return self._unframed(data, came)

    def _unframed(self, data: bytes, came: int) -> bytes:
        if not data:
            raise StreamInterruptedError("the answer broke off: its last chunk is missing")
        if self._rest:
            data, self._rest = self._rest + data, b""
        pieces: list[bytes] = []
        position, end = 0, len(data)
        are_many = end > _FEW
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
                    if after == position:  # the line is not complete
                        break
                    position = after
                elif are_many:
                    are_many = False  # tried once: each time costs what all the data does
                    position = _chunks_of_one_line(data, position, pieces)
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
            self.decoded_before_error = b"".join(pieces)
            raise
        if self.done:
            self.excess = position < end
        elif position < end:
            self._rest = data[position:]
        self._at_size_line = not (self._rest or self._left or self._line_due or self.done) and self._trailers is None
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._framing_left += (_FRAMING_SHARE + 1) * len(body) - came
        if self._framing_left < 0:
            raise _nearly_all_framing()
        return body

    def _whole_chunks(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """The position after the complete chunks with plain size lines that `data` has from `position`."""
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


def _chunks_of_one_line(data: bytes, position: int, pieces: list[bytes]) -> int:
    """The position after the complete chunks from `position` on; `position` itself if one has a \\r\\n in it."""
    parts = data[position:].split(b"\r\n")
    complete = (len(parts) - 1) // 2 * 2  # behind the last one's line end there is another part
    lines, chunks = parts[0:complete:2], parts[1:complete:2]
    sizes = [*map(_plain_size, lines)]
    if 0 in sizes:
        first = sizes.index(0)
        del lines[first:], chunks[first:], sizes[first:]
    if sizes != [*map(len, chunks)]:
        return position
    pieces += chunks
    return position + sum(map(len, lines)) + sum(sizes) + 4 * len(sizes)


@lru_cache(maxsize=1024)
def _plain_size(line: bytes) -> int:
    """The size in a line of nothing but hexadecimal digits; 0 for any other line, which needs a closer look."""
    # int() alone takes signs, spaces and underscores. Cached: sizes repeat, and a pattern costs more than a look-up.
    return int(line, 16) if _PLAIN_SIZE.fullmatch(line) else 0


def _nearly_all_framing() -> APIResponseError:
    return APIResponseError("the response's chunks are nearly all framing")


BodyFraming = UntilCloseBody | ContentLengthBody | ChunkedBody


def can_serve_again(headers: Mapping[str, str]) -> bool:
    """Whether a response with these headers can end before its connection does. Names in lower case."""
    options = [option.strip() for option in headers.get("connection", "").lower().split(",")]
    # Both at once are how one answer is made to look like two: the body is read, the connection is not used again.
    return "close" not in options and ("transfer-encoding" in headers) != ("content-length" in headers)
