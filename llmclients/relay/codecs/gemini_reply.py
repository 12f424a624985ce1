"""Gemini's replies, streams and errors from the server's side (docs/protocols/gemini.md, "Whole replies")."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from llmclients.errors import APIResponseError
from llmclients.relay.codecs.base import ReplyMeta
from llmclients.relay.codecs.json_reply import encode_json
from llmclients.relay.codecs.whole_calls import WholeCalls, readable_calls
from llmclients.relay.errors import Failure
from llmclients.types.choice import weightier_reason
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, FinishReason, TokenLogprob, Usage

__all__ = [
    "PROVIDER_DATA_KEY",
    "ObjectEncoder",
    "count_body",
    "error_body",
    "model_body",
    "models_body",
    "reply_body",
]

PROVIDER_DATA_KEY = "gemini"
"""Under this name a message's `provider_data` has its parts as this wire has them."""

_FINISH_REASONS: dict[FinishReason | None, str] = {
    None: "STOP",
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "pause": "MAX_TOKENS",  # the wire knows no other half answer
    "content_filter": "SAFETY",
}
_STATUS_NAMES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    529: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


# --- errors, models, counts -----------------------------------------------------------------------------------------


def error_body(failure: Failure) -> bytes:
    """The JSON body of an error status."""
    return encode_json(_error(failure))


def _error(failure: Failure) -> dict[str, Any]:
    default = "INTERNAL" if failure.status >= 500 else "INVALID_ARGUMENT"
    status = _STATUS_NAMES.get(failure.status, default)
    return {"error": {"code": failure.status, "message": failure.message, "status": status}}


def _model(name: str) -> dict[str, Any]:
    methods = ["generateContent", "countTokens"]
    return {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": methods}


def models_body(names: Iterable[str]) -> bytes:
    """The list of models."""
    return encode_json({"models": [_model(name) for name in names]})


def model_body(name: str) -> bytes:
    """One model."""
    return encode_json(_model(name))


def count_body(tokens: int) -> bytes:
    """How many tokens a request has."""
    return encode_json({"totalTokens": tokens})


# --- a whole reply --------------------------------------------------------------------------------------------------


def reply_body(response: ChatResponse, meta: ReplyMeta) -> bytes:
    """A whole reply.

    Raises:
        APIResponseError: the answer ended in an error, or the arguments of a call are no JSON object: the wire has no
            form for either.
    """
    parts = (response.provider_data or {}).get(PROVIDER_DATA_KEY)
    if not parts:
        parts = [{"text": response.reasoning, "thought": True}] if response.reasoning else []
        parts += [{"text": response.text}] if response.text else []
        parts += _call_parts(readable_calls(response.tool_calls, response.finish_reason))
    candidate = _candidate(parts, response.finish_reason)
    if response.logprobs:
        candidate["logprobsResult"] = _logprobs(response.logprobs)
    return encode_json(_object(candidate, response.model or meta.model, meta.id, response.usage))


def _candidate(parts: Sequence[dict[str, Any]], reason: FinishReason | None) -> dict[str, Any]:
    """The answer, or the last piece of it."""
    if reason == "error":
        raise APIResponseError("the upstream answer ended in an error")
    return _piece(parts) | {"finishReason": _FINISH_REASONS[reason]}


def _piece(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"content": {"role": "model", "parts": parts}, "index": 0}


def _object(candidate: dict[str, Any], model: str, id_: str, usage: Usage | None) -> dict[str, Any]:
    counts = {} if usage is None else {"usageMetadata": _usage(usage)}
    return {"candidates": [candidate], **counts, "modelVersion": model, "responseId": id_}


def _usage(usage: Usage) -> dict[str, Any]:
    """The counts that are known. Thoughts are counted apart from the answer on this wire."""
    thoughts, output = usage.reasoning_tokens, usage.output_tokens
    counts = {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": output if output is None or thoughts is None else max(output - thoughts, 0),
        "thoughtsTokenCount": thoughts,
        "cachedContentTokenCount": usage.cached_tokens,
        "totalTokenCount": usage.total_tokens,
    }
    return {name: count for name, count in counts.items() if count is not None}


def _call_parts(calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
    return [{"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}} for call in calls]


def _logprobs(entries: Sequence[TokenLogprob]) -> dict[str, Any]:
    return {
        "chosenCandidates": [_logprob(entry) for entry in entries],
        "topCandidates": [{"candidates": [_logprob(other) for other in entry.top]} for entry in entries],
    }


def _logprob(entry: TokenLogprob) -> dict[str, Any]:
    return {"token": entry.token, "logProbability": entry.logprob}


# --- a stream -------------------------------------------------------------------------------------------------------


class ObjectEncoder:
    """A stream of objects, each like a whole reply with what is new: as events, or as the entries of one list.

    Calls come whole on this wire, so they go out when the answer ends; and so does what an upstream of the same wire
    wants back with them, the signatures.
    """

    def __init__(self, meta: ReplyMeta, *, events: bool) -> None:
        self._meta, self._events = meta, events
        self._model = ""
        self._finish_reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._calls = WholeCalls()
        self._signed: list[dict[str, Any]] = []
        self._has_begun = False

    def feed(self, chunk: Chunk) -> bytes:
        self._finish_reason = weightier_reason(self._finish_reason, chunk.finish_reason)
        self._usage = chunk.usage or self._usage
        self._model = self._model or chunk.model or self._meta.model
        if chunk.provider_data is not None and PROVIDER_DATA_KEY in chunk.provider_data:
            self._signed = chunk.provider_data[PROVIDER_DATA_KEY]
        self._calls.add(chunk.tool_calls)
        parts: list[dict[str, Any]] = [{"text": chunk.reasoning, "thought": True}] if chunk.reasoning else []
        if chunk.text:
            parts.append({"text": chunk.text})
        if not parts:
            return b""
        candidate = _piece(parts)
        if chunk.logprobs:
            candidate["logprobsResult"] = _logprobs(chunk.logprobs)
        return self._write(_object(candidate, self._model, self._meta.id, None))

    def finish(self) -> bytes:
        candidate = _candidate(self._last_parts(), self._finish_reason)
        model = self._model or self._meta.model
        data = self._write(_object(candidate, model, self._meta.id, self._usage))
        return data if self._events else data + b"\n]"

    def fail(self, failure: Failure) -> bytes:
        data = self._write(_error(failure))
        return data if self._events else data + b"\n]"

    def _last_parts(self) -> list[dict[str, Any]]:
        """The parts that have not gone out: calls, and parts of the upstream's that have a signature."""
        signed = [part for part in self._signed if "functionCall" in part or "thoughtSignature" in part]
        if signed:  # their text has gone out
            return [part if "functionCall" in part else {**part, "text": ""} for part in signed]
        return _call_parts(self._calls.calls(self._finish_reason))

    def _write(self, payload: dict[str, Any]) -> bytes:
        data = encode_json(payload)
        if self._events:
            return b"data: %b\r\n\r\n" % data
        mark, self._has_begun = (b",\n" if self._has_begun else b"["), True
        return mark + data
