"""Content decoding: every split gives the same, and no input makes it hang or hoard."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import product

import pytest

from llmclients.errors import APIResponseError, ResponseTooLargeError, StreamInterruptedError
from llmclients.transports.content_encoding import BodyDecoder

from .helpers import splits

LIMIT = 1_000_000


def raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def decode(encoding: str, pieces: list[bytes], limit: int = LIMIT) -> bytes:
    decoder = BodyDecoder({"content-encoding": encoding}, limit)
    decoded = b"".join(decoder.feed(piece) for piece in pieces)
    decoder.finish()
    return decoded


def feed_all(decoder: BodyDecoder, pieces: list[bytes], made: bytearray) -> None:
    for piece in pieces:
        made += decoder.feed(piece)
        while decoder.pending:
            made += decoder.feed(b"")


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


def test_unknown_encodings(subtests: pytest.Subtests) -> None:
    for encoding in ("br", "zstd", "gzip, gzip", "gzip, br", "x" * 500):
        with subtests.test(encoding):
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
        ("gzip", gzip.compress(b"a", mtime=0) + b"hello"),
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
    packed = pack(bytes(16_000_000))
    tracemalloc.start()
    with pytest.raises(ResponseTooLargeError):
        decode(encoding, [packed], LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LIMIT


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw)])
def test_steps_make_the_same_bytes(encoding: str, pack: Callable[[bytes], bytes], subtests: pytest.Subtests) -> None:
    for step, size in product([1, 7, 1000, 100_000], [0, 1, 999, 1000, 5000]):
        with subtests.test(step=step, size=size):
            data = bytes(number % 251 for number in range(size))
            decoder = BodyDecoder({"content-encoding": encoding}, LIMIT, step)
            pieces: list[bytes] = []
            for piece in splits(pack(data))[1]:
                pieces.append(decoder.feed(piece))
                while decoder.pending:
                    pieces.append(decoder.feed(b""))
            decoder.finish()
            assert b"".join(pieces) == data
            assert max(map(len, pieces)) <= step


def test_steps_over_gzip_members() -> None:
    data = gzip.compress(b"a" * 1000) + b"\0" * 10 + gzip.compress(b"b" * 1000)
    decoder = BodyDecoder({"content-encoding": "gzip"}, LIMIT, 300)
    pieces = [decoder.feed(data)]
    while decoder.pending:
        pieces.append(decoder.feed(b""))
    decoder.finish()
    assert b"".join(pieces) == b"a" * 1000 + b"b" * 1000


@pytest.mark.parametrize(
    ("encoding", "pack"), [("identity", bytes), ("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw)]
)
def test_what_is_within_the_limit_comes_first_however_it_is_cut(
    encoding: str, pack: Callable[[bytes], bytes], subtests: pytest.Subtests
) -> None:
    text = b"Good morning, world."
    for limit, step in product([1, 5, len(text) - 1], [None, 3]):
        with subtests.test(limit=limit, step=step):
            for pieces in splits(pack(text)):
                decoder = BodyDecoder({"content-encoding": encoding}, limit, step)
                made = bytearray()
                with pytest.raises(ResponseTooLargeError):
                    feed_all(decoder, pieces, made)
                assert made == text[:limit]
                with pytest.raises(ResponseTooLargeError):
                    decoder.finish()


@pytest.mark.parametrize(
    ("encoding", "start", "unit"),
    [("gzip", gzip.compress(b""), b"\0" * 1000), ("deflate", b"\x78\x9c", b"\0\0\0\xff\xff" * 200)],
    ids=["gzip", "deflate"],
)
def test_what_decodes_to_nothing_is_bounded_too(encoding: str, start: bytes, unit: bytes) -> None:
    decoder = BodyDecoder({"content-encoding": encoding}, 100_000)
    decoder.feed(start)
    for _ in range(100_000 // len(unit)):
        assert decoder.feed(unit) == b""
    with pytest.raises(ResponseTooLargeError):
        decoder.feed(unit * 100)


def test_gzip_members_come_a_few_at_a_time_where_steps_are_bounded() -> None:
    """A body of nothing but members that are empty, or nearly, costs much and says little."""
    for member, size in ((gzip.compress(b""), 0), (gzip.compress(b"x"), 1)):
        decoder = BodyDecoder({"content-encoding": "gzip"}, 1_000_000, step=256 * 1024)
        pieces = [decoder.feed(member * 5000)]
        while decoder.pending:
            pieces.append(decoder.feed(b""))
        decoder.finish()
        assert sum(map(len, pieces)) == 5000 * size
        assert len(pieces) > 5000 / 257
        assert max(map(len, pieces)) <= 257
