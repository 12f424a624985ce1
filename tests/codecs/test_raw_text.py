"""The answers that are nothing but text: held back while they may be a ban notice, and not a character longer."""

from __future__ import annotations

import pytest
from helpers import Outcome, chunks_of, cut_at, decode, every_split
from hypothesis import given
from hypothesis import strategies as st

from llmclients.codecs.base import Codec
from llmclients.codecs.raw_text.ai365vip import Ai365vipCodec
from llmclients.codecs.raw_text.decoder import BLOCKED_NOTICE, RawTextDecoder
from llmclients.codecs.raw_text.yqcloud import YqcloudCodec
from llmclients.codecs.raw_text.yqcloud_legacy import YqcloudLegacyCodec
from llmclients.errors import AccessBlockedError, APIResponseError, RateLimitError, StreamInterruptedError
from llmclients.types.response import ChatResponse

MARKER = bytes.fromhex(
    "73 6f 72 72 79 2c 20 e6 82 a8 e7 9a 84 69 70 e5 b7 b2 e7 94 b1 e4 ba 8e e8 a7 a6 e5 8f 91 e9 98"
    "b2 e6 bb a5 e7 94 a8 e6 a3 80 e6 b5 8b e8 80 8c e8 a2 ab e5 b0 81 e7 a6 81"
)
REST = ",本服务网址是https://chat18.example/…".encode()

both_generations = pytest.mark.parametrize(
    "codec", [YqcloudCodec(), YqcloudLegacyCodec()], ids=lambda codec: codec.name
)


def read(codec: Codec, pieces: list[bytes]) -> Outcome:
    return decode(codec.stream_decoder("text/html"), pieces)


def answer(text: str) -> Outcome:
    return Outcome(ChatResponse(text=text, finish_reason="stop"), done=True)


BLOCKED = Outcome(ChatResponse(), AccessBlockedError, status=200, retryable=False)


def test_the_marker_is_the_protocol_s_57_bytes() -> None:
    assert len(MARKER) == 57
    assert BLOCKED_NOTICE.encode() == MARKER
    assert len(BLOCKED_NOTICE) == 25


@both_generations
@pytest.mark.parametrize("rest", [b"", REST], ids=["marker alone", "whole notice"])
def test_the_notice_is_found_cut_at_each_of_its_bytes(codec: Codec, rest: bytes) -> None:
    for cut in range(len(MARKER) + 1):
        assert read(codec, [MARKER[:cut], MARKER[cut:] + rest]) == BLOCKED, cut
        assert read(codec, [MARKER[:cut], MARKER[cut:], rest]) == BLOCKED, cut


@both_generations
def test_the_notice_is_found_byte_by_byte_and_in_any_three_pieces(codec: Codec) -> None:
    assert every_split(MARKER, lambda pieces: read(codec, list(pieces))) == BLOCKED


@both_generations
def test_not_a_character_of_the_notice_is_handed_out(codec: Codec) -> None:
    decoder = codec.stream_decoder("")
    assert [chunk for byte in MARKER[:-1] for chunk in decoder.feed(bytes([byte]))] == []

    with pytest.raises(AccessBlockedError, match="blocked this IP address") as caught:
        next(decoder.feed(MARKER[-1:]))

    assert isinstance(caught.value, RateLimitError)
    assert caught.value.retryable is False
    assert caught.value.status_code == 200
    assert caught.value.body == BLOCKED_NOTICE


@both_generations
def test_each_beginning_of_the_notice_is_an_answer_when_the_body_ends_there(codec: Codec) -> None:
    for length in range(1, len(BLOCKED_NOTICE)):
        text = BLOCKED_NOTICE[:length]

        assert every_split(text.encode(), lambda pieces: read(codec, list(pieces)), thorough=False) == answer(text), (
            text
        )


@both_generations
def test_each_beginning_is_released_when_another_character_follows(codec: Codec) -> None:
    for length in range(len(BLOCKED_NOTICE)):
        text = BLOCKED_NOTICE[:length] + "!"

        decoder = codec.stream_decoder("")
        early = [chunk.text for byte in text.encode() for chunk in decoder.feed(bytes([byte]))]

        assert "".join(early) == text, "all of it before the body's end"
        assert read(codec, [text.encode()]) == answer(text)


@both_generations
@pytest.mark.parametrize(
    "before", ["x", " ", "\n", "\ufeff", "The notice reads: ", "sorry, ", "sorry, 您的", "😀" * 100]
)
def test_a_notice_that_is_not_at_the_beginning_is_no_ban(codec: Codec, before: str) -> None:
    text = before + BLOCKED_NOTICE + " (that was it)"

    assert every_split(text.encode(), lambda pieces: read(codec, list(pieces)), thorough=False) == answer(text)


@both_generations
def test_a_body_cut_inside_the_notice_s_characters_was_cut(codec: Codec) -> None:
    for end in range(1, len(MARKER)):
        beginning = MARKER[:end]
        found = (
            every_split(beginning, lambda pieces: read(codec, list(pieces))) if end < 12 else read(codec, [beginning])
        )
        text = beginning.decode(errors="ignore")
        if text.encode() == beginning:
            assert found == answer(text)
        else:
            assert found == Outcome(ChatResponse(text=text), StreamInterruptedError, retryable=True)


def test_the_third_provider_has_no_such_notice() -> None:
    assert read(Ai365vipCodec(), [MARKER + REST]) == answer((MARKER + REST).decode())


def test_an_answer_does_not_wait_for_its_end() -> None:
    decoder = YqcloudCodec().stream_decoder("")

    assert [chunk.text for chunk in decoder.feed(b"The ")] == ["The "]
    assert [chunk.text for chunk in decoder.feed("河".encode()[:2])] == []
    assert [chunk.text for chunk in decoder.feed("河".encode()[2:] + b"!")] == ["河!"]
    assert not decoder.done
    (last,) = decoder.finish()
    assert (last.text, last.finish_reason) == ("", "stop")
    assert decoder.done


@given(
    st.one_of(st.text(min_size=1), st.integers(0, 24).map(lambda length: BLOCKED_NOTICE[:length] + "!")),
    st.lists(st.integers(0, 100), max_size=6),
)
def test_any_text_arrives_as_it_is(text: str, places: list[int]) -> None:
    for notice in ("", BLOCKED_NOTICE):
        assert decode(RawTextDecoder(notice), cut_at(text.encode(), places)) == answer(text)


@given(st.binary(max_size=30), st.lists(st.integers(0, 30), max_size=4))
def test_any_bytes_are_an_answer_or_one_of_the_known_errors(data: bytes, places: list[int]) -> None:
    found = decode(RawTextDecoder(BLOCKED_NOTICE), cut_at(data, places))

    assert found.error in (None, APIResponseError, StreamInterruptedError)
    assert found == decode(RawTextDecoder(BLOCKED_NOTICE), [data])
    assert data.startswith(found.response.text.encode())


def test_an_empty_answer_is_an_error_and_is_not_tried_again() -> None:
    found = decode(RawTextDecoder(), [b"", b""])

    assert found == Outcome(ChatResponse(), APIResponseError, retryable=False)


def test_a_stream_ends_with_exactly_one_finish_reason() -> None:
    chunks = chunks_of(RawTextDecoder(), b"a", b"b")

    assert [(chunk.text, chunk.finish_reason) for chunk in chunks] == [("a", None), ("b", None), ("", "stop")]
