"""Parses the members of a Responses API reply, each checked to be of its type.

The wire: docs/protocols/openai-responses.md, "OpenAI Responses".
"""

from __future__ import annotations

from typing import Any

from llmclients.codecs.json_fields import get_int, get_list, get_object, optional, parse_logprob, unexpected_type
from llmclients.types.response import TokenLogprob, Usage, make_usage

__all__ = ["get_dict", "parse_logprobs", "parse_usage"]


def get_dict(payload: dict[str, Any], name: str) -> dict[str, Any]:
    """An object that has to be there."""
    value = payload.get(name)
    if type(value) is not dict:
        raise unexpected_type(name, value)
    return value


def parse_usage(usage: Any) -> Usage | None:
    """The token counts; None where there are none."""
    if type(usage) is not dict:
        return None
    input, output = get_object(usage, "input_tokens_details"), get_object(usage, "output_tokens_details")
    return make_usage(
        input_tokens=get_int(usage, "input_tokens"),
        output_tokens=get_int(usage, "output_tokens"),
        total_tokens=get_int(usage, "total_tokens"),
        reasoning_tokens=get_int(output, "reasoning_tokens"),
        cached_tokens=get_int(input, "cached_tokens"),
        cache_write_tokens=get_int(input, "cache_write_tokens"),
    )


def parse_logprobs(entries: Any) -> list[TokenLogprob]:
    """The tokens of a text, with the likeliest in the place of each; none of them where one is not as it should be."""
    return optional(_tokens, entries) or []


def _tokens(entries: Any) -> list[TokenLogprob]:
    if type(entries) is not list:
        raise unexpected_type("logprobs", entries)
    return [_token(entry, with_top=True) for entry in entries]


def _token(entry: Any, *, with_top: bool = False) -> TokenLogprob:
    if type(entry) is not dict:
        raise unexpected_type("logprobs[]", entry)
    token = entry.get("token")
    if type(token) is not str:
        raise unexpected_type("logprobs[].token", token)
    return TokenLogprob(
        token=token,
        logprob=parse_logprob(entry.get("logprob"), "logprobs[].logprob"),
        top=[_token(other) for other in get_list(entry, "top_logprobs")] if with_top else [],
    )
