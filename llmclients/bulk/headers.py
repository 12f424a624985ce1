"""What a provider's headers tell of its limits: how many requests and tokens a minute, and what is left. Pure."""

# Sources, read November 2026. A limit that is told counts as one a minute unless the headers show another span.
#
# OpenAI, developers.openai.com, guide "Rate limits", section "Rate limits in headers":
#     x-ratelimit-limit-requests: 60          x-ratelimit-limit-tokens: 150000
#     x-ratelimit-remaining-requests: 59      x-ratelimit-remaining-tokens: 149984
#     x-ratelimit-reset-requests: 1s          x-ratelimit-reset-tokens: 6m0s
#   A reset is the time until the limit is back at its initial state, in Go's form: `6m0s`, `12ms`, `2m59.56s`. So of a
#   limit of n of which k are used, `reset * n / k` is the span that it is for.
#
# Groq, console.groq.com/docs/rate-limits: the same names, but `-requests` is *a day's*, `-tokens` a minute's. The span
#   above shows it.
#
# Azure OpenAI, learn.microsoft.com/answers/questions/5625878 and 2156987: the same names; resets are whole seconds;
#   `-1` and `0` come where nothing is known.
#
# Anthropic, docs.anthropic.com/en/api/rate-limits, "Response headers"; recorded in the tests of CRAN's tidyllm:
#     anthropic-ratelimit-requests-limit: 1000            anthropic-ratelimit-tokens-limit: 96000
#     anthropic-ratelimit-requests-remaining: 999         anthropic-ratelimit-tokens-remaining: 96000
#     anthropic-ratelimit-requests-reset: 2025-08-21T12:40:59Z       (RFC 3339: when it is full again)
#   `-input-tokens-` and `-output-tokens-` beside them are the two halves of `-tokens-`, which is the most restrictive.
#
# Mistral, as recorded by programs that log it (its pages do not say): x-ratelimit-limit-req-minute: 50,
#   x-ratelimit-remaining-req-minute: 49, and the same with `tokens-minute`. A limit of 0: the plan lacks the model.
#
# Cerebras, inference-docs.cerebras.ai/support/rate-limits: x-ratelimit-limit-tokens-minute, -remaining-tokens-minute,
#   -reset-tokens-minute: 30.2 (seconds), and the same with `requests-minute`; `requests-day` is a day's.

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

__all__ = ["Allowance", "allowances"]

_LONGEST_SPAN = 600.0
"""Seconds. What is limited over more than this, such as a day, is no pace to keep to."""

_NAMES = {
    "requests": (
        "x-ratelimit-{}-requests",
        "anthropic-ratelimit-requests-{}",
        "x-ratelimit-{}-req-minute",
        "x-ratelimit-{}-requests-minute",
    ),
    "tokens": ("x-ratelimit-{}-tokens", "anthropic-ratelimit-tokens-{}", "x-ratelimit-{}-tokens-minute"),
}
_HEADERS = {
    kind: [tuple(pattern.format(what) for what in ("limit", "remaining", "reset")) for pattern in patterns]
    for kind, patterns in _NAMES.items()
}

_DIGITS = 15
_NUMBER = re.compile(rf"\d{{1,{_DIGITS}}}(\.\d{{1,9}})?", re.ASCII)
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|us|µs|ns|h|m|s))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)", re.ASCII)
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


_FILLING = ("x-ratelimit-limit-requests", "x-ratelimit-limit-tokens")
"""Where a reset is the time until the limit is full again, to the millisecond, of however little is used."""


class Allowance(NamedTuple):
    """A limit a minute, and what is left of it, if the server tells."""

    limit: float
    remaining: float | None


def allowances(headers: Mapping[str, str], unix_time: float) -> dict[str, Allowance]:
    """What the headers tell of `requests` and of `tokens`. What is malformed, or says nothing, is left out.

    Args:
        headers: names in lower case.
        unix_time: now, for resets that are dates.
    """
    found = {}
    for kind, names in _HEADERS.items():
        for limit_name, remaining_name, reset_name in names:
            text = headers.get(limit_name)
            if text is None:
                continue
            limit = _number(text)
            if not limit:
                continue
            remaining = _number(headers.get(remaining_name, ""))
            if remaining is not None and remaining < limit:
                reset = _seconds(headers.get(reset_name, ""), unix_time)
                if reset is not None and _is_too_long(reset, limit, remaining, limit_name):
                    continue
            found[kind] = Allowance(limit, remaining)
            break
    return found


def _is_too_long(reset: float, limit: float, remaining: float, name: str) -> bool:
    """Whether it is a limit of more than minutes."""
    span = reset * limit / (limit - remaining) if name in _FILLING else reset
    return span > _LONGEST_SPAN


def _number(text: str) -> float | None:
    if text.isdecimal() and len(text) <= _DIGITS:  # as nearly all are
        return float(text)
    text = text.strip()
    return float(text) if _NUMBER.fullmatch(text) else None


def _seconds(text: str, unix_time: float) -> float | None:
    """A reset in seconds from now: a number, a duration in Go's form, or a date."""
    seconds, date = _reset(text)
    return seconds if date is None else max(date - unix_time, 0.0)


@lru_cache(maxsize=256)  # answers of the same second have the same date, and a full limit the same duration
def _reset(text: str) -> tuple[float | None, float | None]:
    """A reset as seconds from now, or as seconds of Unix time; neither where it is no such thing."""
    text = text.strip()
    if (number := _number(text)) is not None:
        return number, None
    if _DURATION.fullmatch(text):
        return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text)), None
    try:
        date = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None, None
    return None, date.timestamp() if date.tzinfo is not None else None
