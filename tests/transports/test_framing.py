"""Body framing: every split gives the same, every cut is an error, and no input makes it hang or hoard."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmclients.errors import APIError, APIResponseError, StreamInterruptedError
from llmclients.testing.fault_server import chunked
from llmclients.transports.framing import BodyFraming, ChunkedBody, ContentLengthBody, UntilCloseBody, can_serve_again

from .helpers import splits


def unframe(framing: BodyFraming, pieces: list[bytes]) -> tuple[bytes, bool]:
    body = b""
    for number, piece in enumerate(pieces):
        body += framing.feed(piece)
        if framing.done:
            return body, framing.excess or number + 1 < len(pieces)
    return body, framing.excess


CHUNKS = b"5\r\nhello\r\n1;name=value\r\n,\r\n00b\r\n big\r\nworld\r\n0\r\nTrailer: 1\r\n\r\n"


@pytest.mark.parametrize("data", [CHUNKS, CHUNKS.replace(b"0\r\nT", b"000\nT").replace(b"1;", b"1 ;")])
def test_chunks_however_they_are_cut(data: bytes) -> None:
    for pieces in splits(data):
        assert unframe(ChunkedBody(), pieces) == (b"hello, big\r\nworld", False)


def test_bytes_after_the_last_chunk_are_noticed() -> None:
    for pieces in splits(CHUNKS + b"HTTP/1.1 200 OK\r\n\r\n"):
        assert unframe(ChunkedBody(), pieces) == (b"hello, big\r\nworld", True)


def test_every_cut_of_chunks_is_an_interruption_after_their_bytes() -> None:
    for place in range(len(CHUNKS)):
        framing = ChunkedBody()
        if place:
            assert b"hello, big\r\nworld".startswith(framing.feed(CHUNKS[:place]))
        assert not framing.done
        with pytest.raises(StreamInterruptedError):
            framing.feed(b"")


def test_malformed_chunks_however_they_are_cut(subtests: pytest.Subtests) -> None:
    for data in (
        b"xyz\r\n",
        b"-5\r\nhello\r\n",
        b"\r\n",
        b"5\r\nhelloworld\r\n",
        b"1\r\na\rb",
        b"0x5\r\nhello",
        b"5 5\r\n",
    ):
        with subtests.test(repr(data)):
            for pieces in splits(data):
                with pytest.raises(APIResponseError, match="malformed"):
                    unframe(ChunkedBody(), pieces)


def test_whole_chunks_before_a_malformed_one_are_not_lost() -> None:
    framing = ChunkedBody()
    with pytest.raises(APIResponseError, match="malformed"):
        framing.feed(b"5\r\nhello\r\n6\r\n world\r\n+7\r\n")
    assert framing.decoded_before_error == b"hello world"


def test_what_python_takes_for_a_number_is_no_size(subtests: pytest.Subtests) -> None:
    for size in (b"+5", b"0x5", b"5_", b"5_0", b"\xb2", b"5" * 17, b"5 5"):
        with subtests.test(repr(size)), pytest.raises(APIResponseError, match="malformed"):
            ChunkedBody().feed(size + b"\r\nhello\r\n")


@pytest.mark.parametrize(
    "data", [b"5;" + b"x" * 9000, b"0" * 9000, b"0\r\n" + b"X: y\r\n" * 9000, b"0\r\nX: " + b"y" * 99_000]
)
def test_chunked_never_hoards(data: bytes) -> None:
    framing = ChunkedBody()
    pieces = [data[place : place + 100] for place in range(0, len(data), 100)]
    with pytest.raises(APIResponseError):
        unframe(framing, pieces)


def test_a_length() -> None:
    for pieces in splits(b"hello"):
        assert unframe(ContentLengthBody(5), pieces) == (b"hello", False)
    assert unframe(ContentLengthBody(4), [b"hello"]) == (b"hell", True)
    assert ContentLengthBody(0).done
    with pytest.raises(StreamInterruptedError, match="3 of its declared bytes are missing"):
        unframe(ContentLengthBody(5), [b"he", b""])


def test_no_length() -> None:
    assert unframe(UntilCloseBody(), [b"he", b"llo", b""]) == (b"hello", False)


@given(st.lists(st.binary(min_size=1, max_size=300)), st.lists(st.integers(1, 50)))
def test_any_chunks_in_any_pieces(chunks: list[bytes], sizes: list[int]) -> None:
    data = chunked(*chunks)
    pieces = []
    while data:
        size = sizes.pop() if sizes else len(data)
        pieces.append(data[:size])
        data = data[size:]
    assert unframe(ChunkedBody(), pieces) == (b"".join(chunks), False)


@given(st.binary(max_size=400))
def test_any_bytes_are_chunks_or_an_error_of_ours(data: bytes) -> None:
    with suppress(APIError):
        unframe(ChunkedBody(), [data, b""])


def test_many_chunks_in_a_read_come_to_what_they_do_byte_by_byte() -> None:
    def outcome(pieces: list[bytes]) -> tuple[bytes, object]:
        framing, body = ChunkedBody(), b""
        try:
            for piece in pieces:
                body += framing.feed(piece)
                if framing.done:
                    return body, framing.done
        except APIResponseError as error:
            return body + framing.decoded_before_error, str(error)
        return body, framing.done

    plain = [b"%x\r\n%s\r\n" % (size, b"x" * size) for size in range(1, 70)]
    odd = [
        *(b"4\r\na\r\nb\r\n", b"4\r\n\r\n\r\n\r\n", b"2;a=b\r\nab\r\n", b"2\nab\n", b"0002\r\nab\r\n", b"0\r\n\r\n"),
        *(b"0\r\nA: b\r\n\r\n", b"3\r\nab\r\n", b"1\r\nab\r\n", b"\r\n", b"+2\r\nab\r\n", b"5\r\n1\r\n2\r\n\r\n"),
    ]
    for piece in odd:
        for place in (0, 1, 35, 69):
            data = b"".join(plain[:place]) + piece + b"".join(plain[place:])
            expected = outcome([data[at : at + 1] for at in range(len(data))])
            for cut in (0, 3, 700, 1200, len(data) - 3):
                assert outcome([part for part in (data[:cut], data[cut:]) if part]) == expected, (piece, place, cut)


def test_which_answers_leave_their_connection_to_another_exchange(subtests: pytest.Subtests) -> None:
    length, chunks = {"content-length": "5"}, {"transfer-encoding": "chunked"}
    for headers, can in (
        (length, True),
        (chunks, True),
        ({}, False),
        (length | chunks, False),
        (length | {"connection": "keep-alive"}, True),
        (length | {"connection": "Close"}, False),
        (chunks | {"connection": "keep-alive, close"}, False),
        (length | {"connection": "x-close"}, True),
    ):
        with subtests.test(repr(headers)):
            assert can_serve_again(headers) is can
