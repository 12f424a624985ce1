"""Every check of the codec suite finds the mistake that it is there for, and none where there is none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from reference_codec import TalkCodec, TalkDecoder, TalkOptions

from llmclients.codecs.base import Context, PartRule, WireRequest
from llmclients.codecs.framing import LineDecoder
from llmclients.errors import (
    APIError,
    APIResponseError,
    APIStatusError,
    BadRequestError,
    InternalServerError,
    InvalidRequestError,
    RateLimitError,
)
from llmclients.models import ChatRequest, ChatResponse, Chunk, Message
from llmclients.testing.codec_suite import CodecSuite

STREAM = '{"say": "Grüß"}\n{"say": " dich!"}\n{"end": "done", "count": 2}\n'.encode()


class TalkSuite(CodecSuite):
    requests = (
        (
            {"messages": "Hi", "options": {"max_tokens": 5}, "path": "/talk", "method": "POST"},
            b'{"talk":[{"who":"user","what":["Hi"]}],"mood":"cheerful","stream":false,"max_tokens":5}',
        ),
    )
    replies = (
        (b'{"say": "Hi.", "end": "done"}', {"text": "Hi.", "finish_reason": "stop"}),
        (b'{"oops": "asleep"}', InternalServerError),
    )
    streams = (
        (
            STREAM,
            "application/x-ndjson",
            {"text": "Grüß dich!", "finish_reason": "stop", "usage": {"output_tokens": 2}},
        ),
        (b'{"say": "Hel"}\n{"say": "lo"}\n{"oops": "asleep"}\n', "", {"text": "Hello"}, InternalServerError),
        (b'{"say": "Hel"}\n[]\n', "", APIResponseError),
    )
    errors = ((429, {"retry-after": "2"}, b'{"oops": "slowly"}', RateLimitError), (500, {}, b"", InternalServerError))


def failures(codec: TalkCodec, **attributes: Any) -> dict[str, str]:
    """The checks that this codec fails, by name, and why."""
    suite = type("Suite", (TalkSuite,), {"codec": codec, **attributes})
    found = {}
    for name, check in suite.checks():
        try:
            check()
        except Exception as error:  # noqa: BLE001 - a crash is a failure, too
            found.setdefault(name.partition("[")[0], f"{type(error).__name__}: {error}")
    return found


class TestTalk(TalkSuite):
    codec = TalkCodec()


# --- what can be wrong ----------------------------------------------------------------------------------------------


def breaking(base: type = TalkCodec, **members: Any) -> TalkCodec:
    broken: TalkCodec = type("Broken", (base,), members)()
    return broken


def decoding(**members: Any) -> TalkCodec:
    decoder = type("BrokenDecoder", (TalkDecoder,), members)
    return breaking(stream_decoder=lambda self, content_type: decoder())


def with_payload(change: Any) -> TalkCodec:
    """A codec whose payload is changed by `change(payload, request, context)`, which returns it."""

    def payload(self: TalkCodec, request: ChatRequest, context: Context) -> dict[str, Any]:
        changed: dict[str, Any] = change(TalkCodec.payload(self, request, context), request, context)
        return changed

    return breaking(payload=payload)


def without(name: str) -> TalkCodec:
    return with_payload(lambda payload, request, context: {key: payload[key] for key in payload if key != name})


def with_message(change: Any) -> TalkCodec:
    return breaking(message=lambda self, message: change(TalkCodec.message(self, message), message))


COUNT = iter(range(10**9))


def environment(payload: Any, request: Any, context: Any) -> Any:
    return payload | {"home": os.environ.get("HOME")}


def clock(payload: Any, request: Any, context: Any) -> Any:
    return payload | {"at": time.time() * 0}


def mutilated(payload: Any, request: Any, context: Any) -> Any:
    request.messages.pop()
    return payload


def extra_first(payload: Any, request: Any, context: Any) -> Any:
    extra = request.extra or {}
    return extra | TalkCodec.payload(TalkCodec(), request.model_copy(update={"extra": None}), context)


def surrogates(self: TalkCodec, payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False).encode("utf-8", "surrogatepass")


def latin(self: TalkCodec, payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, ensure_ascii=False).encode("latin-1", "replace")


def read_say(payload: Any) -> ChatResponse:
    return ChatResponse(text=payload["say"], finish_reason="stop", raw=payload)


def decode_carelessly(self: TalkCodec, body: bytes) -> ChatResponse:
    try:
        return read_say(json.loads(body))
    except ValueError as error:
        raise APIResponseError(str(error)) from error


def decode_anything(self: TalkCodec, body: bytes) -> ChatResponse:
    try:
        return TalkCodec.decode(self, body)
    except APIResponseError:
        return ChatResponse(text=body.decode("utf-8", "replace"), raw=body)


def decode_wrongly(self: TalkCodec, body: bytes) -> ChatResponse:
    return TalkCodec.decode(self, body.replace(b".", b"!"))


def error_of_json(self: TalkCodec, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    return TalkCodec.decode_error(self, status, headers, json.dumps(json.loads(body or b"{}")).encode())


def error_of_400(self: TalkCodec, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
    return BadRequestError("no", status_code=status, headers=headers)


def by_read(self: Any, data: bytes) -> Iterator[Chunk]:
    """Lines, but only within one read."""
    for line in data.splitlines():
        if line and not self.done:
            yield from self.line(line)


def collected(self: Any, data: bytes) -> Iterator[Chunk]:
    """Chunks only after the whole read."""
    return iter(list(TalkDecoder.feed(self, data)))


def ended_by_nothing(self: Any, data: bytes) -> Iterator[Chunk]:
    self.done = self.done or not data
    return TalkDecoder.feed(self, data)


def past_the_end(self: Any, data: bytes) -> Iterator[Chunk]:
    for line in self.lines.feed(data):
        yield from self.line(line)


def done_at_once(self: Any, line: bytes) -> Iterator[Chunk]:
    yield from TalkDecoder.line(self, line)
    self.wanted = getattr(self, "wanted", 0) + 1
    self.done = self.done or self.wanted == 2


def done_late(self: Any, data: bytes) -> Iterator[Chunk]:
    yield from () if getattr(self, "over", False) else TalkDecoder.feed(self, data)
    self.over, self.done = self.done or getattr(self, "over", False), False


def finish_late(self: Any) -> Iterator[Chunk]:
    self.done = getattr(self, "over", False)
    return TalkDecoder.finish(self)


def careless_line(self: Any, line: bytes) -> Iterator[Chunk]:
    payload = json.loads(line) if line.startswith(b"{") and line.endswith(b"}") else None
    if payload is None:
        raise APIResponseError("no object")
    yield from TalkDecoder.line(self, line) if isinstance(payload.get("say"), str) else self.end(payload)


def careless_end(self: Any, payload: Any) -> Iterator[Chunk]:
    yield from TalkDecoder.line(self, json.dumps(payload | {"count": payload.get("count", 0) + 0}).encode())


def crash(self: Any, line: bytes) -> Iterator[Chunk]:
    json.loads(line)
    yield from TalkDecoder.line(self, line)


class Shared(TalkDecoder):
    common = LineDecoder()

    def __init__(self) -> None:
        super().__init__()
        self.lines = self.common


class Unbounded:
    def __init__(self) -> None:
        self.held = b""

    def feed(self, data: bytes) -> list[bytes]:
        *lines, self.held = (self.held + data).split(b"\n")
        return lines


class Clocked(TalkDecoder):
    def line(self, line: bytes) -> Iterator[Chunk]:
        time.monotonic()
        return super().line(line)


def unbounded(self: Any) -> None:
    TalkDecoder.__init__(self)
    self.lines = Unbounded()


def other_options() -> Any:
    class Options(TalkOptions):
        nowhere: int = 1

    return Options


def text_alone(found: dict[str, Any], message: Message) -> dict[str, Any]:
    return found | {"what": [part for part in found["what"] if isinstance(part, str)]}


def refused(error: type[APIError]) -> Any:
    def line(self: Any, data: bytes) -> Iterator[Chunk]:
        if b"oops" in data:
            raise error("the talk failed")
        return TalkDecoder.line(self, data)

    return line


def refuse_user(found: dict[str, Any], message: Message) -> dict[str, Any]:
    if message.role == "assistant":
        return found | {"what": []}
    return found


def any_models(self: TalkCodec, body: bytes) -> list[str]:
    return [one["id"] for one in json.loads(body)["models"]]


def drop_results(found: dict[str, Any], message: Message) -> dict[str, Any]:
    return {key: found[key] for key in found if key != "calls"}


def no_images(found: dict[str, Any], message: Message) -> dict[str, Any]:
    if len(found["what"]) > 1 and not isinstance(found["what"][1], str):
        raise InvalidRequestError("no images today")
    return found


BROKEN: list[tuple[str, str, TalkCodec, dict[str, Any]]] = [
    ("a field that there is not", "test_the_codec_describes_itself", breaking(fields={"temprature"}), {}),
    ("a part that there is not", "test_the_codec_describes_itself", breaking(parts={"smell": PartRule()}), {}),
    ("another body", "test_a_recorded_request_goes_out_byte_for_byte", without("mood"), {}),
    (
        "another path",
        "test_a_recorded_request_goes_out_byte_for_byte",
        breaking(path=lambda self, context: "/tolk"),
        {},
    ),
    (
        "a counter",
        "test_the_same_request_is_the_same_bytes",
        with_payload(lambda payload, request, context: payload | {"n": next(COUNT)}),
        {},
    ),
    ("the environment", "test_encoding_asks_nothing_of_the_world", with_payload(environment), {}),
    ("the clock", "test_encoding_asks_nothing_of_the_world", with_payload(clock), {}),
    ("a changed request", "test_encoding_leaves_the_request_as_it_was", with_payload(mutilated), {}),
    ("another encoding", "test_the_body_is_json_in_utf8", breaking(body=latin), {}),
    ("surrogates", "test_what_utf8_cannot_carry_is_refused", breaking(body=surrogates), {}),
    ("extra first", "test_extra_comes_last", with_payload(extra_first), {}),
    ("the key in the path", "test_the_key_is_for_the_headers", breaking(path=lambda self, c: f"/talk?{c.api_key}"), {}),
    ("a dropped field", "test_a_field_of_the_wire_reaches_it", without("temperature"), {}),
    (
        "one value dropped",
        "test_a_field_of_the_wire_reaches_it",
        with_payload(lambda p, r, c: {key: p[key] for key in p if p[key] != "weather_now"}),
        {},
    ),
    ("a dropped option", "test_an_option_of_its_own_reaches_the_wire", breaking(options=other_options()), {}),
    ("a dropped image", "test_a_part_of_the_wire_reaches_it", with_message(text_alone), {}),
    ("a refused image", "test_a_part_of_the_wire_reaches_it", with_message(no_images), {}),
    ("dropped calls", "test_tool_calls_and_their_results_are_carried_or_refused", with_message(drop_results), {}),
    ("dropped answers", "test_every_role_is_carried_or_refused", with_message(refuse_user), {}),
    ("a careless list", "test_the_list_of_models_is_a_list_or_an_error", breaking(decode_models=any_models), {}),
    ("no recordings", "test_there_is_something_to_check", TalkCodec(), {"replies": (), "errors": ()}),
    ("another text", "test_a_whole_reply_is_read", breaking(decode=decode_wrongly), {}),
    ("anything is a reply", "test_what_is_no_reply_is_an_error", breaking(decode=decode_anything), {}),
    ("KeyError", "test_a_reply_with_wrong_types_crashes_nothing", breaking(decode=decode_carelessly), {}),
    ("one error for all", "test_an_error_body_becomes_its_error", breaking(decode_error=error_of_400), {}),
    ("errors in JSON alone", "test_any_error_body_is_an_error_of_its_status", breaking(decode_error=error_of_json), {}),
    ("reads for lines", "test_a_stream_comes_to_the_same_however_it_is_cut", decoding(feed=by_read), {}),
    ("an empty read for the end", "test_an_empty_read_changes_nothing", decoding(feed=ended_by_nothing), {}),
    (
        "other chunks",
        "test_a_stream_has_the_recorded_chunks",
        TalkCodec(),
        {"recorded": classmethod(lambda cls, kind: chunked(kind))},
    ),
    ("done too early", "test_done_means_that_all_is_there", decoding(line=done_at_once), {}),
    ("done too late", "test_the_end_mark_sets_done", decoding(feed=done_late, finish=finish_late), {}),
    ("any end is good", "test_an_early_end_is_an_error", decoding(finish=lambda self: iter(())), {}),
    ("more after the end", "test_what_follows_the_end_mark_changes_nothing", decoding(feed=past_the_end), {}),
    ("chunks lost to an error", "test_chunks_before_an_error_come_first", decoding(feed=collected), {}),
    ("shared lines", "test_decoders_share_nothing", breaking(stream_decoder=lambda self, kind: Shared()), {}),
    (
        "a clocked decoder",
        "test_decoding_asks_nothing_of_the_world",
        breaking(stream_decoder=lambda s, k: Clocked()),
        {},
    ),
    (
        "a count added up",
        "test_wrong_types_in_a_stream_crash_nothing",
        decoding(line=careless_line, end=careless_end),
        {},
    ),
    ("json's own error", "test_garbage_in_a_stream_crashes_nothing", decoding(line=crash), {}),
    ("a line kept for ever", "test_an_event_without_end_is_not_kept", decoding(__init__=unbounded), {}),
    ("another answer to chat", "test_chat_brings_the_answer", breaking(decode=decode_wrongly), {}),
    ("another answer to stream", "test_a_stream_brings_the_answer", decoding(feed=collected), {}),
    ("another refusal", "test_a_refusal_is_raised", breaking(decode_error=error_of_400), {}),
    ("a cut that looks whole", "test_a_cut_is_never_an_answer", decoding(line=done_at_once), {}),
    ("another error", "test_chunks_before_an_error_come_first", decoding(line=refused(APIResponseError)), {}),
]


def chunked(kind: str) -> list[Any]:
    found = super(CodecSuite, TalkSuite).recorded(kind)  # as the tables have it
    return [
        type(case)(case.name, case.data, {**case.expected, "chunks": ["Grüß dich!", ""]})
        if kind == "streams" and not case.fails
        else case
        for case in found
    ]


def test_a_good_codec_fails_nothing() -> None:
    assert failures(TalkCodec()) == {}


@pytest.mark.parametrize(("check", "codec", "attributes"), [pytest.param(*row, id=name) for name, *row in BROKEN])
def test_a_broken_codec_fails_the_check_that_is_there_for_it(
    check: str, codec: TalkCodec, attributes: dict[str, Any]
) -> None:
    assert check in failures(codec, **attributes)


REFUSED_BEFORE = {"test_a_field_that_the_wire_lacks_is_refused", "test_a_part_that_the_wire_lacks_is_refused"}
"""These are about what comes before the codec."""


def test_there_is_a_broken_codec_for_every_check() -> None:
    every = {name for name in dir(CodecSuite) if name.startswith("test_")}

    assert {check for _, check, _, _ in BROKEN} | REFUSED_BEFORE == every


@pytest.mark.parametrize("check", sorted(REFUSED_BEFORE))
def test_what_the_clients_no_longer_refuse_fails_its_check(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmclients.settings import ClientSettings

    def request(self: ClientSettings, messages: Any, model: Any, options: Any) -> Any:
        return ChatRequest.of(messages, model=self.model_name(model)), self.codec.options()

    monkeypatch.setattr(ClientSettings, "request", request)

    assert check in failures(TalkCodec())


# --- how it is used -------------------------------------------------------------------------------------------------


def test_a_check_of_what_the_wire_has_not_is_no_test() -> None:
    class Streams(TalkSuite):
        codec = breaking(whole_replies=False, options=TalkCodec.__mro__[1].options)
        replies = ()

    names = {name for name, _ in Streams.checks()}

    assert not any("reply_is_read" in name or "option_of_its_own" in name for name in names)
    assert Streams.test_a_whole_reply_is_read is None
    assert "test_an_early_end_is_an_error[streams[0]]" in names


def test_a_check_can_be_switched_off_and_a_subclass_adds_cases() -> None:
    class Off(TalkSuite):
        codec = breaking(path=lambda self, context: f"/talk?{context.api_key}")
        replies = ()
        test_the_key_is_for_the_headers = None

    class On(Off):
        replies = TalkSuite.replies

    assert "test_the_key_is_for_the_headers" not in {name for name, _ in On.checks()}
    assert Off.test_a_whole_reply_is_read is None
    assert On.test_a_whole_reply_is_read is not None


def test_an_end_with_the_body_is_declared() -> None:
    class Body(TalkDecoder):
        def finish(self) -> Iterator[Chunk]:
            yield from [] if self.done else [Chunk(finish_reason="stop", raw={})]
            self.done = True

    codec = breaking(stream_decoder=lambda self, kind: Body())
    streams = [(b'{"say": "Hi"}\n', "", {"text": "Hi", "finish_reason": "stop"})]

    assert {"test_an_early_end_is_an_error", "test_the_end_mark_sets_done"} <= set(failures(codec, streams=streams))
    assert failures(codec, streams=streams, has_end_mark=False) == {}


def test_pytest_collects_it_from_a_module_of_anybody_s(tmp_path: Path) -> None:
    (tmp_path / "test_talk.py").write_text(
        "from reference_codec import TalkCodec\n"
        "from test_codec_suite import TalkSuite\n"
        "class TestTalk(TalkSuite):\n"
        "    codec = TalkCodec()\n"
    )
    here = Path(__file__).parent
    path = os.pathsep.join(
        [str(here), str(Path(WireRequest.__module__ and __file__).parents[2]), *filter(None, sys.path)]
    )
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        check=False,
    )

    tests = sum(1 for _ in TestTalk.checks())
    assert f"{tests} passed" in run.stdout, run.stdout
    assert "skipped" not in run.stdout
