"""Reads the Responses API's replies and streams, as OpenAI and all who copy it send them, to chunks.

The wire: docs/protocols/openai-responses.md, "OpenAI Responses".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_core import from_json

from llmclients.codecs.base import decode_json, no_object, read_torn_event
from llmclients.codecs.bodies import last_chunks
from llmclients.codecs.errors import STATUS_BY_CODE, error_event, excerpt
from llmclients.codecs.framing import SSEDecoder
from llmclients.codecs.json_fields import get_object, get_optional_str, unexpected_type
from llmclients.codecs.openai_responses.fields import get_dict
from llmclients.codecs.openai_responses.items import ENDED, Answer
from llmclients.errors import APIResponseError, APIStatusError, StreamInterruptedError
from llmclients.types.limits import MAX_UNCHECKED_BYTES, check_json_values
from llmclients.types.response import Chunk, make_text_chunk

__all__ = ["EventDecoder", "decode_reply"]

_STATUSES: Mapping[str, int] = {
    **STATUS_BY_CODE,
    **dict.fromkeys(("invalid_prompt", "context_length_exceeded"), 400),
    **dict.fromkeys(("data_residency_mismatch", "bio_policy", "misalignment_policy_violation"), 400),
    **dict.fromkeys(("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url"), 400),
    **dict.fromkeys(("image_too_large", "image_too_small", "image_parse_error", "image_file_too_large"), 400),
    **dict.fromkeys(("image_content_policy_violation", "content_policy_violation", "invalid_image_mode"), 400),
    **dict.fromkeys(("unsupported_image_media_type", "empty_image_file", "failed_to_download_image"), 400),
    **dict.fromkeys(("billing_not_active", "billing_hard_limit_reached"), 402),
    **dict.fromkeys(("image_file_not_found", "previous_response_not_found"), 404),
    **dict.fromkeys(("requests", "tokens", "too_many_requests", "slow_down"), 429),
    **dict.fromkeys(("server_is_overloaded", "service_unavailable_error", "overloaded_error"), 503),
    "vector_store_timeout": 504,
}
"""The HTTP status that an error inside a 200 would have had, from its `code` or `type`."""

_TEXT_EVENTS: Mapping[str, tuple[str, str]] = {  # the type of the text that an event has, and the member that has it
    "response.output_text.delta": ("output_text", "delta"),
    "response.output_text.done": ("output_text", "text"),
    "response.refusal.delta": ("refusal", "delta"),
    "response.refusal.done": ("refusal", "refusal"),
    "response.reasoning_summary_text.delta": ("summary_text", "delta"),
    "response.reasoning_summary_text.done": ("summary_text", "text"),
    "response.reasoning_text.delta": ("reasoning_text", "delta"),
    "response.reasoning_text.done": ("reasoning_text", "text"),
    "response.audio.transcript.delta": ("transcript", "delta"),
}
_BEGINNINGS = frozenset(("response.created", "response.queued", "response.in_progress"))
_ENDINGS: Mapping[str, str] = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}


def decode_reply(body: bytes) -> Chunk:
    """A whole reply, as one chunk.

    Raises:
        APIStatusError: an error in a reply's place, or a reply that says it failed.
        APIResponseError: anything else that is no reply.
    """
    payload = decode_json(body)
    status = payload.get("status")
    if payload.get("error") or payload.get("type") == "error" or status == "failed":
        raise _failure(payload)
    if type(payload.get("output")) is not list and type(payload.get("output_text")) is not str:
        raise APIResponseError(f"the reply has no output: {excerpt(body)}")
    return Answer().end(payload, status, payload)


class EventDecoder:
    """A stream of events to chunks: one for each event that adds something, and one for the event that ends it all.

    The events before the first piece of an answer add nothing, so what fails there can still be tried again.
    """

    def __init__(self) -> None:
        self.done = False
        self._events = SSEDecoder(error_field=True)
        self._answer = Answer()
        self._text_place: object = self  # of the last piece of text

    def feed(self, data: bytes) -> Iterator[Chunk]:
        for sse_type, event in () if self.done else self._events.feed(data):
            if self.done:
                return
            if not event:
                continue
            if len(event) > MAX_UNCHECKED_BYTES:
                check_json_values(event, "event")
            try:
                payload = from_json(event, cache_strings="keys")
            except ValueError as error:
                if event.startswith(b"[DONE]"):  # the wire of chat completions ends so, this one does not
                    raise StreamInterruptedError(
                        "the stream says [DONE], but no response.completed came: the answer was cut"
                    ) from None
                payload = read_torn_event(event, error)
            if type(payload) is not dict:
                raise no_object(payload, event, "an event of the stream")
            event_type = payload.get("type") or sse_type
            if event_type == "response.output_text.delta":  # nearly every event of every stream
                text = payload.get("delta")
                place = payload.get("output_index"), payload.get("item_id"), payload.get("content_index")
                if place == self._text_place and type(text) is str and text and not payload.get("logprobs"):
                    yield make_text_chunk(text, None, None, payload)
                    continue
                if (chunk := self._chunk(event_type, sse_type, payload)) is not None:
                    if chunk.text:  # some servers send reasoning under this name
                        self._text_place = place
                    yield chunk
            elif (chunk := self._chunk(event_type, sse_type, payload)) is not None:
                yield chunk

    def finish(self) -> Iterator[Chunk]:
        yield from last_chunks(self, self._events, decode_reply)
        if not self.done:
            raise StreamInterruptedError("the stream ended without its end mark, response.completed")

    def _chunk(self, event_type: Any, sse_type: str, payload: dict[str, Any]) -> Chunk | None:
        if "error" in (event_type, sse_type) or payload.get("error"):
            raise error_event(payload, statuses=_STATUSES)
        if type(event_type) is not str:
            raise unexpected_type("type", event_type)
        if event_type in _TEXT_EVENTS:
            text_type, member = _TEXT_EVENTS[event_type]
            return self._answer.add_text(text_type, payload, payload.get(member), whole=member != "delta")
        if event_type in _BEGINNINGS:
            self._answer.begin(get_dict(payload, "response"))
        elif event_type == "response.output_item.added":
            return self._answer.begin_item(payload)
        elif event_type == "response.output_item.done":
            return self._answer.end_item(payload)
        elif event_type == "response.content_part.done":
            return self._answer.end_part(payload)
        elif event_type == "response.function_call_arguments.delta":
            return self._answer.add_arguments(payload, payload.get("delta"), whole=False)
        elif event_type == "response.function_call_arguments.done":
            return self._answer.add_arguments(payload, payload.get("arguments"), whole=True)
        elif event_type == "response.audio.delta":
            return self._answer.add_part("audio", payload)
        elif event_type in _ENDINGS:
            response = get_dict(payload, "response")
            status = response.get("status")
            if event_type == "response.failed" or status == "failed":
                raise _failure(response)
            chunk = self._answer.end(response, status if status in ENDED else _ENDINGS[event_type], payload)
            self.done = True
            return chunk
        return None


def _failure(response: dict[str, Any]) -> APIStatusError:
    """The error of an answer that failed. Some servers do not say why."""
    if response.get("error") or response.get("type") == "error" or response.get("message"):
        return error_event(response, statuses=_STATUSES)
    details = get_object(response, "incomplete_details")
    why = get_optional_str(details, "reason") or "it does not say why"
    return error_event(response, {"message": f"the answer failed ({why})"}, statuses=_STATUSES)
