"""Checks of streams."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

from llmclients.calls.accumulator import Accumulator
from llmclients.errors import APIError
from llmclients.testing.codec_suite.base import Checks
from llmclients.testing.codec_suite.decoding import cut_at, decode, every_split
from llmclients.testing.codec_suite.purity import sealed
from llmclients.testing.codec_suite.recording import Recording
from llmclients.testing.codec_suite.samples import GARBAGE, in_events, mutations, named
from llmclients.types.response import ChatResponse

__all__ = ["StreamChecks"]

_MIB = 1024 * 1024
_MOST_HELD = 24 * _MIB
"""What a decoder may hold of one event: `framing.MAX_EVENT_BYTES`, twice over when it is put together."""
_ENDLESS = 40
"""MiB of an event that never ends."""


class StreamChecks(Checks):
    """What a decoder must do (DESIGN 3 and 5)."""

    def test_a_stream_comes_to_the_same_however_it_is_cut(self, stream: Recording) -> None:
        stream.check(every_split(stream.data, lambda pieces: decode(self.decoder(stream), pieces)))

    def test_an_empty_read_changes_nothing(self, stream: Recording) -> None:
        middle = cut_at(stream.data, [len(stream.data) // 2])
        found = decode(self.decoder(stream), [b"", *middle[:1], b"", *middle[1:], b""])
        assert found == decode(self.decoder(stream), [stream.data])

    def test_a_stream_has_the_recorded_chunks(self, stream: Recording) -> None:
        if "chunks" not in stream.expected:
            return
        decoder = self.decoder(stream)
        chunks = [*decoder.feed(stream.data), *decoder.finish()]
        assert [chunk.text for chunk in chunks] == stream.expected["chunks"]
        assert all(chunk.raw is not None for chunk in chunks), "raw is to hold the provider's event"

    def test_done_means_that_all_is_there(self, good_stream: Recording) -> None:
        decoder, fold = self.decoder(good_stream), Accumulator()
        assert not decoder.done, "done before the first byte"
        whole = decode(self.decoder(good_stream), [good_stream.data])
        good_stream.check(whole)
        assert whole.done, f"{good_stream} ends well, but done is not set"
        for at in range(len(good_stream.data)):
            for chunk in decoder.feed(good_stream.data[at : at + 1]):
                fold.add(chunk)
            if decoder.done:
                assert fold.response() == whole.response, f"{good_stream}: done after {at + 1} bytes, but more comes"
                return

    def test_the_end_mark_sets_done(self) -> None:
        if not self.has_end_mark:
            return
        good = [case for case in self.recorded("streams") if not case.fails]
        assert any(map(self._ends_by_itself, good)), "done is never set before the body ends: nobody can stop reading"

    def test_an_early_end_is_an_error(self, good_stream: Recording) -> None:
        data = good_stream.data
        whole = decode(self.decoder(good_stream), [data]).response
        for end in range(len(data)):
            early = decode(self.decoder(good_stream), [data[:end]])
            assert whole.text.startswith(early.response.text), f"{good_stream} has other text after {end} bytes"
            if early.error is None:
                assert early.response.finish_reason, f"{good_stream} ends well after {end} bytes, without finish reason"
                # The finish reason is an end mark, too: what may come after it is counts.
                assert not self.has_end_mark or _answer(early.response) == _answer(whole), (
                    f"{good_stream} looks whole after {end} bytes"
                )

    def test_what_follows_the_end_mark_changes_nothing(self, good_stream: Recording) -> None:
        if not self._ends_by_itself(good_stream):
            return
        data = good_stream.data
        trailing = (b"\n", b"\r\n\r\n", data, b'data: {"error":{"message":"too late"}}\n\n', *GARBAGE[1:4], b"{}\n[]\n")
        alone = decode(self.decoder(good_stream), [data])
        for extra in trailing:
            for pieces in ([data + extra], [data, extra], list(_bytes(data + extra))):
                found = decode(self.decoder(good_stream), pieces)
                assert found == alone, f"{good_stream} with {extra!r} after its end comes to {found}"

    def test_chunks_before_an_error_come_first(self, failing_stream: Recording) -> None:
        in_one_read = decode(self.decoder(failing_stream), [failing_stream.data])
        failing_stream.check(in_one_read)
        assert not in_one_read.done, f"{failing_stream} failed, but is done"
        byte_by_byte = decode(self.decoder(failing_stream), _bytes(failing_stream.data))
        assert in_one_read.response == byte_by_byte.response, f"{failing_stream}: chunks before the error are lost"

    def test_decoders_share_nothing(self, stream: Recording) -> None:
        alone = decode(self.decoder(stream), _bytes(stream.data))
        other = self.recorded("streams")[0]
        beside = self.decoder(other)

        def with_another() -> Iterator[bytes]:
            rest = _bytes(other.data)
            for piece in _bytes(stream.data):
                yield piece
                try:
                    list(beside.feed(next(rest, b"")))
                except APIError:
                    rest = iter(())

        assert decode(self.decoder(stream), with_another()) == alone, f"{stream} is another beside {other}"

    def test_decoding_asks_nothing_of_the_world(self, stream: Recording) -> None:
        decode(self.decoder(stream), [stream.data])
        decoder = self.decoder(stream)
        with sealed(self.codec), sealed(decoder):
            decode(self.decoder(stream), [stream.data])

    def test_wrong_types_in_a_stream_crash_nothing(self) -> None:
        for content_type in self._content_types():
            bodies = [(str(case), case.data) for case in self.recorded("streams") if case.content_type == content_type]
            for what, body in mutations(bodies) if _is_json(content_type) else in_events(bodies):
                with named(what):
                    decode(self.codec.stream_decoder(content_type), [body])

    def test_garbage_in_a_stream_crashes_nothing(self) -> None:
        good = next(case for case in self.recorded("streams") if not case.fails)
        for content_type in self._content_types():
            for garbage in GARBAGE:
                for body in (garbage, good.data[: len(good.data) // 2] + garbage, garbage + good.data):
                    with named(repr(body[:50])):
                        found = decode(self.codec.stream_decoder(content_type), [body])
                    assert found.error is not None or not self.has_end_mark or good.data in body, (
                        f"{body[:50]!r} has no end mark, but ends well"
                    )

    def test_an_event_without_end_is_not_kept(self) -> None:
        for content_type in self._content_types():
            if _is_json(content_type):  # one body, which the transport bounds
                continue
            for opening, ending in ((b"", b""), (b'data: {"', b""), (b'{"', b""), (b"data: ", b"\n")):
                held = self._held(content_type, opening, ending)
                assert held < _MOST_HELD, (
                    f"{held // _MIB} MiB are held of an event that begins {opening!r} and has no end"
                )

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _content_types(self) -> list[str]:
        return sorted({case.content_type for case in self.recorded("streams")})

    def _ends_by_itself(self, case: Recording) -> bool:
        """Whether `done` is set by what came, not by the body's end."""
        decoder = self.decoder(case)
        for _ in decoder.feed(case.data):
            pass
        return decoder.done

    def _held(self, content_type: str, opening: bytes, ending: bytes) -> int:
        """The most memory that a decoder takes for an event of `_ENDLESS` MiB."""
        decoder = self.codec.stream_decoder(content_type)
        tracing = tracemalloc.is_tracing()
        if not tracing:
            tracemalloc.start()
        try:
            before, most = tracemalloc.get_traced_memory()[0], 0
            for _ in range(_ENDLESS):
                for _chunk in decoder.feed(opening + bytes(bytearray(b"x" * _MIB)) + ending):
                    pass
                opening = opening if ending else b""
                most = max(most, tracemalloc.get_traced_memory()[0] - before)
        except APIError:
            pass
        finally:
            if not tracing:
                tracemalloc.stop()
        return most


def _bytes(data: bytes) -> Iterator[bytes]:
    return (data[at : at + 1] for at in range(len(data)))


def _answer(response: ChatResponse) -> tuple[object, ...]:
    return response.text, response.reasoning, response.tool_calls, response.finish_reason


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"
