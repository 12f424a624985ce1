"""`RawUsage`: the tokens that an answer took which passes on as it comes. What the provider says is found by its name.

An answer in JSON has its counts at its end or its beginning, and a stream in its last events, if it was asked for them.
In a text, the quotes of such a member would have backslashes. Where there are none, they are estimated: four bytes of
the request are a token, and so is each event of a stream, or four bytes of an answer in one piece.
"""

from __future__ import annotations

import json
import re

from llmclients.types.usage import Usage

__all__ = ["RawUsage"]

_USAGE = re.compile(rb'"usage"\s*:\s*(\{(?:[^{}]|\{[^{}]*\})*\})')
_SEARCHED = 4096  # bytes, at the beginning and at the end


class RawUsage:
    """The counts of one answer, fed with its pieces.

    Args:
        is_text: whether what is answered is made of tokens, unlike embeddings.
    """

    def __init__(self, *, is_text: bool) -> None:
        self._is_text = is_text
        self._head = self._tail = b""
        self._bytes = self._events = 0

    def feed(self, piece: bytes) -> None:
        """Another piece of the answer."""
        self._bytes += len(piece)
        self._events += piece.count(b"data:")
        if len(self._head) < _SEARCHED:
            self._head += piece[:_SEARCHED]
        self._tail = (self._tail + piece[-_SEARCHED:])[-_SEARCHED:]

    def tokens(self, request_bytes: int) -> Usage | None:
        """What the provider has counted, or else an estimate; None if nothing was answered."""
        for found in [*reversed(_USAGE.findall(self._tail)), *_USAGE.findall(self._head)]:
            usage = _usage(found)
            if usage is not None:
                return usage
        if not self._bytes:
            return None
        output = self._events or self._bytes // 4 if self._is_text else 0
        return Usage(input_tokens=request_bytes // 4, output_tokens=output)


def _usage(text: bytes) -> Usage | None:
    try:
        counts = json.loads(text)
    except ValueError:
        return None
    numbers = [counts.get(f"{kind}_tokens") for kind in ("prompt", "completion")]
    input_tokens, output_tokens = (number if type(number) is int and number >= 0 else None for number in numbers)
    if input_tokens is None and output_tokens is None:
        return None
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens)
