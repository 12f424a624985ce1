"""What a body is, whatever its label says: a stream of events, one JSON value, a page, or a proxy's words.

The look: docs/odd-servers.md, "Labels and places".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress

from pydantic_core import from_json

from llmclients.codecs.base import StreamDecoder
from llmclients.codecs.errors import excerpt
from llmclients.codecs.framing import SSEDecoder
from llmclients.errors import APIResponseError, StreamInterruptedError
from llmclients.types.response import Chunk

__all__ = ["ReplyDecoder", "is_beginning", "last_chunks"]


class ReplyDecoder:
    """A stream decoder for a plain JSON reply where a stream was asked for: the whole of it is one chunk.

    Args:
        decode: makes the chunk of a whole body.
        events: the decoder to leave the body to, if it does not begin like JSON or a page after all.
    """

    def __init__(self, decode: Callable[[bytes], Chunk], events: StreamDecoder | None = None) -> None:
        self.done = False
        self._decode = decode
        self._events = events
        self._body: list[bytes] = []
        self._is_stream: bool | None = None if events else False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        if self._is_stream is None:
            begin = data.lstrip()
            if begin:
                self._is_stream = begin[:1] not in (b"{", b"[", b"<")
        if self._is_stream and self._events is not None:
            yield from self._events.feed(data)
            self.done = self._events.done
        else:
            self._body.append(data)

    def finish(self) -> Iterator[Chunk]:
        if self._is_stream and self._events is not None:
            yield from self._events.finish()
        else:
            chunk = self._decode(b"".join(self._body))
            self.done = True
            yield chunk
        self.done = True


def last_chunks(decoder: StreamDecoder, events: SSEDecoder, decode: Callable[[bytes], Chunk]) -> Iterator[Chunk]:
    """For a decoder of events whose body has ended cleanly: what came last, or in a stream's place.

    The last event counts without its blank line, when it is whole. A body that was no stream at all is read as a reply.

    Raises:
        APIStatusError: an error stands where no event is.
        StreamInterruptedError: the body is no more than the beginning of a JSON object.
        APIResponseError: the body was no stream, and is no reply.
    """
    if not decoder.done and events.ends_whole():
        yield from decoder.feed(b"\n\n")
    if decoder.done:
        return
    _, outside = events.rest()
    if not outside.strip():
        return
    if is_beginning(outside):
        raise StreamInterruptedError(f"the stream broke off with {excerpt(outside)}")
    if events.begun:
        with suppress(APIResponseError):
            decode(outside)  # for the error that it may be
        return
    chunk = decode(outside)
    decoder.done = True
    yield chunk


def is_beginning(body: bytes) -> bool:
    """Whether a body is the beginning of a JSON object, and no more."""
    body = body.strip()
    if body[:1] != b"{" or body[-1:] == b"}":
        return False
    try:
        from_json(body)
    except ValueError as error:
        if "trailing characters" in str(error):  # a whole one, and more behind it
            return False
        with suppress(ValueError):
            from_json(body, allow_partial=True)
            return True
    return False
