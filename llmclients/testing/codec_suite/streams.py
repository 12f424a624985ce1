"""Checks of streams: however they are cut, end or are broken, they come to the same, to less, or to an `APIError`."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable, Iterator
from contextlib import suppress

from llmclients.calls.accumulator import Accumulator
from llmclients.codecs.base import is_json
from llmclients.errors import APIError
from llmclients.testing.codec_suite.base import Checks, each, failing_streams, good_streams, streams
from llmclients.testing.codec_suite.decoding import cut_at, decode, edges, every_split, single_bytes
from llmclients.testing.codec_suite.mutations import in_events, mutations
from llmclients.testing.codec_suite.purity import sealed
from llmclients.testing.codec_suite.recording import Recording
from llmclients.testing.codec_suite.samples import MALFORMED, named
from llmclients.types.response import ChatResponse

__all__ = ["StreamChecks"]

_MIB = 1024 * 1024
_MAX_HELD = 24 * _MIB
"""What a decoder may hold of one event: `framing.MAX_EVENT_BYTES`, twice over when it is put together."""
_EVENT_MIB = 28
"""MiB of an event that never ends."""


class StreamChecks(Checks):
    """What a decoder must do."""

    @each(streams)
    def test_a_stream_comes_to_the_same_however_it_is_cut(self, stream: Recording) -> None:
        run = lambda pieces: decode(self.decoder(stream), pieces)  # noqa: E731
        stream.check(every_split(stream.data, run, thorough=self._is_cut_everywhere(stream)))

    @each(streams)
    def test_an_empty_read_changes_nothing(self, stream: Recording) -> None:
        middle = cut_at(stream.data, [len(stream.data) // 2])
        found = decode(self.decoder(stream), [b"", *middle[:1], b"", *middle[1:], b""])
        assert found == decode(self.decoder(stream), [stream.data])

    @each(streams)
    def test_a_stream_has_the_recorded_chunks(self, stream: Recording) -> None:
        if "chunks" not in stream.expected:
            return
        decoder = self.decoder(stream)
        chunks = [*decoder.feed(stream.data), *decoder.finish()]
        assert [chunk.text for chunk in chunks] == stream.expected["chunks"]
        assert all(chunk.raw is not None for chunk in chunks), "raw is to hold the provider's event"

    @each(good_streams)
    def test_done_means_that_all_is_there(self, stream: Recording) -> None:
        decoder, accumulator = self.decoder(stream), Accumulator()
        assert not decoder.done, "done before the first byte"
        whole = decode(self.decoder(stream), [stream.data])
        stream.check(whole)
        assert whole.done, "it ends well, but done is not set"
        everywhere = self._is_cut_everywhere(stream)
        count = 0
        for piece in single_bytes(stream.data) if everywhere else _small_pieces(stream.data):
            for chunk in decoder.feed(piece):
                accumulator.add(chunk)
            count += len(piece)
            if decoder.done:
                assert accumulator.response() == whole.response, f"done after {count} bytes, but more comes"
                return

    def test_the_end_mark_sets_done(self) -> None:
        if not self.has_end_mark:
            return
        assert any(map(self._ends_by_itself, good_streams(self))), (
            "done is never set before the body ends: nobody can stop reading"
        )

    @each(good_streams)
    def test_an_early_end_is_an_error(self, stream: Recording) -> None:
        data = stream.data
        whole = decode(self.decoder(stream), [data]).response
        for end in self._early_ends(stream):
            early = decode(self.decoder(stream), [data[:end]])
            # Half a character at the end stands for itself, until the other half has come.
            assert whole.text.startswith(early.response.text.removesuffix("\ufffd")), (
                f"it has other text after {end} bytes"
            )
            if early.error is None:
                assert early.response.finish_reason or _answer(early.response) == _answer(whole), (
                    f"it ends well after {end} bytes, without finish reason"
                )
                # The finish reason is an end mark, too: what may come after it is counts.
                assert not self.has_end_mark or _answer(early.response) == _answer(whole), (
                    f"it looks whole after {end} bytes"
                )

    @each(good_streams)
    def test_what_follows_the_end_mark_changes_nothing(self, stream: Recording) -> None:
        if not self._ends_by_itself(stream):
            return
        data, late_error = stream.data, b'data: {"error":{"message":"too late"}}\n\n'
        alone = decode(self.decoder(stream), [data])
        extras = (b"\n", b"\r\n\r\n", data, late_error, *MALFORMED[1:4], b"{}\n[]\n")
        for extra in extras:
            for pieces in ([data + extra], [data, extra]):
                found = decode(self.decoder(stream), pieces)
                assert found == alone, f"with {extra!r} after its end it comes to {found}"
        found = decode(self.decoder(stream), [data, *(piece for extra in extras for piece in _pieces(extra))])
        assert found == alone, f"with {extras!r} after its end, in small pieces, it comes to {found}"

    @each(failing_streams)
    def test_chunks_before_an_error_come_first(self, stream: Recording) -> None:
        in_one_read = decode(self.decoder(stream), [stream.data])
        stream.check(in_one_read)
        assert not in_one_read.done, "it failed, but is done"
        byte_by_byte = decode(self.decoder(stream), single_bytes(stream.data))
        assert in_one_read.response == byte_by_byte.response, "chunks before the error are lost"

    @each(streams)
    def test_decoders_share_nothing(self, stream: Recording) -> None:
        other = self.recorded("streams")[0]
        beside, rest = self.decoder(other), iter(_pieces(other.data))

        def with_another() -> Iterator[bytes]:
            for piece in _pieces(stream.data):
                yield piece
                with suppress(APIError):
                    list(beside.feed(next(rest, b"")))

        alone = decode(self.decoder(stream), [stream.data])
        assert decode(self.decoder(stream), with_another()) == alone, f"it is another beside {other}"

    @each(streams)
    def test_decoding_asks_nothing_of_the_world(self, stream: Recording) -> None:
        decode(self.decoder(stream), [stream.data])
        decoder = self.decoder(stream)
        with sealed(self.codec), sealed(decoder):
            decode(self.decoder(stream), [stream.data])

    def test_wrong_types_and_numbers_in_a_stream_crash_nothing(self) -> None:
        for content_types in self._read_alike():
            cases = {str(case): case for case in streams(self) if case.content_type in content_types}
            bodies = [(name, case.data) for name, case in cases.items()]
            for name, change, body in mutations(bodies) if is_json(content_types[0]) else in_events(bodies):
                with named(f"{name} with {change}"):
                    decode(self.decoder(cases[name]), [body])

    def test_malformed_bytes_in_a_stream_crash_nothing(self) -> None:
        good = good_streams(self)[0]
        for content_type, *_ in self._read_alike():
            for malformed in MALFORMED:
                for body in (malformed, good.data[: len(good.data) // 2] + malformed, malformed + good.data):
                    with named(repr(body[:50])):
                        found = decode(self.codec.stream_decoder(content_type), [body])
                    assert found.error is not None or not self.has_end_mark or good.data in body, (
                        f"{body[:50]!r} has no end mark, but ends well"
                    )

    def test_an_event_without_end_is_not_kept(self) -> None:
        for content_type, *_ in self._read_alike():
            if is_json(content_type):  # one body, which the transport bounds
                continue
            for opening, ending in ((b"", b""), (b'data: {"', b""), (b'{"', b""), (b"data: ", b"\n")):
                held = self._held(content_type, opening, ending)
                assert held < _MAX_HELD, (
                    f"{held // _MIB} MiB are held of an event that begins {opening!r} and has no end"
                )

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _read_alike(self) -> list[list[str]]:
        """The Content-Types of the streams, those together that are for decoders of one class: of lines, or of JSON."""
        alike: dict[tuple[type, bool], list[str]] = {}
        for content_type in sorted({case.content_type for case in streams(self)}):
            alike.setdefault((self._decoder_class(content_type), is_json(content_type)), []).append(content_type)
        return list(alike.values())

    def _decoder_class(self, content_type: str) -> type:
        return type(self.codec.stream_decoder(content_type))

    def _is_cut_everywhere(self, stream: Recording) -> bool:
        """Whether a stream is cut at every byte: the first good one of each class of decoder.

        The first shows that a decoder has no state that only some odd place would reveal. What is done with all
        streams, single bytes and random pieces, shows it of the events that only the others have.
        """
        kind = self._decoder_class(stream.content_type)
        first = next((one for one in good_streams(self) if self._decoder_class(one.content_type) is kind), None)
        return stream == first

    def _early_ends(self, stream: Recording) -> Iterable[int]:
        """The places where a good stream is broken off."""
        return range(len(stream.data)) if self._is_cut_everywhere(stream) else edges(stream.data)[:-1]

    def _ends_by_itself(self, stream: Recording) -> bool:
        """Whether `done` is set by what came, not by the body's end."""
        decoder = self.decoder(stream)
        for _ in decoder.feed(stream.data):
            pass
        return decoder.done

    def _held(self, content_type: str, opening: bytes, ending: bytes) -> int:
        """The most memory, in bytes, that a decoder takes for an event of `_EVENT_MIB` MiB."""
        decoder = self.codec.stream_decoder(content_type)
        tracing = tracemalloc.is_tracing()
        if not tracing:
            tracemalloc.start()
        try:
            before, peak = tracemalloc.get_traced_memory()[0], 0
            for _ in range(_EVENT_MIB):
                for _chunk in decoder.feed(opening + b"x" * _MIB + ending):
                    pass
                opening = opening if ending else b""
                peak = max(peak, tracemalloc.get_traced_memory()[0] - before)
        except APIError:
            pass
        finally:
            if not tracing:
                tracemalloc.stop()
        return peak


def _pieces(data: bytes) -> list[bytes]:
    """`data` in small pieces, none of which is likely to be a whole event."""
    return cut_at(data, range(0, len(data), 7))


def _small_pieces(data: bytes) -> list[bytes]:
    """The same, and cut wherever an end can matter."""
    return cut_at(data, [*edges(data), *range(0, len(data), 7)])


def _answer(response: ChatResponse) -> tuple[object, ...]:
    return response.text, response.reasoning, response.tool_calls, response.finish_reason
