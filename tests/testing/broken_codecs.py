"""Codecs with one mistake each, and the check of the suite that has to find it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from typing import Any

from reference_codec import TalkCodec, TalkDecoder, TalkOptions, TalkSuite

from llmclients.codecs.base import Context, PartRule
from llmclients.codecs.framing import LineDecoder
from llmclients.errors import APIError, APIResponseError, APIStatusError, BadRequestError, InvalidRequestError
from llmclients.testing.codec_suite import CodecSuite
from llmclients.types.messages import Message
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk, Usage

__all__ = ["BROKEN", "breaking"]


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


def decode_carelessly(self: TalkCodec, body: bytes) -> Chunk:
    try:
        payload = json.loads(body)
        return Chunk(text=payload["say"], finish_reason="stop", raw=payload)
    except ValueError as error:
        raise APIResponseError(str(error)) from error


def decode_anything(self: TalkCodec, body: bytes) -> Chunk:
    try:
        return TalkCodec.decode(self, body)
    except APIResponseError:
        return Chunk(text=body.decode("utf-8", "replace"), raw=body)


def decode_wrongly(self: TalkCodec, body: bytes) -> Chunk:
    return TalkCodec.decode(self, body.replace(b".", b"!"))


def second_first(self: TalkCodec, body: bytes) -> Chunk:
    return TalkCodec.decode(self, body).model_copy(update={"other_choices": [Chunk(text="", index=0)]})


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


def with_count(chunk: Chunk) -> Chunk:
    """The chunk, its count read with a look at the type alone."""
    count = chunk.raw.get("count")
    if chunk.finish_reason is None or not isinstance(count, int | float):
        return chunk
    return chunk.model_copy(update={"usage": Usage(output_tokens=int(count))})


def decode_any_count(self: TalkCodec, body: bytes) -> Chunk:
    return with_count(TalkCodec.decode(self, body))


def line_of_any_count(self: Any, line: bytes) -> Iterator[Chunk]:
    yield from map(with_count, TalkDecoder.line(self, line))


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


def failing_with(error: type[APIError]) -> Any:
    def line(self: Any, data: bytes) -> Iterator[Chunk]:
        if b"oops" in data:
            raise error("the talk failed")
        return TalkDecoder.line(self, data)

    return line


def drop_assistant(found: dict[str, Any], message: Message) -> dict[str, Any]:
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
    ("surrogates", "test_what_utf8_cannot_carry_is_an_error", breaking(body=surrogates), {}),
    ("extra first", "test_extra_comes_last", with_payload(extra_first), {}),
    ("the key in the path", "test_the_key_is_for_the_headers", breaking(path=lambda self, c: f"/talk?{c.api_key}"), {}),
    ("a dropped field", "test_a_field_of_the_wire_reaches_it", without("temperature"), {}),
    (
        "one value dropped",
        "test_a_field_of_the_wire_reaches_it",
        with_payload(lambda p, r, c: {key: p[key] for key in p if p[key] != "weather_now"}),
        {},
    ),
    ("a dropped option", "test_a_codec_option_reaches_the_wire", breaking(options=other_options()), {}),
    ("a dropped image", "test_a_part_of_the_wire_reaches_it", with_message(text_alone), {}),
    ("an image that is an error", "test_a_part_of_the_wire_reaches_it", with_message(no_images), {}),
    ("dropped calls", "test_tool_calls_and_their_results_are_carried_or_an_error", with_message(drop_results), {}),
    ("dropped answers", "test_every_role_is_carried_or_an_error", with_message(drop_assistant), {}),
    ("a careless list", "test_the_list_of_models_is_a_list_or_an_error", breaking(decode_models=any_models), {}),
    ("no recordings", "test_there_is_something_to_check", TalkCodec(), {"replies": (), "errors": ()}),
    ("another text", "test_a_whole_reply_is_read", breaking(decode=decode_wrongly), {}),
    ("a second first answer", "test_a_whole_reply_is_read", breaking(decode=second_first), {}),
    ("anything is a reply", "test_what_is_no_reply_is_an_error", breaking(decode=decode_anything), {}),
    ("KeyError", "test_a_reply_with_wrong_types_and_numbers_crashes_nothing", breaking(decode=decode_carelessly), {}),
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
        "a number that no int is",
        "test_a_reply_with_wrong_types_and_numbers_crashes_nothing",
        breaking(decode=decode_any_count),
        {},
    ),
    (
        "a count that no int is",
        "test_wrong_types_and_numbers_in_a_stream_crash_nothing",
        decoding(line=line_of_any_count),
        {},
    ),
    (
        "a count added up",
        "test_wrong_types_and_numbers_in_a_stream_crash_nothing",
        decoding(line=careless_line, end=careless_end),
        {},
    ),
    ("json's own error", "test_malformed_bytes_in_a_stream_crash_nothing", decoding(line=crash), {}),
    ("a line kept for ever", "test_an_event_without_end_is_not_kept", decoding(__init__=unbounded), {}),
    ("another answer to chat", "test_chat_brings_the_answer", breaking(decode=decode_wrongly), {}),
    ("another answer to stream", "test_a_stream_brings_the_answer", decoding(feed=collected), {}),
    ("another error status", "test_an_error_status_is_raised", breaking(decode_error=error_of_400), {}),
    ("a cut that looks whole", "test_a_cut_is_never_an_answer", decoding(line=done_at_once), {}),
    ("another error", "test_chunks_before_an_error_come_first", decoding(line=failing_with(APIResponseError)), {}),
]


def chunked(kind: str) -> list[Any]:
    found = super(CodecSuite, TalkSuite).recorded(kind)  # as the tables have it
    return [
        type(case)(case.name, case.data, {**case.expected, "chunks": ["Grüß dich!", ""]})
        if kind == "streams" and not case.fails
        else case
        for case in found
    ]
