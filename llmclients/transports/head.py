"""HTTP/1.1 heads as bytes: a request's made, a response's read. No I/O.

Reading is as strict as h11 is, which a test compares it with: names are tokens, no white space comes before a colon, no
control character is in a value, no line continues another. It is written here for its cost: on the head of a large
provider's answer, 22 lines, h11 takes five times as long, and httptools, in C, just as long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from llmclients.errors import APIResponseError
from llmclients.transports.content_encoding import quoted
from llmclients.transports.framing import BodyFraming, ChunkedBody, ContentLengthBody, UntilCloseBody

__all__ = [
    "HeadReader",
    "InvalidRequestError",
    "MalformedError",
    "ResponseHead",
    "end_of_head",
    "host_in_url",
    "parse_head",
    "request_head",
    "response_framing",
]

_MAX_BYTES = 64 * 1024
_MAX_LINES = 100
_MAX_INTERIM_HEADS = 20

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-5][0-9][0-9])(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?")
_HEAD_END = re.compile(rb"\n\r?\n")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_LENGTH = re.compile(r"[0-9]{1,18}")


class MalformedError(Exception):
    """What came is not HTTP."""


class InvalidRequestError(Exception):
    """A URL or a header that cannot be sent. Says nothing of it: it may hold a secret."""


class ResponseHead(NamedTuple):
    """A response's head. Header names are in lower case, their values as they came; repeated ones are all there."""

    status: int
    reason: str
    version: int  # 0 or 1: the digit after `HTTP/1.`
    pairs: tuple[tuple[str, str], ...]

    def joined(self) -> dict[str, str]:
        """The headers by name, a repeated one's values joined with `, `."""
        headers: dict[str, str] = {}
        for name, value in self.pairs:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers


class HeadReader:
    """Takes bytes as they come until the head of the final response is whole. Interim ones (1xx) are skipped.

    Attributes:
        rest: what came behind it.
    """

    __slots__ = ("_interims", "_unfinished", "rest")

    def __init__(self) -> None:
        self._unfinished = self.rest = b""
        self._interims = 0

    def feed(self, data: bytes) -> ResponseHead | None:
        """The head; None while it is not whole.

        Raises:
            MalformedError: it is no head, too long, or the 21st that is not final.
        """
        start = max(len(self._unfinished) - 3, 0)
        data = self._unfinished + data
        while 0 <= (end := end_of_head(data, start)) <= _MAX_BYTES:
            head, data, start = parse_head(data[:end]), data[end:], 0
            if head.status >= 200:
                self.rest = data
                return head
            self._interims += 1
            if head.status == 101 or self._interims > _MAX_INTERIM_HEADS:
                raise MalformedError
        if len(data) > _MAX_BYTES:
            raise MalformedError
        self._unfinished = data
        return None


def end_of_head(data: bytes, start: int = 0) -> int:
    """The position after the empty line that ends a head, or -1. Looks only at what is from `start` on."""
    found = data.find(b"\r\n\r\n", start)
    bare = _HEAD_END.search(data, start, found + 2 if found >= 0 else len(data))  # lines may end in a bare LF
    if bare is not None:
        return bare.end()
    return found + 4 if found >= 0 else -1


def parse_head(data: bytes) -> ResponseHead:
    """A complete head, with the empty line that ends it.

    Raises:
        MalformedError: it is not a head of HTTP/1.0 or 1.1.
    """
    first, *lines = data.decode("latin-1").replace("\r\n", "\n").rstrip("\n").split("\n")
    found = _STATUS_LINE.fullmatch(first)
    if found is None or len(lines) > _MAX_LINES:
        raise MalformedError
    pairs = []
    for line in lines:
        name, colon, value = line.partition(":")
        name = _lower_token(name)
        if not name or not colon or _CONTROL.search(value):
            raise MalformedError
        pairs.append((name, value.strip(" \t")))
    return ResponseHead(int(found[2]), (found[3] or "").strip(), int(found[1]), tuple(pairs))


@lru_cache(maxsize=1024)
def _lower_token(name: str) -> str:
    """A header's name in lower case; nothing for what is not a name."""
    return name.lower() if _TOKEN.fullmatch(name) else ""


def response_framing(head: ResponseHead, headers: Mapping[str, str]) -> BodyFraming:
    """How the response's body ends.

    Raises:
        MalformedError: its length is not a number, or there are two.
        APIResponseError: a transfer coding that is not known.
    """
    if head.status in (204, 304):
        return ContentLengthBody(0)
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if coding.lower() != "chunked" or head.version == 0:
            raise APIResponseError(f"the response has an unknown transfer coding: {quoted(coding)}")
        return ChunkedBody()
    length = headers.get("content-length")
    if length is None:
        return UntilCloseBody()
    values = {value.strip(" \t") for value in length.split(",")}
    if len(values) != 1 or not _LENGTH.fullmatch(value := values.pop()):
        raise MalformedError
    return ContentLengthBody(int(value))


def request_head(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """A request's head.

    Raises:
        InvalidRequestError: a name or a value would be read as something else.
    """
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in headers:
        if not _lower_token(name):
            raise InvalidRequestError
        lines.append(f"{name}: {value}")
    text = "\n".join(lines)
    if text.count("\n") != len(lines) - 1 or _CONTROL.search(text.replace("\n", "")):
        raise InvalidRequestError
    try:
        return (text.replace("\n", "\r\n") + "\r\n\r\n").encode("latin-1")
    except UnicodeEncodeError:
        raise InvalidRequestError from None


def host_in_url(host: str) -> str:
    """A host as URLs and the header Host have it."""
    return f"[{host}]" if ":" in host else host
