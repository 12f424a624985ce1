"""Content decoding and body framing: every split gives the same, and no input makes them hang or hoard."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmclients.errors import APIError, APIResponseError, ResponseTooLargeError, StreamInterruptedError
from llmclients.testing.fault_server import chunked
from llmclients.transports.content_encoding import BodyDecoder
from llmclients.transports.framing import BodyFraming, ChunkedBody, ContentLengthBody, UntilCloseBody

LIMIT = 1_000_000


def raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def splits(data: bytes) -> list[list[bytes]]:
    pairs = [[data[:place], data[place:]] for place in range(1, len(data))]
    return [[data], [data[place : place + 1] for place in range(len(data))], *pairs]


def decode(encoding: str, pieces: list[bytes], limit: int = LIMIT) -> bytes:
    decoder = BodyDecoder({"content-encoding": encoding}, limit)
    decoded = b"".join(decoder.feed(piece) for piece in pieces)
    decoder.finish()
    return decoded


# --- content encodings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", raw),
        ("identity", bytes),
    ],
)
@pytest.mark.parametrize("text", [b"", b"a", b"hello, " * 9])
def test_every_split_decodes_alike(encoding: str, pack: Callable[[bytes], bytes], text: bytes) -> None:
    for pieces in splits(pack(text)):
        assert decode(encoding, pieces) == text


def test_gzip_members_follow_each_other() -> None:
    for pieces in splits(gzip.compress(b"one") + gzip.compress(b"") + gzip.compress(b"two") + b"\0\0\0"):
        assert decode("gzip", pieces) == b"onetwo"


def test_pieces_come_out_as_soon_as_they_are_flushed() -> None:
    packer = zlib.compressobj(wbits=31)
    decoder = BodyDecoder({"content-encoding": "gzip"}, LIMIT)
    for event in (b"data: 1\n\n", b"data: 2\n\n"):
        assert decoder.feed(packer.compress(event) + packer.flush(zlib.Z_SYNC_FLUSH)) == event


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw)])
def test_every_cut_is_an_interruption(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(b"hello, " * 9)
    for place in range(1, len(packed)):
        with pytest.raises(StreamInterruptedError):
            decode(encoding, [packed[:place]])


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip, br", "x" * 500])
def test_unknown_encodings(encoding: str) -> None:
    with pytest.raises(APIResponseError, match="unknown content encoding") as caught:
        BodyDecoder({"content-encoding": encoding}, LIMIT)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("encoding", ["", "identity", "Identity, identity"])
def test_no_encoding(encoding: str) -> None:
    assert decode(encoding, [b"hello"]) == b"hello"


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("gzip", b"hello"),
        ("gzip", gzip.compress(b"a") + b"hello"),
        ("deflate", b"\xff\xff\xff"),
        ("deflate", raw(b"a") + b"b"),
    ],
)
def test_not_in_its_encoding(encoding: str, data: bytes) -> None:
    with pytest.raises(APIResponseError, match="not in the content encoding"):
        decode(encoding, [data])


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("identity", bytes)]
)
def test_the_limit_is_exact(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(bytes(1000))
    for pieces in ([packed], [packed[:3], packed[3:]]):
        assert len(decode(encoding, pieces, 1000)) == 1000
        with pytest.raises(ResponseTooLargeError, match="more than 999 bytes"):
            decode(encoding, pieces, 999)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_a_bomb_takes_no_more_memory_than_the_limit(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    packed = pack(bytes(60_000_000))
    tracemalloc.start()
    with pytest.raises(ResponseTooLargeError):
        decode(encoding, [packed], LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LIMIT


# --- framing --------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    "data", [b"xyz\r\n", b"-5\r\nhello\r\n", b"\r\n", b"5\r\nhelloworld\r\n", b"1\r\na\rb", b"0x5\r\nhello", b"5 5\r\n"]
)
def test_malformed_chunks_however_they_are_cut(data: bytes) -> None:
    for pieces in splits(data):
        with pytest.raises(APIResponseError, match="malformed"):
            unframe(ChunkedBody(), pieces)


def test_whole_chunks_before_a_malformed_one_are_not_lost() -> None:
    framing = ChunkedBody()
    with pytest.raises(APIResponseError, match="malformed"):
        framing.feed(b"5\r\nhello\r\n6\r\n world\r\n+7\r\n")
    assert framing.decoded_before_error == b"hello world"


@pytest.mark.parametrize("size", [b"+5", b"0x5", b"5_", b"5_0", b"\xb2", b"5" * 17, b"5 5"])
def test_what_python_takes_for_a_number_is_no_size(size: bytes) -> None:
    with pytest.raises(APIResponseError, match="malformed"):
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
