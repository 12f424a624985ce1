"""A decoder of content encodings (gzip, deflate) that never makes more than a limit of bytes. No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from llmclients.errors import APIResponseError, ResponseTooLargeError, StreamInterruptedError

__all__ = ["BodyDecoder", "quoted"]

_ENCODED_SLACK = 64 * 1024
"""Encoded, a body may be so much longer than the limit: what does not compress grows a little."""
_LONGEST_QUOTED = 40
_PIECE = 16 * 1024  # of encoded bytes: what is left of them when a gzip member ends is copied
_MEMBERS = 256  # of gzip, in one step
_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS  # zlib's `wbits`


class BodyDecoder:
    """Undoes the content encoding of a body that comes in pieces: none, gzip or deflate.

    Never makes more than `limit` bytes of the whole body, so a small body that unpacks to gigabytes does no harm; nor
    takes many more, so one that unpacks to nothing ends, too.

    Args:
        headers: the response's headers, their names in lower case.
        limit: the most bytes that the body may have when it is decoded.
        step: the most bytes to make in one call; None for no bound but the limit. While `pending` is true there is more
            in what was fed, or the body is over the limit: it comes with `feed(b"")`.

    Raises:
        APIResponseError: an encoding that is not known.
    """

    __slots__ = ("_encoded_left", "_inflate", "_left", "_limit", "_step", "pending")

    def __init__(self, headers: Mapping[str, str], limit: int, step: int | None = None) -> None:
        self._limit = limit
        self._left = limit
        self._encoded_left = limit + _ENCODED_SLACK
        self._step = step
        self._inflate: _Gzip | _Deflate | None = None
        self.pending = False
        encoding = headers.get("content-encoding")
        if encoding is not None:
            self._inflate = _inflater(encoding, None if step is None else _MEMBERS)

    def feed(self, data: bytes) -> bytes:
        """The decoded bytes that `data` completes; may be none.

        Raises:
            ResponseTooLargeError: the body is over the limit, and what is within it has been handed out.
            APIResponseError: `data` is not in the encoding that the headers name.
        """
        if self._inflate is not None:
            self._encoded_left -= len(data)
            # One byte more than is left: it shows that the body goes on.
            allowed = self._left + 1 if self._step is None else min(self._left + 1, self._step)
            try:
                data = self._inflate.feed(data, allowed)
            except zlib.error as error:
                raise APIResponseError("the response is not in the content encoding that it names") from error
            self.pending = len(data) == allowed or self._inflate.stopped
        self._left -= len(data)
        if self._left < 0 or self._encoded_left < 0:
            return self._within_limit(data)
        return data

    def _within_limit(self, data: bytes) -> bytes:
        """The part of the last `data` that is within the limit. However a body is cut into reads, a caller has the same
        of it before the error, which is raised by the next call, or by this one where nothing is left.
        """
        if self._left < 0:
            data = data[: max(0, self._left + len(data))]
        self._left, self._inflate, self.pending = -1, None, True
        if not data:
            raise self._too_large()
        return data

    def _too_large(self) -> ResponseTooLargeError:
        return ResponseTooLargeError(f"the response has more than {self._limit} bytes (max_response_bytes)")

    def finish(self) -> None:
        """The body has ended.

        Raises:
            ResponseTooLargeError: the body is over the limit.
            StreamInterruptedError: the encoded body was not complete.
        """
        if self._left < 0:
            raise self._too_large()
        if self._inflate is not None and not self._inflate.complete:
            raise StreamInterruptedError("the answer broke off: its compressed body is not complete")


def _inflater(encoding: str, members: int | None) -> _Gzip | _Deflate | None:
    names = [name for part in encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if not names:
        return None
    if names in (["gzip"], ["x-gzip"]):
        return _Gzip(members)
    if names == ["deflate"]:
        return _Deflate()
    raise APIResponseError(f"the response has an unknown content encoding: {quoted(', '.join(names))}")


def quoted(value: str) -> str:
    """A header's value for a message, or its length: a long one is not cut, as nobody finds a secret that is."""
    return repr(value) if len(value) <= _LONGEST_QUOTED else f"{len(value)} characters"


class _Gzip:
    """One gzip member after another, in one call at most `members`. Keeps what `feed` had no room for."""

    def __init__(self, members: int | None) -> None:
        self._members = members
        self._member = zlib.decompressobj(_GZIP)
        self._rest = b""
        self._full = False  # the last call made all it was allowed to: the member may hold more
        self.stopped = False  # it began as many members as it was allowed to
        self.complete = True  # no byte yet: an empty body stands for itself

    def feed(self, data: bytes, limit: int) -> bytes:
        output = bytearray()
        data = self._rest + data
        position, members = 0, 0
        self.stopped = False
        while (position < len(data) or self._full) and len(output) < limit and not self.stopped:
            self._full = False
            piece = data[position : position + _PIECE]
            position += len(piece)
            if self._member.eof:
                piece = piece.lstrip(b"\0")  # padding
                if not piece:
                    continue
                self._member = zlib.decompressobj(_GZIP)
                members += 1
                self.stopped = members == self._members
            output += self._member.decompress(piece, limit - len(output))
            position -= len(self._member.unconsumed_tail or self._member.unused_data)
            self.complete = self._member.eof
        self._rest = data[position:]
        self._full = len(output) == limit
        return bytes(output)


class _Deflate:
    """zlib's format, as the standard says, or the bare one, as some servers send. Keeps what `feed` had no room for."""

    stopped = False

    def __init__(self) -> None:
        self._head = b""
        self._stream = zlib.decompressobj(_ZLIB)
        self.complete = True

    def feed(self, data: bytes, limit: int) -> bytes:
        self.complete = self.complete and not data
        if len(self._head) < 2:
            self._head += data
            if len(self._head) < 2:
                return b""
            data = self._head
            if data[0] & 15 != 8 or (data[0] << 8 | data[1]) % 31:
                self._stream = zlib.decompressobj(_RAW)
        output = self._stream.decompress(self._stream.unconsumed_tail + data, limit)
        if self._stream.unused_data:
            raise zlib.error("data after the end")
        self.complete = self._stream.eof
        return output
