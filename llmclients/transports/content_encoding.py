"""A decoder of content encodings (gzip, deflate) that never makes more than a limit of bytes. No I/O."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from llmclients.errors import APIResponseError, ResponseTooLargeError, StreamInterruptedError

__all__ = ["BodyDecoder"]

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS  # zlib's `wbits`


class BodyDecoder:
    """Undoes the content encoding of a body that comes in pieces: none, gzip or deflate.

    Never makes more than `limit` bytes of the whole body, so a small body that unpacks to gigabytes does no harm.

    Args:
        headers: the response's headers, their names in lower case.
        limit: the most bytes that the body may have when it is decoded.

    Raises:
        APIResponseError: an encoding that is not known.
    """

    __slots__ = ("_inflate", "_left", "_limit")

    def __init__(self, headers: Mapping[str, str], limit: int) -> None:
        self._limit = limit
        self._left = limit
        self._inflate: _Gzip | _Deflate | None = None
        encoding = headers.get("content-encoding")
        if encoding is not None:
            self._inflate = _inflater(encoding)

    def feed(self, data: bytes) -> bytes:
        """The decoded bytes that `data` completes; may be none.

        Raises:
            ResponseTooLargeError: the body is over the limit.
            APIResponseError: `data` is not in the encoding that the headers name.
        """
        if self._inflate is not None:
            try:
                # One byte more than is left: it shows that the body goes on.
                data = self._inflate.feed(data, self._left + 1)
            except zlib.error as error:
                raise APIResponseError("the response is not in the content encoding that it names") from error
        self._left -= len(data)
        if self._left < 0:
            raise ResponseTooLargeError(f"the response has more than {self._limit} bytes (max_response_bytes)")
        return data

    def finish(self) -> None:
        """The body has ended.

        Raises:
            StreamInterruptedError: the encoded body was not complete.
        """
        if self._inflate is not None and not self._inflate.complete:
            raise StreamInterruptedError("the answer broke off: its compressed body is not complete")


def _inflater(encoding: str) -> _Gzip | _Deflate | None:
    names = [name for part in encoding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
    if not names:
        return None
    if names in (["gzip"], ["x-gzip"]):
        return _Gzip()
    if names == ["deflate"]:
        return _Deflate()
    raise APIResponseError(f"the response has an unknown content encoding: {', '.join(names)[:40]!r}")


class _Gzip:
    """One gzip member after another. `feed` makes at most `limit` bytes, and drops what is beyond."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_GZIP)
        self.complete = True  # an empty body is complete, whatever its headers say

    def feed(self, data: bytes, limit: int) -> bytes:
        output = bytearray()
        while data and len(output) < limit:
            if self._member.eof:
                data = data.lstrip(b"\0")  # padding
                if not data:
                    break
                self._member = zlib.decompressobj(_GZIP)
            output += self._member.decompress(data, limit - len(output))
            data = self._member.unused_data
            self.complete = self._member.eof
        return bytes(output)


class _Deflate:
    """zlib's format, as the standard says, or raw deflate, as some servers send. The first two bytes tell which."""

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
        output = self._stream.decompress(data, limit)
        if self._stream.unused_data:
            raise zlib.error("data after the end")
        self.complete = self._stream.eof
        return output
