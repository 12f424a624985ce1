"""Random courses of each stream decoder, against a model of what must come out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from llmclients.calls.accumulator import Accumulator
from llmclients.codecs.raw_text.decoder import BLOCKED_NOTICE
from llmclients.errors import AccessBlockedError, APIError, ResponseTooLargeError
from llmclients.providers.registry import find_provider

MODERATE = settings(stateful_step_count=30)
EVENT_LIMIT = 8 * 1024 * 1024

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


def event(delta: dict[str, Any], reason: str | None = None, *, raw: bool = False) -> bytes:
    payload = {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    return b"data: " + json.dumps(payload, ensure_ascii=not raw).encode()


# --- decoders -------------------------------------------------------------------------------------------------------


def held(value: Any, seen: set[int]) -> int:
    """The bytes and characters that an object keeps."""
    if isinstance(value, bytes | str):
        return len(value)
    if id(value) in seen or isinstance(value, type):
        return 0
    seen.add(id(value))
    inner = value if isinstance(value, list | tuple) else list(getattr(value, "__dict__", {}).values())
    return sum(held(one, seen) for one in inner)


class DecoderMachine(RuleBasedStateMachine):
    """What all decoders have in common. `wire` is made by the rules and not all fed yet.

    `due` says what text has come once so many bytes of it are fed.
    """

    provider = ""
    much = 300

    def __init__(self) -> None:
        super().__init__()
        self.decoder = find_provider(self.provider).load_codec().stream_decoder("text/event-stream")
        self.fold = Accumulator()
        self.wire = b""
        self.fed = 0
        self.garbage_at: int | None = None  # where what comes out is no longer predicted
        self.error: APIError | None = None
        self.over = False

    def take(self, step: Any) -> None:
        was_done = self.decoder.done
        try:
            for chunk in step():
                assert not was_done, "a chunk after the end"
                self.fold.add(chunk)
        except APIError as error:  # and nothing else: another exception fails the machine
            self.error = error

    def feed_up_to(self, place: int) -> None:
        data, self.fed = self.wire[self.fed : place], place
        self.take(lambda: self.decoder.feed(data))

    @property
    def running(self) -> bool:
        return self.error is None and not self.over

    @property
    def predictable(self) -> bool:
        return self.garbage_at is None or self.fed <= self.garbage_at

    def due(self) -> str:
        raise NotImplementedError

    def complete(self) -> bool:
        raise NotImplementedError

    @property
    def pending(self) -> bool:
        return self.running and self.fed < len(self.wire)

    @property
    def long(self) -> bool:
        """Whether so much has happened that the course may take a bad turn, or end."""
        return self.running and self.fed > self.much

    @precondition(lambda self: self.pending)
    @rule(shares=st.lists(st.floats(0, 1), min_size=1, max_size=5))
    def feed_pieces(self, shares: list[float]) -> None:
        for share in shares:
            if self.error is None:
                self.feed_up_to(self.fed + round((len(self.wire) - self.fed) * share))
                self.the_text_is_what_was_fed()

    @precondition(lambda self: self.pending)
    @rule(most=st.integers(1, 200))
    def feed_byte_by_byte(self, most: int) -> None:
        for place in range(self.fed + 1, min(len(self.wire), self.fed + most) + 1):
            if self.error is None:
                self.feed_up_to(place)
                self.the_text_is_what_was_fed()

    @precondition(lambda self: self.long)
    @rule(data=st.binary(min_size=1, max_size=20))
    def garbage(self, data: bytes) -> None:
        if self.garbage_at is None:
            self.garbage_at = len(self.wire)
        self.wire += data

    @precondition(lambda self: self.long)
    @rule()
    def finish(self) -> None:
        self.feed_up_to(len(self.wire))
        if self.error is None:
            self.over = True
            self.take(self.decoder.finish)
            assert self.decoder.done or self.error is not None, "neither done nor an error"
            if self.garbage_at is None:
                assert (self.error is None) == self.complete()

    @precondition(lambda self: not self.running)
    @rule(data=st.sampled_from([b"\n\n", event({"content": "late"}) + b"\n\n", b"\xff", b"data: {\n\n"]))
    def feed_after_the_end(self, data: bytes) -> None:
        if self.decoder.done and self.provider in ("openai", "ylokh"):
            assert list(self.decoder.feed(data)) == []

    @invariant()
    def the_text_is_what_was_fed(self) -> None:
        if self.predictable:
            assert self.fold.response().text == self.due()

    @invariant()
    def little_is_kept(self) -> None:
        assert held(self.decoder, set()) <= min(self.fed, EVENT_LIMIT) + 2_000


class EventMachine(DecoderMachine):
    """Server-sent events. An event counts from the byte on that ends its blank line."""

    needs_reason = True
    needs_done = True

    def __init__(self) -> None:
        super().__init__()
        self.marks: list[tuple[int, str]] = []
        self.reason_at = self.done_at = self.bad_at = 1 << 60

    def add(self, line: bytes, ending: bytes, text: str = "") -> int:
        self.wire += line + ending + ending
        # A CR ends its line at once, the LF after it or not.
        place = len(self.wire) - (ending == b"\r\n")
        self.marks.append((place, text))
        return place

    endings = st.sampled_from([b"\n", b"\r\n", b"\r"])

    @precondition(lambda self: self.running and self.garbage_at is None)
    @rule(written=st.lists(st.tuples(texts, endings, st.booleans()), min_size=1, max_size=4))
    def write_texts(self, written: list[tuple[str, bytes, bool]]) -> None:
        for text, ending, raw in written:
            self.add(event({"content": text}, raw=raw), ending, text)

    @precondition(lambda self: self.running and self.garbage_at is None)
    @rule(line=st.sampled_from([b": ping", b"retry: 10", b"event: message", b"id: 7", b"data:"]), ending=endings)
    def write_nothing(self, line: bytes, ending: bytes) -> None:
        self.add(line, ending)

    @precondition(lambda self: self.running and self.garbage_at is None)
    @rule(ending=endings)
    def write_reason(self, ending: bytes) -> None:
        self.reason_at = min(self.reason_at, self.add(event({}, "stop"), ending))

    @precondition(lambda self: self.long and self.garbage_at is None)
    @rule(ending=endings)
    def write_done(self, ending: bytes) -> None:
        place = self.add(b"data: [DONE]", ending)
        if self.needs_reason and self.reason_at > place:
            self.bad_at = min(self.bad_at, place)
        self.done_at = min(self.done_at, place)

    @precondition(lambda self: self.long and self.garbage_at is None)
    @rule(line=st.sampled_from([b"data: {", b'data: {"error":{"message":"x"}}', b"data: []", b'data: {"choices":7}']))
    def write_a_bad_event(self, line: bytes) -> None:
        self.bad_at = min(self.bad_at, self.add(line, b"\n"))

    @precondition(lambda self: self.long and self.garbage_at is None and not self.decoder.done)
    @rule()
    def flood(self) -> None:
        self.feed_up_to(len(self.wire))
        for _ in range(10):
            if self.running and not self.decoder.done:
                self.take(lambda: self.decoder.feed(b"x" * (1024 * 1024)))
                assert held(self.decoder, set()) <= EVENT_LIMIT + 1024 * 1024 + 2_000
        assert self.error is not None or self.decoder.done
        assert isinstance(self.error, ResponseTooLargeError) or min(self.bad_at, self.done_at) <= self.fed

    @invariant()
    def little_is_kept(self) -> None:
        if not isinstance(self.error, ResponseTooLargeError):
            super().little_is_kept()

    def due(self) -> str:
        end = min(self.fed, self.bad_at, self.done_at)
        return "".join(text for place, text in self.marks if place <= end)

    def complete(self) -> bool:
        if self.bad_at < self.done_at or (self.bad_at == self.done_at and self.bad_at < 1 << 60):
            return False
        return self.done_at < 1 << 60 or (not self.needs_done and self.reason_at < 1 << 60)

    @invariant()
    def it_is_done_when_the_mark_has_come(self) -> None:
        if self.predictable and self.error is None:
            assert self.bad_at > self.fed or self.done_at < self.bad_at
            assert self.decoder.done == (self.done_at <= self.fed) or self.over


class TextMachine(DecoderMachine):
    """Raw text: all that is UTF-8, but nothing of what may become the ban notice."""

    notice = ""
    much = 20

    @precondition(lambda self: self.running and self.garbage_at is None)
    @rule(written=st.lists(texts | st.integers(1, 40).map(lambda size: BLOCKED_NOTICE[:size]), min_size=1, max_size=4))
    def write_texts(self, written: list[str]) -> None:
        self.wire += "".join(written).encode()

    def due(self) -> str:
        text = self.wire[: self.fed].decode("utf-8", "ignore")
        if self.notice and text.startswith(self.notice):
            return ""
        return "" if self.notice.startswith(text) and not self.over else text

    def complete(self) -> bool:
        return bool(self.wire) and not (self.notice and self.wire.decode().startswith(self.notice))

    @invariant()
    def the_notice_is_an_error(self) -> None:
        if self.predictable and self.notice:
            banned = self.wire[: self.fed].decode("utf-8", "ignore").startswith(self.notice)
            assert banned == isinstance(self.error, AccessBlockedError)


MACHINES = {
    "openai": EventMachine,
    "ylokh": type("YlokhMachine", (EventMachine,), {"needs_reason": False}),
    "yqcloud": type("YqcloudMachine", (TextMachine,), {"notice": BLOCKED_NOTICE}),
    "yqcloud-legacy": type("YqcloudMachine", (TextMachine,), {"notice": BLOCKED_NOTICE}),
    "ai365vip": TextMachine,
}


@pytest.mark.hypothesis
@pytest.mark.parametrize("provider", MACHINES)
def test_a_decoder_gives_what_it_was_fed(provider: str) -> None:
    machine = type(f"Machine_{provider}", (MACHINES[provider],), {"provider": provider})
    run_state_machine_as_test(machine, settings=MODERATE)
