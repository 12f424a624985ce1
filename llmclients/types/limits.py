"""Limits on what a reply may cost to read: the values in its JSON, its answers, and the tool calls in an answer."""

# Theory of operation
#
# `max_response_bytes` bounds the bytes of a reply, not what they turn into: `{}` is two bytes of JSON, 64 bytes as a
# Python dict, and 6 KB of gzip hold two million of them. So JSON of more than a megabyte is looked at before it is
# parsed: each value of an array or object but the first has a comma before it, and each container opens with a bracket.
# Counting those three bytes costs little beside parsing. The ones inside of strings count as well; no text that a model
# writes has two million of them.
#
# The largest reply that is not made to do harm has log probabilities: with twenty candidates for each token, about 150
# such bytes a token. The limit allows 13,000 tokens of them.

from __future__ import annotations

from llmclients.errors import APIResponseError, ResponseTooLargeError

__all__ = [
    "MAX_CHOICES",
    "MAX_DECODED_CALLS",
    "MAX_JSON_VALUES",
    "MAX_TOOL_CALLS",
    "MAX_UNCHECKED_BYTES",
    "check_call_count",
    "check_choice_count",
    "check_json_values",
    "count_separators",
    "has_too_many_values",
]

MAX_JSON_VALUES = 2_000_000
MAX_TOOL_CALLS = 1_000
"""In an answer of any codec. The accumulator holds to it."""

MAX_DECODED_CALLS = 20_000
"""In what a decoder makes of an answer: a whole reply is one chunk, and nobody else can look before it is made."""

MAX_CHOICES = 1_000
"""In a reply. OpenAI's largest `n` is 128."""

MAX_UNCHECKED_BYTES = 1_000_000
"""Bytes: in so short a JSON, values cannot be too many to parse."""


def count_separators(json_text: bytes) -> int:
    """The bytes in JSON that each stand before a value or open a container, those in its texts included."""
    return json_text.count(b",") + json_text.count(b"{") + json_text.count(b"[")


def has_too_many_values(data: bytes | str) -> bool:
    """Whether JSON would turn into more than `MAX_JSON_VALUES` values and containers."""
    if len(data) <= MAX_UNCHECKED_BYTES:
        return False
    if isinstance(data, str):
        data = data.encode("utf-8", "replace")
    return count_separators(data) > MAX_JSON_VALUES


def check_json_values(data: bytes, what: str) -> None:
    """Reject JSON that would cost too much to parse.

    Args:
        data: the JSON.
        what: what it is, for the error.

    Raises:
        ResponseTooLargeError: it has too many values.
    """
    if has_too_many_values(data):
        raise ResponseTooLargeError(f"the {what} is JSON of more than {MAX_JSON_VALUES:,} values")


def check_call_count(count: int, limit: int = MAX_DECODED_CALLS) -> None:
    """Reject an answer that asks for too many tool calls.

    Raises:
        APIResponseError: it has more than `limit`.
    """
    if count > limit:
        raise APIResponseError(f"the answer has more than {limit:,} tool calls")


def check_choice_count(count: int) -> None:
    """Reject a reply with too many answers.

    Raises:
        APIResponseError: it has more than `MAX_CHOICES`.
    """
    if count > MAX_CHOICES:
        raise APIResponseError(f"the reply has more than {MAX_CHOICES:,} choices")
