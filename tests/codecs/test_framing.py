"""Bytes to lines, events and text: the WHATWG rules one by one, and against an implementation that is nothing but the rules."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

import pytest
from helpers import cut_at, every_split
from hypothesis import example, given
from hypothesis import strategies as st
from tables import table

from llmclients.codecs.framing import LineDecoder, SSEDecoder, TextDecoder
from llmclients.errors import APIError, APIResponseError, ResponseTooLargeError, StreamInterruptedError

Events = list[tuple[str, bytes]]
BOM = b"\xef\xbb\xbf"


def events(pieces: Sequence[bytes], **options: Any) -> Events:
    decoder = SSEDecoder(**options)
    return [event for piece in pieces for event in decoder.feed(piece)]


def events_the_fast_way(pieces: Sequence[bytes], **options: Any) -> Events:
    """As a wire without types reads them: `feed` only where `feed_plain` declines."""
    decoder = SSEDecoder(**options)
    found: Events = []
    for piece in pieces:
        plain = decoder.feed_plain(piece)
        found += decoder.feed(piece) if plain is None else [("message", value) for value in plain]
    return found


def by_the_rules(data: bytes) -> Events:
    """docs/protocols/shared.md, "Server-sent events", rule by rule, on the whole stream at once."""
    data = data[3:] if data[:3] == BOM else data  # 2
    *lines, _unfinished = re.split(rb"\r\n|\n|\r", data)  # 3, 16
    found: Events = []
    buffer, kind = b"", b""
    for line in lines:
        if line == b"":  # 4, 14, 15
            if buffer != b"":
                found.append((kind.decode("utf-8", "replace") or "message", buffer[:-1]))
            buffer, kind = b"", b""
            continue
        if line[0:1] == b":":  # 5
            continue
        name, value = line.split(b":", 1) if b":" in line else (line, b"")  # 6, 7
        if value[0:1] == b" ":
            value = value[1:]
        if name == b"event":  # 9
            kind = value
        elif name == b"data":  # 10
            buffer += value + b"\n"
    return found


@table(
    "data, expected",
    [
        pytest.param("data: 河🌊\n\n", [("message", "河🌊")], id="1 always UTF-8"),
        pytest.param("\ufeffdata: a\n\n", [("message", "a")], id="2 a leading byte order mark is dropped"),
        pytest.param("\ufeff\ufeffdata: a\n\n", [], id="2 only one is: the second belongs to the field's name"),
        pytest.param("data: \ufeffa\n\n", [("message", "\ufeffa")], id="2 a later one is data"),
        pytest.param("data: a\n\ndata: b\r\n\r\ndata: c\r\r", [("message", c) for c in "abc"], id="3 LF, CRLF, CR"),
        pytest.param("data: a\r\ndata: b\rdata: c\n\r", [("message", "a\nb\nc")], id="3 all three mixed"),
        pytest.param("data: a\n\r\n", [("message", "a")], id="3 CRLF ends one line, not two"),
        pytest.param(
            "data: a\u2028b\u2029c\u0085d\x0be\x0cf\n\n",
            [("message", "a\u2028b\u2029c\u0085d\x0be\x0cf")],
            id="3 nothing else",
        ),
        pytest.param(
            "data: a\n\n\n\ndata: b\n\n", [("message", "a"), ("message", "b")], id="4 an empty line dispatches"
        ),
        pytest.param(": c\ndata: a\n: c\ndata: b\n:\n\n: c\n\n", [("message", "a\nb")], id="5 comments mean nothing"),
        pytest.param(
            "data:a\ndata: a\ndata:  a\ndata:\ta\ndata: a \n\n",
            [("message", "a\na\n a\n\ta\na ")],
            id="6 one space goes",
        ),
        pytest.param("data: a:b: c\n\n", [("message", "a:b: c")], id="6 the first colon divides"),
        pytest.param("data\n\n", [("message", "")], id="7 no colon: the value is empty"),
        pytest.param("event\ndata: a\n\n", [("message", "a")], id="7 also for the type"),
        pytest.param(" data: a\nData: b\nDATA: c\ndata : d\nxdata: e\n\n", [], id="8 names are compared exactly"),
        pytest.param("event: a\nevent: b\ndata: x\n\n", [("b", "x")], id="9 the last type counts"),
        pytest.param("event:a\ndata: x\n\n", [("a", "x")], id="9 without the space"),
        pytest.param('data: {\ndata: "a":1}\n\n', [("message", '{\n"a":1}')], id="10 lines of data are joined"),
        pytest.param("data: a\ndata\ndata:\n\n", [("message", "a\n\n")], id="10 empty ones too"),
        pytest.param("id: 1\ndata: a\nid: \x00\n\n", [("message", "a")], id="11 an id changes nothing here"),
        pytest.param("retry: 10\n\nretry: x\ndata: a\n\n", [("message", "a")], id="12 retry alone dispatches nothing"),
        pytest.param("foo: 1\nbar\nerror: {}\ndata: a\n\n", [("message", "a")], id="13 other fields are ignored"),
        pytest.param("event: a\n\ndata: x\n\n", [("message", "x")], id="14 a type alone is forgotten"),
        pytest.param("event: \ndata: x\n\n", [("message", "x")], id="14 an empty type is message"),
        pytest.param("data:\n\n", [("message", "")], id="14 an empty line of data is an event"),
        pytest.param("event: a\ndata: x\n\ndata: y\n\n", [("a", "x"), ("message", "y")], id="15 both are cleared"),
        pytest.param("data: a\n\ndata: b\n", [("message", "a")], id="16 an unfinished event is discarded"),
        pytest.param("data: a\n\ndata: b", [("message", "a")], id="16 an unfinished line too"),
        pytest.param("data: x\nevent: a\n\n", [("a", "x")], id="the type may come after the data"),
        pytest.param("", [], id="an empty stream"),
        pytest.param("\ufeff", [], id="nothing but a byte order mark"),
    ],
)
def test_a_rule(data: str, expected: list[tuple[str, str]]) -> None:
    wanted = [(kind, text.encode()) for kind, text in expected]

    assert every_split(data.encode(), events) == wanted
    assert every_split(data.encode(), events_the_fast_way) == wanted
    assert by_the_rules(data.encode()) == wanted


@table("start", [b"\xef", b"\xef\xbb", b"\xef\xbb\xbe", b"\xefdata: "], ids=repr)
def test_the_beginning_of_a_byte_order_mark_is_no_mark(start: bytes) -> None:
    data = b"data: " + start + b"\n\n"

    assert every_split(start + b"\ndata: a\n\n", events) == [("message", b"a")]
    assert every_split(data, events) == [("message", start)]


def test_a_type_that_is_not_utf8_is_still_a_type() -> None:
    assert every_split(b"event: \xff\ndata: a\n\n", events) == [("\ufffd", b"a")]


def test_a_field_named_error_is_an_event_where_that_is_asked_for() -> None:
    data = b'data: a\n\nerror: {"code":500}\n\ndata: b\n\n'

    found = every_split(data, lambda pieces: events(pieces, error_field=True))

    assert found == [("message", b"a"), ("error", b'{"code":500}'), ("message", b"b")]


LINE_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
LINES = st.one_of(
    st.sampled_from([b"", b"", b"data", b"data:", b"data: a", b"event: ping", b"event", b":", b": comment", b"id: 1"]),
    st.builds(
        lambda name, colon, value: name + colon + value.encode(),
        st.sampled_from([b"data", b"data", b"event", b"id", b"retry", b"Data", b" data", b"error", b"x", b""]),
        st.sampled_from([b":", b": ", b":  ", b":\t", b""]),
        st.text(st.sampled_from('a:{}" \t\u2028\u2029\x85\x0b\ufeff河🌊'), max_size=8),
    ),
    st.binary(max_size=6),
)
STREAMS = st.builds(
    lambda mark, lines, rest: mark + b"".join(line + end for line, end in lines) + rest,
    st.sampled_from([b"", b"", BOM, BOM + BOM, BOM[:2]]),
    st.lists(st.tuples(LINES, LINE_ENDS), max_size=12),
    LINES,
)
PLACES = st.lists(st.integers(0, 200), max_size=8)


@given(STREAMS, PLACES)
@example(b"data: a\r\n\r\ndata: b\r\r\n", [8])
def test_events_are_what_the_rules_say_however_the_stream_is_cut(data: bytes, places: list[int]) -> None:
    expected = by_the_rules(data)

    assert events(cut_at(data, places)) == expected
    assert events_the_fast_way(cut_at(data, places)) == expected
    assert events([data[at : at + 1] for at in range(len(data))]) == expected


# --- plain reads ----------------------------------------------------------------------------------------------------

BEFORE = [b": begin\n\n", b"data: a\n\n", b"data: a\r\n\r\n", b"event: x\ndata: a\n\n", b"id: 1\n", b"event: x\n\n"]
UNDER_WAY = [b"data: a\n", b"data: a\n\n:", b"event: x\n", b"data", b"\xef\xbb", b": a\n\r", b"data: a\r\r", b""]
READS = st.lists(
    st.one_of(
        st.lists(st.sampled_from([b"data: a\n\n", b"data: \n\n", b"data: {}\n\n"]), max_size=4).map(b"".join),
        st.lists(st.sampled_from([b"data: a\r\n\r\n", b"data: \r\n\r\n", b"data: a\n\n"]), max_size=4).map(b"".join),
        st.lists(
            st.sampled_from(
                [b"data: ", b"data:", b"data", b"\n\n", b"\n", b"\r", b"\r\n", b"a", b": ", b"event: x", BOM]
            ),
            max_size=9,
        ).map(b"".join),
    ),
    max_size=6,
)


@given(READS)
@example([b"\n", b"data: a\n\n\n\n", b"data: b\n\n"])
@example([b"\r", b"data: a\n\n", b"\ndata: b\n\n"])
def test_plain_reads_among_others_are_what_the_rules_say(reads: list[bytes]) -> None:
    assert events_the_fast_way(reads) == by_the_rules(b"".join(reads))


PLAIN_READS: list[tuple[bytes, list[bytes]]] = [
    (b"data: a\n\n", [b"a"]),
    (b"data: a\n\ndata: b\n\ndata:  c \n\n", [b"a", b"b", b" c "]),
    (b"data: \n\ndata: \n\n", [b"", b""]),
    (b"data: data: a\n\n", [b"data: a"]),
    (b"data: " + BOM + b"\xff\xe2\x80\xa8\n\n", [BOM + b"\xff\xe2\x80\xa8"]),
    (b"data: a\r\n\r\n", [b"a"]),
    (b"data: a\r\n\r\ndata: \r\n\r\ndata: c\r\n\r\n", [b"a", b"", b"c"]),
]


@table("before", BEFORE, ids=repr)
def test_a_read_of_plain_events_between_events_is_split_at_once(before: bytes, subtests: pytest.Subtests) -> None:
    for read, values in PLAIN_READS:
        with subtests.test(repr(read)):
            decoder = SSEDecoder()
            list(decoder.feed(b"data: first\n\n" + before))

            assert decoder.feed_plain(read) == values
            assert decoder.feed_plain(read) == values


@table(
    "read",
    [
        b"",
        b"\n\n",
        b"data: a\n",
        b"data: a\n\ndata: b",
        b"data:a\n\n",
        b"data: a\n\ndata:b\n\n",
        b"data: a\ndata: b\n\n",
        b"data: a\n\n\n\n",
        b"data: a\n\n\ndata: b\n\n",
        b"data: a\r\n\ndata: b\n\n",
        b"data: a\n\ndata: b\r\n\r\n",
        b"data: a\r\n\r\ndata: b\n\n",
        b"data: a\r\ndata: b\r\n\r\n",
        b"data: a\r\n\r\nevent: x\r\ndata: b\r\n\r\n",
        b"data: a\r\n\n",
        b"data: a\n\r\n",
        b"data: a\r\r",
        b"data: a\rdata: b\n\n",
        b": a\n\ndata: a\n\n",
        b"data: a\n\nevent: x\ndata: b\n\n",
        b"data: a\n\nerror: {}\n\n",
    ],
    ids=repr,
)
def test_any_other_read_is_left_for_the_careful_way(read: bytes) -> None:
    decoder = SSEDecoder()
    list(decoder.feed(b": begin\n\n"))

    assert decoder.feed_plain(read) is None
    assert list(decoder.feed(read + b"\n\n")) == by_the_rules(read + b"\n\n")


@table("before", UNDER_WAY, ids=repr)
def test_with_something_under_way_no_read_is_plain(before: bytes) -> None:
    decoder = SSEDecoder()
    list(decoder.feed(before))

    assert decoder.feed_plain(b"data: b\n\n") is None


def test_the_first_event_is_read_the_long_way() -> None:
    decoder = SSEDecoder()
    list(decoder.feed(b": begin\n\nupstream error\n"))

    assert decoder.feed_plain(b"data: a\n\n") is None
    assert not decoder.begun
    assert list(decoder.feed(b"data: a\n\n")) == [("message", b"a")]
    assert decoder.begun


def test_a_read_that_may_hold_too_large_an_event_is_not_plain() -> None:
    decoder = SSEDecoder(LIMIT)
    list(decoder.feed(b"data:\n\n"))

    assert decoder.feed_plain(b"data: " + b"x" * (LIMIT - 8) + b"\n\n") == [b"x" * (LIMIT - 8)]
    assert decoder.feed_plain(b"data: " + b"x" * (LIMIT - 7) + b"\n\n") is None


def test_after_an_event_that_is_too_large_no_read_is_plain() -> None:
    decoder = SSEDecoder(LIMIT)
    list(decoder.feed(b"data:\n\n"))
    with pytest.raises(ResponseTooLargeError):
        list(decoder.feed(b"data: " + b"x" * LIMIT + b"\n\n"))

    assert decoder.feed_plain(b"data: a\n\n") is None


# --- JSON outside of events, and what a body leaves behind ----------------------------------------------------------


def left(pieces: Sequence[bytes], **options: Any) -> tuple[Events, tuple[bytes, bytes]]:
    """The events of a body, and what is left at its end."""
    decoder = SSEDecoder(**options)
    found = [event for piece in pieces for event in decoder.feed(piece)]
    return found, decoder.rest()


@table(
    "body, data, json",
    [
        (b"", b"", b""),
        (b"data: a\n\n", b"", b""),
        (b"data: a\n", b"a", b""),
        (b"data: a\ndata: b", b"a\nb", b""),
        (b"data: a\ndat", b"a", b""),
        (b"data: a\n\ndie", b"", b"die"),
        (b"data: a\n\nevent: x\n", b"", b""),
        (b"data: a\n\ndat", b"dat", b""),
        (b"data: a\n\n: comment", b"", b""),
        (b"{", b"", b"{"),
        (BOM + b"{\r\n}", b"", b"{\n}"),
        (b" \r\n\t[1]\n\ndata: a\n\n", b"", b"[1]\n\ndata: a\n"),
        (b"<html>\ndata: a\n\n", b"", b"<html>\ndata: a\n"),
        (b"upstream error: no\nroute", b"", b"upstream error: no\nroute"),
        (b'data: a\r\n\r\n{\r\n  "error": 1\r\n}\r\n', b"", b'{\n  "error": 1\n}'),
        (b"data: a\n\n[1,\n\ndata: 2\n\n]\n", b"", b"[1,\n\ndata: 2\n\n]"),
        (b"data: a\n{\n}\n\n", b"a", b"{\n}\n"),
        (b"data: a\n\n {\n", b"", b" {"),
    ],
    ids=repr,
)
def test_a_body_leaves_behind_what_is_no_event(body: bytes, data: bytes, json: bytes) -> None:
    whole = left([body], bare_json=True)

    assert whole[1] == (data, json)
    for at in range(len(body) + 1):
        assert left([body[:at], body[at:]], bare_json=True) == whole


def test_json_between_events_does_not_end_them_unless_that_is_asked_for() -> None:
    assert left([b"data: a\n\n{\ndata: b\n\n[\n"]) == ([("message", b"a"), ("message", b"b")], (b"", b"{\n["))


def test_words_outside_of_events_are_kept_up_to_a_limit() -> None:
    (_, (_, outside)) = left([b"data: a\n\n"] + [b"x" * 1000 + b"\n"] * 1000)

    assert 10_000 < len(outside) < 20_000


def test_json_outside_of_events_ends_the_plain_reads() -> None:
    decoder = SSEDecoder(bare_json=True)
    assert list(decoder.feed(b"data: a\n\n{\n")) == [("message", b"a")]

    assert decoder.feed_plain(b"data: b\n\n") is None
    assert list(decoder.feed(b"data: b\n\n")) == []
    assert decoder.rest() == (b"", b"{\ndata: b\n")


@table("line", [b"{\n", b"{", b"data: a\n{"], ids=repr)
def test_json_outside_of_events_has_a_limit(line: bytes) -> None:
    decoder = SSEDecoder(LIMIT, bare_json=True)
    list(decoder.feed(line))

    with pytest.raises(ResponseTooLargeError):
        list(decoder.feed(b"x\n" * LIMIT))


# --- lines ----------------------------------------------------------------------------------------------------------


def lines(pieces: Sequence[bytes]) -> tuple[list[bytes], bytes]:
    decoder = LineDecoder()
    found = [line for piece in pieces for line in decoder.feed(piece)]
    return found, decoder.unfinished


@table(
    "data, whole, rest",
    [
        (b"", [], b""),
        (b"a", [], b"a"),
        (b"a\n", [b"a"], b""),
        (b"a\r\nb\rc\nd", [b"a", b"b", b"c"], b"d"),
        (b"\r\r\n\n\r", [b"", b"", b"", b""], b""),
        ("a\u2028b\u0085c\x0b\x0c\x1c\n".encode(), ["a\u2028b\u0085c\x0b\x0c\x1c".encode()], b""),
    ],
    ids=repr,
)
def test_lines_end_at_lf_crlf_or_cr_and_nowhere_else(data: bytes, whole: list[bytes], rest: bytes) -> None:
    assert every_split(data, lines) == (whole, rest)


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a", b"\xe2\x80", b"\xa8", b""]), max_size=30), PLACES)
def test_lines_do_not_depend_on_the_cut(parts: list[bytes], places: list[int]) -> None:
    data = b"".join(parts)
    *whole, rest = re.split(rb"\r\n|\n|\r", data)

    assert lines(cut_at(data, places)) == (whole, rest)


def test_a_carriage_return_ends_its_line_at_once() -> None:
    decoder = LineDecoder()

    assert decoder.feed(b"a\r") == [b"a"]
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\n") == [b""]


# --- text -----------------------------------------------------------------------------------------------------------


def text(pieces: Sequence[bytes]) -> tuple[str, type[APIError] | None]:
    decoder = TextDecoder()
    found: list[str] = []
    try:
        for piece in pieces:
            for new in decoder.feed(piece):
                assert new, "no empty text"
                found.append(new)
        decoder.finish()
    except APIError as error:
        return "".join(found), type(error)
    return "".join(found), None


@given(st.text(), PLACES)
@example("\ufeffa\r\n\u2028🌊", [1, 2, 9])
def test_text_survives_any_cut(value: str, places: list[int]) -> None:
    assert text(cut_at(value.encode(), places)) == (value, None)


@table("value", ["a", "é", "河", "🌊", "a\n ", "\ufeff"])
def test_text_is_read_however_it_is_cut(value: str) -> None:
    assert every_split(value.encode(), text) == (value, None)


@table(
    "data, before, error",
    [
        (b"\xff", "", APIResponseError),
        (b"ab\xffcd", "ab", APIResponseError),
        ("河".encode() + b"\x80", "河", APIResponseError),
        (b"a\xe6\xb2b", "a", APIResponseError),
        (b"a\xc0\x80", "a", APIResponseError),  # an overlong NUL
        (b"a\xed\xa0", "a", StreamInterruptedError),  # the beginning of half a character
        (b"a\xf4\x90\x80\x80", "a", APIResponseError),  # beyond Unicode
        (b"a\xe6", "a", StreamInterruptedError),
        ("河🌊".encode()[:-1], "河", StreamInterruptedError),
    ],
    ids=repr,
)
def test_text_before_the_fault_comes_first(data: bytes, before: str, error: type[APIError]) -> None:
    assert every_split(data, text) == (before, error)


@given(st.binary(max_size=40), PLACES)
def test_any_bytes_are_text_or_a_fault_after_the_good_part(data: bytes, places: list[int]) -> None:
    found, error = text(cut_at(data, places))

    try:
        expected, wanted = data.decode("utf-8", "surrogatepass"), None  # a half may find its other half
    except UnicodeDecodeError as fault:
        expected = data[: fault.start].decode("utf-8", "surrogatepass")
        wanted = StreamInterruptedError if fault.reason == "unexpected end of data" else APIResponseError
    assert (found, error) == (expected, wanted)


# --- bounds ---------------------------------------------------------------------------------------------------------

LIMIT = 1000


@table("step", [1, 7, 100, 5000])
@table(
    "data",
    [b"data: " + b"x" * 2 * LIMIT, b"data: " + b"x" * 2 * LIMIT + b"\n\n", b"data: x\n" * LIMIT, b"data\n" * 2 * LIMIT],
    ids=["a line without end", "a line", "lines of data", "empty lines of data"],
)
def test_an_event_over_the_limit_is_an_error(data: bytes, step: int) -> None:
    decoder = SSEDecoder(LIMIT)
    good = b"data: before\n\n"
    assert list(decoder.feed(good)) == [("message", b"before")]

    with pytest.raises(ResponseTooLargeError, match="1000 bytes"):
        [list(decoder.feed(data[at : at + step])) for at in range(0, len(data), step)]


@table("step", [1, 64, 100_000])
def test_a_stream_of_any_length_passes_when_its_events_are_small(step: int) -> None:
    event = b": comment\nevent: a\ndata: " + b"x" * 400 + b"\ndata: " + b"y" * 400 + b"\n\n"
    data = event * 20
    decoder = SSEDecoder(LIMIT)

    found = [new for at in range(0, len(data), step) for new in decoder.feed(data[at : at + step])]

    assert found == [("a", b"x" * 400 + b"\n" + b"y" * 400)] * 20


def test_events_before_one_that_is_too_large_come_first() -> None:
    decoder = SSEDecoder(LIMIT)
    found: Events = []

    with pytest.raises(ResponseTooLargeError):
        found.extend(decoder.feed(b"data: a\n\ndata: b\n\n" + b"data: " + b"x" * 2 * LIMIT + b"\n\n"))

    assert found == [("message", b"a"), ("message", b"b")]


def test_a_line_without_end_takes_no_more_memory_than_its_limit() -> None:
    decoder = LineDecoder(LIMIT)

    for size in range(10, LIMIT + 1, 10):
        decoder.feed(b"x" * 10)
        assert len(decoder.unfinished) == size
    with pytest.raises(ResponseTooLargeError):
        decoder.feed(b"x")


class BytesLooked:
    """Counts the bytes that methods of `bytes` are called on: a buffer that is searched again counts again."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "c_call":
            subject = getattr(arg, "__self__", None)
            if type(subject) in (bytes, bytearray):
                self.count += len(subject)

    def __enter__(self) -> BytesLooked:
        sys.setprofile(self)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)


def test_the_counter_counts() -> None:
    with BytesLooked() as looked:
        b"abc".split(b"b")
        b"abcd".find(b"x")

    assert looked.count == 7


@pytest.mark.long
@table(
    "piece, pieces",
    [(b"x" * 65536, 64), (b"x", 20_000), (b"x" * 65535 + b"\r", 32)],
    ids=["64 KiB reads", "single bytes", "lines as long as a read"],
)
@table("prefix", [b"data: ", b": ", b""], ids=["data", "a comment", "no field"])
def test_no_byte_of_a_long_line_is_looked_at_again_and_again(prefix: bytes, piece: bytes, pieces: int) -> None:
    decoder = SSEDecoder(1 << 30)
    with BytesLooked() as looked:
        list(decoder.feed(prefix))
        for _ in range(pieces):
            list(decoder.feed(piece))
        list(decoder.feed(b"\n\n"))

    assert looked.count <= 12 * len(piece) * pieces, (
        "linear: a rescan would take half as many times as there are pieces"
    )
