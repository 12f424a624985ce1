"""Log probabilities in the form of OpenAI's older completions, which Together still has in chat completions.

The wire: docs/protocols/openai-dialects.md, "Together".
"""

from __future__ import annotations

from typing import Any

from llmclients.types.response import TokenLogprob

__all__ = ["parse_old_logprobs", "parse_one_logprob"]

_LEAST = -1e308
"""JSON has `-1e400`, and integers of 400 digits."""


def parse_old_logprobs(logprobs: dict[str, Any]) -> list[TokenLogprob]:
    """The tokens of a whole reply: lists side by side of `tokens`, `token_logprobs`, and maybe `top_logprobs`.

    Lists that do not fit together, or of other types, stay in `raw`: nothing is told rather than something wrong.
    """
    tokens, values, tops = (logprobs.get(name) for name in ("tokens", "token_logprobs", "top_logprobs"))
    if type(tokens) is not list or type(values) is not list or len(tokens) != len(values):
        return []
    if type(tops) is dict and len(tokens) == 1:
        tops = [tops]
    if type(tops) is not list or len(tops) != len(tokens):
        tops = [None] * len(tokens)
    found = [_token(*entry) for entry in zip(tokens, values, tops, strict=True)]
    return [token for token in found if token is not None] if all(found) else []


def parse_one_logprob(text: str, choice: dict[str, Any]) -> list[TokenLogprob]:
    """The token of a chunk whose `logprobs` is the number itself: its text is the token."""
    token = _token(text, choice.get("logprobs"), choice.get("top_logprobs")) if text else None
    return [] if token is None else [token]


def _token(text: Any, value: Any, top: Any) -> TokenLogprob | None:
    if type(text) is not str or not _is_logprob(value):
        return None
    others = top.items() if type(top) is dict else ()
    return TokenLogprob(
        token=text,
        logprob=float(value),
        top=[TokenLogprob(token=other, logprob=float(number)) for other, number in others if _is_logprob(number)],
    )


def _is_logprob(value: Any) -> bool:
    """Whether this is the logarithm of a probability: a finite number, and none above zero."""
    return (type(value) is float or type(value) is int) and _LEAST <= value <= 0
