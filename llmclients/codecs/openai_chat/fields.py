"""The members of a chat completion's reply, each of the type that it has to have (PROTOCOLS 8, 9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from llmclients.codecs.json_fields import unexpected_type
from llmclients.errors import OverloadedError
from llmclients.types.response import FinishReason, TokenLogprob, Usage

__all__ = [
    "first_choice",
    "is_logprob",
    "parse_finish_reason",
    "parse_text",
    "parse_usage",
    "read_logprobs",
]


FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""Whatever is not here is an `error`: an unknown ending must not pass for a good one. Its word stays in `raw`."""

_INTERRUPTIONS = frozenset({"insufficient_system_resource"})
"""No finish at all: the server gave the answer up half-way, and may well complete it when it is asked again."""

_INFINITE = float("inf")
_MOST = 2**53
"""A whole number beyond it is no logarithm of anything, and may be beyond what a float holds."""


def _read_content(content: list[Any]) -> tuple[str, str | None]:
    """The text and the reasoning of a content in parts. Parts of other kinds stay in `raw`.

    Raises:
        APIResponseError: a part that is none.
    """
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content:
        if type(part) is not dict:
            raise unexpected_type("content[]", part)
        if part.get("type") == "text":
            texts.append(_text(part.get("text"), "content[].text"))
        elif part.get("type") == "thinking":
            inner = part.get("thinking")
            thoughts.append(_read_content(inner)[0] if type(inner) is list else _text(inner, "content[].thinking"))
    return "".join(texts), "".join(thoughts) or None


def read_logprobs(logprobs: Any) -> list[TokenLogprob]:
    """The tokens of a choice's `logprobs`. Those of a refusal, and the form of older completions, stay in `raw`.

    Raises:
        APIResponseError: a token that is none.
    """
    content = logprobs.get("content") if type(logprobs) is dict else None
    if content is None:
        return []
    if type(content) is not list:
        raise unexpected_type("logprobs.content", content)
    return [_token(entry) for entry in content]


def is_logprob(value: Any) -> TypeGuard[float]:
    """Whether a value can be the logarithm of a probability: a number that a float holds, and no infinity."""
    return abs(value) < _INFINITE if type(value) is float else type(value) is int and abs(value) <= _MOST


def _token(entry: Any, *, is_top: bool = False) -> TokenLogprob:
    where = "logprobs.content[].top_logprobs[]" if is_top else "logprobs.content[]"
    if type(entry) is not dict:
        raise unexpected_type(where, entry)
    logprob, top = entry.get("logprob"), None if is_top else entry.get("top_logprobs")
    if not is_logprob(logprob):
        raise unexpected_type(f"{where}.logprob", logprob)
    if top is not None and type(top) is not list:
        raise unexpected_type(f"{where}.top_logprobs", top)
    return TokenLogprob(
        token=_text(entry.get("token"), f"{where}.token"),
        logprob=float(logprob),
        top=[_token(other, is_top=True) for other in top or ()],
    )


def _text(value: Any, where: str) -> str:
    if type(value) is not str:
        raise unexpected_type(where, value)
    return value


def first_choice(payload: dict[str, Any]) -> dict[str, Any] | None:
    """The choice with index 0. With `n` above 1 the others stay in `raw`."""
    choices = payload.get("choices")
    if not choices:
        if choices is None or type(choices) is list:
            return None
        raise unexpected_type("choices", choices)
    if type(choices) is not list:
        raise unexpected_type("choices", choices)
    for choice in choices:
        if type(choice) is not dict:
            raise unexpected_type("choices[]", choice)
        if not choice.get("index"):
            return choice
    return None


def parse_text(message: dict[str, Any]) -> tuple[str, str | None, bool]:
    """Text, reasoning, and whether the text is a refusal, of a message or delta."""
    text, thoughts = message.get("content") or "", None
    if type(text) is list:
        text, thoughts = _read_content(text)
    if type(text) is not str:
        raise unexpected_type("content", text)
    reasoning = message.get("reasoning_content") or message.get("reasoning") or thoughts
    if reasoning is not None and type(reasoning) is not str:
        raise unexpected_type("reasoning", reasoning)
    refusal = message.get("refusal")
    if refusal:
        if type(refusal) is not str:
            raise unexpected_type("refusal", refusal)
        return text + refusal, reasoning, True
    return text, reasoning, False


def parse_finish_reason(choice: dict[str, Any], *, called: bool, refused: bool) -> FinishReason | None:
    """The finish reason; None where the wire has none yet. Calls and refusals count for more than a `stop`."""
    word = choice.get("finish_reason")
    if word is None or word == "":
        return None
    if type(word) is not str:
        raise unexpected_type("finish_reason", word)
    if word in _INTERRUPTIONS:
        raise OverloadedError(f"the provider gave the answer up half-way: {word}", status_code=529, body=choice)
    reason = FINISH_REASONS.get(word, "error")
    if reason == "stop" and refused:
        return "content_filter"
    if reason == "stop" and called:
        return "tool_calls"
    return reason


def parse_usage(usage: Any) -> Usage | None:
    """The token counts.

    Raises:
        APIResponseError: one is none.
    """
    if usage is None:
        return None
    if type(usage) is not dict:
        raise unexpected_type("usage", usage)
    completion, prompt = usage.get("completion_tokens_details"), usage.get("prompt_tokens_details")
    return Usage.model_construct(
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        total_tokens=_count(usage.get("total_tokens")),
        reasoning_tokens=_count(completion.get("reasoning_tokens")) if isinstance(completion, dict) else None,
        cached_tokens=_count(prompt.get("cached_tokens")) if isinstance(prompt, dict) else None,
    )


def _count(value: Any) -> int | None:
    if value is None or type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise unexpected_type("usage", value)
