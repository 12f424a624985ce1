"""Ollama's replies, streams and errors from the server's side (docs/protocols/ollama.md, "Replies and streams")."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from llmclients.errors import APIResponseError
from llmclients.relay.codecs.base import ReplyMeta
from llmclients.relay.codecs.json_reply import encode_json
from llmclients.relay.codecs.openai_chat_reply import token_bytes
from llmclients.relay.codecs.whole_calls import WholeCalls, readable_calls
from llmclients.relay.errors import Failure
from llmclients.types.choice import weightier_reason
from llmclients.types.messages import ToolCall
from llmclients.types.response import ChatResponse, Chunk, FinishReason, TokenLogprob, Usage

__all__ = [
    "CHAT",
    "GENERATE",
    "AnswerLayout",
    "LineEncoder",
    "error_body",
    "loaded_body",
    "loaded_models_body",
    "model_body",
    "models_body",
    "reply_body",
    "version_body",
]

_VERSION = "0.12.11"
"""The version of Ollama whose wire this is: its programs look at it. The first with log probabilities."""

_DONE_REASONS: dict[FinishReason | None, str] = {
    None: "stop",
    "stop": "stop",
    "tool_calls": "stop",
    "length": "length",
    "pause": "length",  # the wire knows no other half answer
    "content_filter": "content_filter",  # no word of Ollama's: an ending that is not good must not look like one
}
_NOBODY = "1970-01-01T00:00:00Z"
"""When a model was changed, which is not known."""
_NEVER = "9999-12-31T23:59:59Z"


class AnswerLayout(NamedTuple):
    """Where a reply has the answer.

    Attributes:
        is_chat: in a message; else beside the rest.
    """

    is_chat: bool

    def answer(self, text: str, reasoning: str | None, calls: Sequence[ToolCall] = ()) -> dict[str, Any]:
        """The members of a reply, or of a piece of one, that have the answer."""
        thinking = {"thinking": reasoning} if reasoning else {}
        if not self.is_chat:
            return {"response": text, **thinking}
        message: dict[str, Any] = {"role": "assistant", "content": text, **thinking}
        if calls:
            message["tool_calls"] = [_call(index, call) for index, call in enumerate(calls)]
        return {"message": message}


CHAT = AnswerLayout(is_chat=True)
GENERATE = AnswerLayout(is_chat=False)


def _call(index: int, call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.arguments}}


# --- errors and models ----------------------------------------------------------------------------------------------


def error_body(failure: Failure) -> bytes:
    """The JSON body of an error status, and a stream's line in place of a piece."""
    return encode_json({"error": failure.message})


def _model(name: str) -> dict[str, Any]:
    return {"name": name, "model": name, "modified_at": _NOBODY, "size": 0, "digest": "", "details": _details()}


def _details() -> dict[str, Any]:
    """What a model is made of: not known here, and the wire's programs want the members."""
    names = ("parent_model", "format", "family", "parameter_size", "quantization_level")
    return {**dict.fromkeys(names, ""), "families": []}


def models_body(names: Iterable[str]) -> bytes:
    """The list of models."""
    return encode_json({"models": [_model(name) for name in names]})


def loaded_models_body(names: Iterable[str]) -> bytes:
    """The list of models, all of them as loaded for good."""
    loaded = {"size_vram": 0, "expires_at": _NEVER}
    return encode_json({"models": [{**_model(name), **loaded} for name in names]})


def model_body(name: str, abilities: Iterable[str]) -> bytes:
    """A description of one model, of which only the name is known, and what its provider's wire carries."""
    empty = {"modelfile": "", "parameters": "", "template": "", "license": ""}
    return encode_json(
        {
            **empty,
            "modified_at": _NOBODY,
            "details": _details(),
            "model_info": {"general.basename": name},
            "capabilities": ["completion", *abilities],
        }
    )


def version_body() -> bytes:
    """The version whose wire this is."""
    return encode_json({"version": _VERSION})


# --- a whole reply --------------------------------------------------------------------------------------------------


def _head(model: str, created: int) -> dict[str, Any]:
    return {"model": model, "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created))}


def _end(reason: FinishReason | None, usage: Usage | None) -> dict[str, Any]:
    if reason == "error":
        raise APIResponseError("the upstream answer ended in an error")
    counts = {} if usage is None else {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}
    known = {name: count for name, count in counts.items() if count is not None}
    return {"done": True, "done_reason": _DONE_REASONS[reason], **known}


def reply_body(response: ChatResponse, meta: ReplyMeta, layout: AnswerLayout) -> bytes:
    """A whole reply.

    Raises:
        APIResponseError: the answer ended in an error, or the arguments of a call are no JSON object: the wire has no
            form for either.
    """
    calls = readable_calls(response.tool_calls, response.finish_reason)
    answer = layout.answer(response.text, response.reasoning, calls)
    payload = {**_head(response.model or meta.model, meta.created), **answer}
    if response.logprobs:
        payload["logprobs"] = _logprobs(response.logprobs)
    return encode_json(payload | _end(response.finish_reason, response.usage))


def loaded_body(layout: AnswerLayout, model: str, *, unloaded: bool) -> bytes:
    """The reply to a request without a message, which only loads a model, or unloads it."""
    end = {"done": True, "done_reason": "unload" if unloaded else "load"}
    return encode_json({**_head(model, 0), **layout.answer("", None), **end})


def _logprobs(entries: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    return [_logprob(entry) | {"top_logprobs": [_logprob(other) for other in entry.top]} for entry in entries]


def _logprob(entry: TokenLogprob) -> dict[str, Any]:
    return {"token": entry.token, "logprob": entry.logprob, "bytes": token_bytes(entry)}


# --- a stream -------------------------------------------------------------------------------------------------------


class LineEncoder:
    """A stream of lines, each an object. Calls come whole on this wire, so they go out when the answer ends."""

    def __init__(self, meta: ReplyMeta, layout: AnswerLayout) -> None:
        self._meta, self._layout = meta, layout
        self._model = ""
        self._finish_reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._calls = WholeCalls()

    def feed(self, chunk: Chunk) -> bytes:
        self._finish_reason = weightier_reason(self._finish_reason, chunk.finish_reason)
        self._usage = chunk.usage or self._usage
        self._model = self._model or chunk.model or self._meta.model
        self._calls.add(chunk.tool_calls)
        if not (chunk.text or chunk.reasoning):
            return b""
        more = {"logprobs": _logprobs(chunk.logprobs)} if chunk.logprobs else {}
        return self._line({**self._layout.answer(chunk.text, chunk.reasoning), **more, "done": False})

    def finish(self) -> bytes:
        end = _end(self._finish_reason, self._usage)
        calls = self._calls.calls(self._finish_reason)
        line = self._line({**self._layout.answer("", None, calls), "done": False}) if calls else b""
        return line + self._line({**self._layout.answer("", None), **end})

    def fail(self, failure: Failure) -> bytes:
        return error_body(failure) + b"\n"

    def _line(self, payload: dict[str, Any]) -> bytes:
        return encode_json({**_head(self._model or self._meta.model, self._meta.created), **payload}) + b"\n"
