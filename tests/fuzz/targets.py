"""What must hold for any bytes, one function for each part of the library. A function raises when it does not.

The first bytes of an input say how the rest is cut, or which way it takes; so any bytes are an input, and no fuzzing
library is needed to replay one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from llmclients.calls.accumulator import Accumulator
from llmclients.calls.retry import parse_retry_after
from llmclients.codecs.base import StreamDecoder
from llmclients.codecs.framing import LineDecoder, SSEDecoder, TextDecoder
from llmclients.codecs.raw_text.prompt import format_prompt
from llmclients.config.environment import check_base_url, check_headers
from llmclients.config.values import Proxy
from llmclients.errors import APIError, APIStatusError, ConfigurationError, InvalidRequestError, StreamInterruptedError
from llmclients.providers.registry import find_provider
from llmclients.transports.content_encoding import BodyDecoder
from llmclients.transports.framing import ChunkedBody
from llmclients.types.messages import Message

EVENTS = ("openai", "openai-responses", "ylokh", "anthropic", "gemini", "cohere", "ollama")
PROVIDERS = (*EVENTS, "yqcloud", "yqcloud-legacy", "ai365vip")
CANARY = "c4n4ry"

_HEADER = 4  # bytes at the start of an input that are not data
_CODECS = {provider: find_provider(provider).load_codec() for provider in PROVIDERS}
_KINDS = ("text/event-stream", "application/json", "", "text/html; charset=utf-8")


def _cut(data: bytes) -> tuple[bytes, list[list[bytes]]]:
    """The data, and four ways to cut it: whole, in three at two places, in pieces of a few bytes, at empty lines."""
    head, body = data[:_HEADER].ljust(_HEADER, b"\0"), data[_HEADER:]
    size = len(body) + 1
    first, second = sorted((int.from_bytes(head[:2], "big") % size, head[2] % size))
    step = head[3] % 7 + 1
    pieces = [body[at : at + step] for at in range(0, len(body), step)] if len(body) < 2000 else [body]
    events = [piece + b"\n\n" for piece in body.split(b"\n\n")]
    events[-1] = events[-1][:-2]
    return body, [[body], [body[:first], body[first:second], body[second:]], pieces, events]


# --- framing --------------------------------------------------------------------------------------------------------


def lines(data: bytes) -> None:
    """Lines are the same however the bytes are cut, and the ones that a slow and plain reading finds."""
    body, ways = _cut(data)
    plain = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for pieces in ways:
        decoder = LineDecoder()
        found = [line for piece in pieces for line in decoder.feed(piece)]
        assert [*found, decoder.unfinished] == plain, (pieces, found)


def _events(body: bytes) -> list[tuple[str, bytes]]:
    """The standard's own way, on all the bytes at once."""
    events, kind, values = [], "", list[bytes]()
    normal = body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in normal.split(b"\n")[:-1]:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not line:
            if values:
                events.append((kind or "message", b"\n".join(values)))
            kind, values = "", []
        elif name == b"event":
            kind = value.decode("utf-8", "replace")
        elif name == b"data":
            values.append(value)
    return events


def sse(data: bytes) -> None:
    """So are events."""
    body, ways = _cut(data)
    begin = body.removeprefix(b"\xef\xbb\xbf").lstrip()
    expected = [] if begin[:1] in (b"{", b"[", b"<") else _events(body)  # one that begins so is no stream
    for pieces in ways:
        decoder = SSEDecoder()
        found = [event for piece in pieces for event in decoder.feed(piece)]
        assert found == expected, (pieces, found, expected)
        decoder, found = SSEDecoder(), []
        for piece in pieces:
            plain = decoder.feed_plain(piece)
            found += decoder.feed(piece) if plain is None else [("message", value) for value in plain]
        assert found == expected, (pieces, found, expected)


def text(data: bytes) -> None:
    """So is text: all that is UTF-8, then an error if not everything is."""
    body, ways = _cut(data)
    try:
        whole, good = body.decode("utf-8", "surrogatepass"), True  # a half may find its other half
    except UnicodeDecodeError as error:
        whole, good = body[: error.start].decode("utf-8", "surrogatepass"), False
    for pieces in ways:
        decoder, found, failed = TextDecoder(), "", False
        try:
            for piece in pieces:
                for some in decoder.feed(piece):
                    found += some
            decoder.finish()
        except APIError:
            failed = True
        assert (found, failed) == (whole, not good), (pieces, found)


# --- decoders -------------------------------------------------------------------------------------------------------


def _outcome(decoder: StreamDecoder, pieces: list[bytes]) -> tuple[Any, ...]:
    """What a stream came to, without the words of its error: they may quote what was there when it was found."""
    fold = Accumulator()
    try:
        for piece in pieces:
            for chunk in decoder.feed(piece):
                fold.add(chunk)
        has_end_mark = decoder.done
        if not has_end_mark:
            for chunk in decoder.finish():
                fold.add(chunk)
        fold.finish()
    except APIError as error:
        fold.finish()
        status = error.status_code if isinstance(error, APIStatusError) else None
        return fold.response().model_dump_json(), type(error), status, error.retryable, decoder.done
    assert decoder.done, "neither done nor an error"
    if has_end_mark:
        assert list(decoder.feed(b"data: {}\n\n")) == [], "a chunk after the end"
    return fold.response().model_dump_json(), decoder.done


def _stream(provider: str) -> Callable[[bytes], None]:
    def stream(data: bytes) -> None:
        _, ways = _cut(data)
        kind = _KINDS[data[0] >> 6] if data else ""
        outcomes = [_outcome(_CODECS[provider].stream_decoder(kind), pieces) for pieces in ways]
        assert all(outcome == outcomes[0] for outcome in outcomes), outcomes

    return stream


def replies(data: bytes) -> None:
    """A whole body is a reply, or an APIError."""
    for provider, codec in _CODECS.items():
        for decode in (codec.decode, codec.decode_models):
            try:
                found = decode(data)
            except APIError:
                continue
            assert provider in EVENTS, "a reply on a wire that has none"
            if not isinstance(found, list):
                found.model_dump_json()


def error_bodies(data: bytes) -> None:
    """An error body can be anything; the error can always be shown."""
    status = 400 + int.from_bytes(data[:2], "big") % 200
    retry = data[2:_HEADER].decode("latin-1")
    headers = {"x-should-retry": retry, "content-type": "application/json"}
    for codec in _CODECS.values():
        error = codec.decode_error(status, headers, data[_HEADER:])
        assert isinstance(error, APIStatusError)
        assert error.status_code == status
        assert len(str(error)) < 10_000, "a message that nobody reads"
        repr(error)


# --- what comes in headers, and what the caller gives ---------------------------------------------------------------


def retry_headers(data: bytes) -> None:
    """Whatever Retry-After says, it is a positive number of seconds or nothing."""
    first, _, second = data.decode("latin-1").partition("\n")
    for headers in ({"retry-after": first, "retry-after-ms": second}, {"retry-after": first}):
        seconds = parse_retry_after(headers, 1_767_225_600.0)
        assert seconds is None or (isinstance(seconds, float) and seconds > 0), seconds


def prompt(data: bytes) -> None:
    """Any messages are one text, or an InvalidRequestError."""
    flags, body = data[:1].ljust(1, b"\0")[0], data[1:]
    try:
        messages = json.loads(body)
    except (ValueError, RecursionError):
        messages = [Message("user", part) for part in body.decode("utf-8", "replace").split("\n")]
    if not isinstance(messages, list):
        messages = [messages]
    try:
        made = format_prompt(
            messages,
            add_special_tokens=bool(flags & 1),
            do_continue=bool(flags & 2),
            include_system=bool(flags & 4),
        )
    except InvalidRequestError:
        return
    assert isinstance(made, str)
    if flags & 1 and not flags & 2:
        assert made.endswith("Assistant:")


def arguments(data: bytes) -> None:
    """URLs and headers are taken or refused by a ConfigurationError that does not repeat the password."""
    words = data.decode("utf-8", "replace")
    name, _, value = words.partition(":")
    attempts: list[Callable[[], Any]] = [
        lambda: Proxy(words),
        lambda: Proxy(f"http://user:{CANARY}{words}"),
        lambda: check_base_url(words),
        lambda: check_base_url(f"https://user:{CANARY}@{words}"),
        lambda: check_headers({name: CANARY + value}),
    ]
    for attempt in attempts:
        try:
            made = attempt()
        except ConfigurationError as error:
            refusal = str(error)
            made = None
        else:
            refusal = ""
        assert CANARY not in refusal or CANARY in words, refusal
        if isinstance(made, Proxy):
            assert CANARY not in repr(made) or CANARY in words or "@" not in words, made
            made.credentials, made.port, made.url_without_credentials  # noqa: B018 - they must not raise
        if isinstance(made, tuple):
            assert not any(c in "\r\n\0" for pair in made for part in pair for c in part), made


# --- bodies ---------------------------------------------------------------------------------------------------------


def _body(make: Callable[[], Any], pieces: list[bytes]) -> Iterator[Any]:
    decoder, found = make(), b""
    try:
        for piece in filter(None, pieces):
            found += decoder.feed(piece)
            if getattr(decoder, "done", False):
                break
        if isinstance(decoder, BodyDecoder):
            decoder.finish()
        elif not decoder.done:
            decoder.feed(b"")
    except APIError as error:
        yield found if isinstance(error, StreamInterruptedError) else None
        yield type(error)
    else:
        yield found


def chunked_body(data: bytes) -> None:
    """HTTP's chunks mean the same however they arrive."""
    _, ways = _cut(data)
    outcomes = [tuple(_body(ChunkedBody, pieces)) for pieces in ways]
    assert outcomes[0] == outcomes[1] == outcomes[2], outcomes


def packed_body(data: bytes) -> None:
    """So do compressed bodies, and none makes more than it may."""
    _, ways = _cut(data)
    encoding = ("gzip", "deflate")[data[0] & 1] if data else "gzip"
    made = [tuple(_body(lambda: BodyDecoder({"content-encoding": encoding}, 4096), pieces)) for pieces in ways]
    assert made[0] == made[1] == made[2], made
    assert all(part is None or isinstance(part, type) or len(part) <= 4096 for parts in made for part in parts)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "lines": lines,
    "sse": sse,
    "text": text,
    **{f"stream-{provider}": _stream(provider) for provider in PROVIDERS},
    "replies": replies,
    "error-bodies": error_bodies,
    "retry-headers": retry_headers,
    "prompt": prompt,
    "arguments": arguments,
    "chunked-body": chunked_body,
    "packed-body": packed_body,
}
