"""Members of a chat completion that few servers send: content in parts, log probabilities (PROTOCOLS 8, 9.7)."""

from __future__ import annotations

from typing import Any, TypeGuard

from llmclients.errors import APIResponseError
from llmclients.models import TokenLogprob

__all__ = ["is_logprob", "read_content", "read_logprobs", "wrong"]


_INFINITE = float("inf")
_MOST = 2**53
"""A whole number beyond it is no logarithm of anything, and may be beyond what a float holds."""


def read_content(content: list[Any]) -> tuple[str, str | None]:
    """The text and the reasoning of a content in parts. Parts of other kinds stay in `raw`.

    Raises:
        APIResponseError: a part that is none.
    """
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content:
        if type(part) is not dict:
            raise wrong("content[]", part)
        if part.get("type") == "text":
            texts.append(_text(part.get("text"), "content[].text"))
        elif part.get("type") == "thinking":
            inner = part.get("thinking")
            thoughts.append(read_content(inner)[0] if type(inner) is list else _text(inner, "content[].thinking"))
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
        raise wrong("logprobs.content", content)
    return [_token(entry) for entry in content]


def is_logprob(value: Any) -> TypeGuard[float]:
    """Whether a value can be the logarithm of a probability: a number that a float holds, and no infinity."""
    return abs(value) < _INFINITE if type(value) is float else type(value) is int and abs(value) <= _MOST


def _token(entry: Any, *, is_top: bool = False) -> TokenLogprob:
    where = "logprobs.content[].top_logprobs[]" if is_top else "logprobs.content[]"
    if type(entry) is not dict:
        raise wrong(where, entry)
    logprob, top = entry.get("logprob"), None if is_top else entry.get("top_logprobs")
    if not is_logprob(logprob):
        raise wrong(f"{where}.logprob", logprob)
    if top is not None and type(top) is not list:
        raise wrong(f"{where}.top_logprobs", top)
    return TokenLogprob(
        token=_text(entry.get("token"), f"{where}.token"),
        logprob=float(logprob),
        top=[_token(other, is_top=True) for other in top or ()],
    )


def _text(value: Any, where: str) -> str:
    if type(value) is not str:
        raise wrong(where, value)
    return value


def wrong(where: str, value: Any) -> APIResponseError:
    """The error for a member that has another type than the protocol says."""
    return APIResponseError(f"{where} is {type(value).__name__} in the provider's reply: not what the protocol says")
