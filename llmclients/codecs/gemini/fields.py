"""Typed access to the members of Gemini's objects: candidates, finish reasons, token counts, log probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmclients.codecs.json_fields import get_int, get_list, get_str, parse_logprob, unexpected_type
from llmclients.types.response import FinishReason, TokenLogprob, Usage, make_usage

__all__ = [
    "FINISH_REASONS",
    "first_candidate",
    "parse_block_reason",
    "parse_finish_reason",
    "parse_logprobs",
    "parse_usage",
]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
"""Whatever is not here is an `error`: an unknown ending must not pass for a good one. The value itself is in `raw`."""

_COUNTS = (
    *("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"),
    *("totalTokenCount", "cachedContentTokenCount"),
)
_COUNT_TYPES = frozenset({int, type(None)})


def first_candidate(payload: dict[str, Any]) -> dict[str, Any] | None:
    """The candidate with index 0. The others, where several were asked for, stay in `raw`."""
    candidates = payload.get("candidates")
    if candidates is None:
        return None
    if type(candidates) is not list:
        raise unexpected_type("candidates", candidates)
    for candidate in candidates:
        if type(candidate) is not dict:
            raise unexpected_type("candidates[]", candidate)
        if not candidate.get("index"):
            return candidate
    return None


def parse_finish_reason(value: Any, *, called: bool) -> FinishReason:
    """The finish reason. The wire has none for calls: `called` tells whether there were any."""
    if type(value) is not str:
        raise unexpected_type("finishReason", value)
    reason = FINISH_REASONS.get(value, "error")
    return "tool_calls" if reason == "stop" and called else reason


def parse_block_reason(feedback: Any) -> FinishReason | None:
    """Why a prompt was not answered at all, if it was blocked."""
    if type(feedback) is not dict:
        raise unexpected_type("promptFeedback", feedback)
    return "content_filter" if feedback.get("blockReason") else None


def parse_usage(usage: Any) -> Usage:
    """The counts. Every event of a stream has them, so they are set without validating them again."""
    if type(usage) is not dict:
        raise unexpected_type("usageMetadata", usage)
    counts = [*map(usage.get, _COUNTS)]
    if not _COUNT_TYPES.issuperset(map(type, counts)):
        counts = [get_int(usage, name) for name in _COUNTS]
    prompt, results, answer, thoughts, total, cached = counts
    return make_usage(
        prompt if results is None else results + (prompt or 0),
        answer if thoughts is None else thoughts + (answer or 0),
        total,
        thoughts,
        cached,
    )


def parse_logprobs(result: Any) -> list[TokenLogprob]:
    """The chosen tokens, each with the likeliest in its place."""
    if type(result) is not dict:
        raise unexpected_type("logprobsResult", result)
    chosen = [_token(entry) for entry in get_list(result, "chosenCandidates")]
    for token, place in zip(chosen, get_list(result, "topCandidates"), strict=False):
        if type(place) is not dict:
            raise unexpected_type("topCandidates[]", place)
        token.top = [_token(entry) for entry in get_list(place, "candidates")]
    return chosen


def _token(entry: Any) -> TokenLogprob:
    """A token and its log probability. What has its default, an empty text or 0, is not sent."""
    if type(entry) is not dict:
        raise unexpected_type("a token", entry)
    logprob = parse_logprob(entry.get("logProbability", 0.0), "logprobsResult[].logProbability")
    return TokenLogprob(token=get_str(entry, "token"), logprob=logprob)
