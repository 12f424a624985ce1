"""Typed access to the members of Gemini's objects: candidates, finish reasons, token counts, log probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from llmclients.codecs.json_fields import get_int, get_list, get_str, optional, parse_logprob, unexpected_type
from llmclients.types.limits import check_choice_count
from llmclients.types.response import FinishReason, OtherPart, TokenLogprob, Usage, make_usage

__all__ = [
    "FINISH_REASONS",
    "first_candidate",
    "other_candidates",
    "other_parts",
    "parse_block_reason",
    "parse_finish_reason",
    "parse_logprobs",
    "parse_usage",
]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "STOP": "stop",
    "FUNCTION_CALL": "tool_calls",  # this and the next are not Google's own
    "TOOL_CALL": "tool_calls",
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

_NO_CONTENT = frozenset(
    {
        *("text", "thought", "thoughtSignature", "thought_signature", "functionCall", "functionResponse"),
        *("executableCode", "codeExecutionResult", "toolCall", "toolResponse", "mediaResolution", "videoMetadata"),
        *("partMetadata", "mediaProcessing", "audioTranscription", "speechMetadata", "audioMetadata"),
        *("documentMetadata", "spreadsheetMetadata"),
    }
)
"""The members of a part that are read, and those that only describe it, or tell how the answer came about."""

_COUNTS = (
    *("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"),
    *("totalTokenCount", "cachedContentTokenCount"),
)
_MANY = 2**53
"""No answer has so many tokens. The bits of all counts together are as many only if one of them is, or is negative."""
_COUNT_TYPES = frozenset({int, type(None)})


def first_candidate(payload: dict[str, Any], *, whole: bool = False) -> dict[str, Any] | None:
    """The candidate with index 0, or without one. `other_candidates` has the rest.

    Args:
        payload: the reply, or an event.
        whole: whether it is a reply: then the first one is it, if none has this index.
    """
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
    return candidates[0] if whole and candidates else None


def other_candidates(payload: dict[str, Any], first: dict[str, Any] | None) -> dict[int, dict[str, Any]]:
    """The candidates besides the first, by their index: the one that they have, or else their place in the list.

    Raises:
        APIResponseError: one of them is no object, or there are too many.
    """
    found: dict[int, dict[str, Any]] = {}
    candidates = payload.get("candidates") or ()
    check_choice_count(len(candidates))
    for place, candidate in enumerate(candidates):
        if type(candidate) is not dict:
            raise unexpected_type("candidates[]", candidate)
        if candidate is first:
            continue
        index = candidate.get("index")
        if type(index) is not int or index < 1 or index in found:
            index = next(free for free in count(max(place, 1)) if free not in found)
        found[index] = candidate
    return found


def other_parts(parts: list[dict[str, Any]]) -> list[OtherPart]:
    """The parts that are neither text nor calls, nor tell how the answer came about: images, sound, files."""
    return [OtherPart(kind=kind, raw=part) for part in parts if (kind := _kind_of_part(part))]


def _kind_of_part(part: dict[str, Any]) -> str:
    """What a part is that is no text: its media type, or the name of its one member; "" for any other part."""
    if part.get("text") is not None or part.get("thought"):
        return ""
    for name, value in part.items():
        if name in ("inlineData", "fileData", "inline_data", "file_data"):
            media_type = value.get("mimeType") or value.get("mime_type") if type(value) is dict else None
            return media_type if type(media_type) is str and media_type else "a file"
    return next((name for name in part if name not in _NO_CONTENT), "")


def parse_finish_reason(value: Any, *, called: bool) -> FinishReason:
    """The finish reason. The wire has none for calls: `called` tells whether there were any."""
    if type(value) is not str:
        raise unexpected_type("finishReason", value)
    reason = FINISH_REASONS.get(value.upper(), "error")
    if called:
        return "tool_calls" if reason == "stop" else reason
    return "error" if reason == "tool_calls" else reason


def parse_block_reason(feedback: Any) -> FinishReason | None:
    """Why a prompt was not answered at all, if it was blocked."""
    if type(feedback) is not dict:
        raise unexpected_type("promptFeedback", feedback)
    return "content_filter" if feedback.get("blockReason") else None


def parse_usage(usage: Any) -> Usage | None:
    """The counts. Every event of a stream has them, so they are set without validating them again."""
    if type(usage) is not dict:
        return None
    counts = [*map(usage.get, _COUNTS)]
    prompt, results, answer, thoughts, total, cached = counts
    if (
        not _COUNT_TYPES.issuperset(map(type, counts))
        or not 0
        <= (prompt or 0) | (results or 0) | (answer or 0) | (thoughts or 0) | (total or 0) | (cached or 0)
        < _MANY
    ):
        prompt, results, answer, thoughts, total, cached = (get_int(usage, name) for name in _COUNTS)
    return make_usage(
        prompt if results is None else results + (prompt or 0),
        answer if thoughts is None else thoughts + (answer or 0),
        total,
        thoughts,
        cached,
    )


def parse_logprobs(result: Any) -> list[TokenLogprob]:
    """The chosen tokens, each with the likeliest in its place; none where one is not as it should be."""
    return optional(_tokens, result) or []


def _tokens(result: Any) -> list[TokenLogprob]:
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
