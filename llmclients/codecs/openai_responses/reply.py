"""The Responses API as OpenAI and all who copy it speak it: replies, streams and errors in (PROTOCOLS 10)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from pydantic_core import from_json

from llmclients.codecs.base import decode_json
from llmclients.codecs.errors import error_message, excerpt
from llmclients.codecs.framing import SSEDecoder
from llmclients.codecs.json_fields import unexpected_type
from llmclients.codecs.openai_chat.errors import refused
from llmclients.codecs.openai_chat.reply import ReplyDecoder
from llmclients.codecs.openai_responses.items import ENDED, Answer
from llmclients.errors import APIResponseError, StreamInterruptedError
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, make_text_chunk

__all__ = ["decode_reply", "make_decoder"]

_STATUS_OF_WORD: Mapping[str, int] = {
    **dict.fromkeys(("invalid_api_key", "authentication_error"), 401),
    **dict.fromkeys(("billing_not_active", "billing_hard_limit_reached"), 402),
    "permission_error": 403,
    **dict.fromkeys(("not_found_error", "model_not_found", "image_file_not_found", "previous_response_not_found"), 404),
    **dict.fromkeys(("insufficient_quota", "rate_limit_error", "rate_limit_exceeded"), 429),
    **dict.fromkeys(("requests", "tokens", "too_many_requests", "slow_down"), 429),
    **dict.fromkeys(("server_error", "api_error"), 500),
    **dict.fromkeys(("server_is_overloaded", "service_unavailable_error", "overloaded_error"), 503),
    "vector_store_timeout": 504,
    **dict.fromkeys(("invalid_request_error", "invalid_prompt", "context_length_exceeded"), 400),
    **dict.fromkeys(("data_residency_mismatch", "bio_policy", "misalignment_policy_violation"), 400),
    **dict.fromkeys(("invalid_image", "invalid_image_format", "invalid_base64_image", "invalid_image_url"), 400),
    **dict.fromkeys(("image_too_large", "image_too_small", "image_parse_error", "image_file_too_large"), 400),
    **dict.fromkeys(("image_content_policy_violation", "content_policy_violation", "invalid_image_mode"), 400),
    **dict.fromkeys(("unsupported_image_media_type", "empty_image_file", "failed_to_download_image"), 400),
}
"""The HTTP status that an error inside a 200 would have had, from its `code` or `type`."""

_PIECES: Mapping[str, tuple[str, str]] = {  # what an event brings a piece of, and in which member
    "response.output_text.delta": ("output_text", "delta"),
    "response.output_text.done": ("output_text", "text"),
    "response.refusal.delta": ("refusal", "delta"),
    "response.refusal.done": ("refusal", "refusal"),
    "response.reasoning_summary_text.delta": ("summary_text", "delta"),
    "response.reasoning_summary_text.done": ("summary_text", "text"),
    "response.reasoning_text.delta": ("reasoning_text", "delta"),
    "response.reasoning_text.done": ("reasoning_text", "text"),
}
_BEGINNINGS = frozenset(("response.created", "response.queued", "response.in_progress"))
_ENDINGS: Mapping[str, str] = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
}


# --- errors in ------------------------------------------------------------------------------------------------------


def _raise_error(error: Any, payload: dict[str, Any]) -> NoReturn:
    """Raise the error that came inside a 200: `error` is its words, or nothing when `payload` itself has them."""
    words = error if isinstance(error, dict) else payload if not error else {"message": error}
    status = next(filter(None, (_status(words.get(name)) for name in ("code", "type"))), 200)
    body = json.dumps(words).encode()
    found = refused(status, {}, body)
    message = error_message({"error": words}) or excerpt(body)
    raise type(found)(
        f"the provider reported an error: {message}", status_code=status, body=payload, retryable=found.retryable
    )


def _status(word: Any) -> int | None:
    if isinstance(word, str):
        word = int(word) if word.isdecimal() and word.isascii() and len(word) == 3 else _STATUS_OF_WORD.get(word)
    return word if isinstance(word, int) and 400 <= word < 600 else None


# --- replies in -----------------------------------------------------------------------------------------------------


def decode_reply(body: bytes) -> ChatResponse:
    """A whole reply.

    Raises:
        APIStatusError: an error in a reply's place, or a reply that says it failed.
        APIResponseError: anything else that is no reply.
    """
    payload = decode_json(body)
    status = payload.get("status")
    if payload.get("error") or payload.get("type") == "error" or status == "failed":
        _raise_error(payload.get("error"), payload)
    if type(payload.get("output")) is not list:
        raise APIResponseError(f"the reply has no output: {excerpt(body)}")
    chunk = Answer().end(payload, status, payload)
    return ChatResponse(
        text=chunk.text,
        reasoning=chunk.reasoning,
        tool_calls=[
            ToolCall(id=call.id or "", name=call.name or "", arguments=call.arguments or "{}")
            for call in chunk.tool_calls
        ],
        finish_reason=chunk.finish_reason,
        usage=chunk.usage,
        model=chunk.model,
        id=chunk.id,
        raw=payload,
        logprobs=list(chunk.logprobs) or None,
        provider_data=chunk.provider_data,
    )


def make_decoder(content_type: str) -> EventDecoder | ReplyDecoder:
    """The decoder for a reply to `"stream": true`: some servers answer with one plain JSON body all the same."""
    if content_type.partition(";")[0].strip().lower() == "application/json":
        return ReplyDecoder(decode_reply)
    return EventDecoder()


class EventDecoder:
    """A stream of events to chunks: one for each event that brings something, and one for the event that ends it all.

    The events before the first piece of an answer bring nothing, so what fails there can still be tried again.
    """

    def __init__(self) -> None:
        self.done = False
        self._events = SSEDecoder(error_field=True)
        self._answer = Answer()
        self._place: object = self  # of the last piece of text

    def feed(self, data: bytes) -> Iterator[Chunk]:
        for name, event in () if self.done else self._events.feed(data):
            if self.done:
                return
            if not event:
                continue
            try:
                payload = from_json(event, cache_strings="keys")
            except ValueError as error:
                if event.startswith(b"[DONE]"):
                    raise StreamInterruptedError(
                        "the stream says [DONE], but no response.completed came: the answer was cut"
                    ) from None
                raise APIResponseError(f"an event of the stream is not JSON ({error}): {excerpt(event)}") from None
            if type(payload) is not dict:
                raise APIResponseError(f"an event of the stream is not a JSON object: {excerpt(event)}")
            kind = payload.get("type") or name
            if kind == "response.output_text.delta":  # nearly every event of every stream
                text = payload.get("delta")
                place = payload.get("output_index"), payload.get("item_id"), payload.get("content_index")
                if place == self._place and type(text) is str and text and not payload.get("logprobs"):
                    yield make_text_chunk(text, None, None, payload)
                    continue
                if (chunk := self._chunk(kind, name, payload)) is not None:
                    self._place = place
                    yield chunk
            elif (chunk := self._chunk(kind, name, payload)) is not None:
                yield chunk

    def finish(self) -> Iterator[Chunk]:
        if not self.done:
            raise StreamInterruptedError("the stream ended without its end mark, response.completed")
        return iter(())

    def _chunk(self, kind: Any, name: str, payload: dict[str, Any]) -> Chunk | None:
        if "error" in (kind, name) or payload.get("error"):
            _raise_error(payload.get("error"), payload)
        if type(kind) is not str:
            raise unexpected_type("type", kind)
        if kind in _PIECES:
            what, member = _PIECES[kind]
            return self._answer.piece(what, payload, payload.get(member), whole=member != "delta")
        if kind in _BEGINNINGS:
            self._answer.begin(_response(payload))
        elif kind == "response.output_item.added":
            return self._answer.added(payload)
        elif kind == "response.output_item.done":
            return self._answer.item_done(payload)
        elif kind == "response.function_call_arguments.delta":
            return self._answer.arguments(payload, payload.get("delta"), whole=False)
        elif kind == "response.function_call_arguments.done":
            return self._answer.arguments(payload, payload.get("arguments"), whole=True)
        elif kind in _ENDINGS:
            response = _response(payload)
            status = response.get("status")
            if kind == "response.failed" or status == "failed":
                _raise_error(response.get("error"), response)
            ending = self._answer.end(response, status if status in ENDED else _ENDINGS[kind], payload)
            self.done = True
            return ending
        return None


def _response(payload: dict[str, Any]) -> dict[str, Any]:
    response = payload.get("response")
    if type(response) is not dict:
        raise unexpected_type("response", response)
    return response
