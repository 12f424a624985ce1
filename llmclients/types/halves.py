"""Halves of characters: the surrogates of UTF-16, one without the other, as software that counts in them leaves them.

`codecs/json_text.py` says where they come from.
"""

from __future__ import annotations

import re
from typing import Any

from llmclients.types.response import Chunk, ToolCallDelta

__all__ = ["Halves", "cleaned", "has_halves", "is_torn", "joined"]

_HALF = "[\ud800-\udfff]"
_PAIR = "[\ud800-\udbff][\udc00-\udfff]"
_ALONE = "\ufffd"


def has_halves(text: str) -> bool:
    """Whether there is half a character in it."""
    # Halves are not printable: the first two tests are quick, and end it for nearly every text.
    if text.isascii() or text.isprintable():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def joined(text: str, *, keep_edges: bool = False) -> str:
    """The text with halves that stand together joined, and the others as U+FFFD.

    Args:
        text: the text.
        keep_edges: leave a second half at its very beginning, and a first half at its very end.
    """
    if not has_halves(text):
        return text
    text = re.sub(_PAIR, lambda pair: pair[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), text)
    start = text[:1] if keep_edges and "\udc00" <= text[:1] <= "\udfff" else ""
    end = text[-1:] if keep_edges and "\ud800" <= text[-1:] <= "\udbff" else ""
    return start + re.sub(_HALF, _ALONE, text[len(start) : len(text) - len(end)]) + end


def is_torn(chunk: Chunk) -> bool:
    """Whether there is half a character in what a chunk adds to an answer."""
    return (
        has_halves(chunk.text)
        or (chunk.reasoning is not None and has_halves(chunk.reasoning))
        or any(has_halves(call.arguments) for call in chunk.tool_calls)
        or (chunk.provider_data is not None and cleaned(chunk.provider_data) != chunk.provider_data)
    )


class Halves:
    """Joins the halves of characters that come in different chunks of one answer.

    Of each text that goes on from chunk to chunk (the answer, the reasoning, the arguments of each call), a first half
    at its end is held back until more of that text comes, or the answer ends.
    """

    def __init__(self) -> None:
        self._held: dict[str | int, str] = {}  # "text", "reasoning", or the index of a call

    def mend(self, chunk: Chunk) -> Chunk:
        """The chunk without halves, and with what was held back before. One with a finish reason holds nothing back."""
        ends = chunk.finish_reason is not None
        calls = [
            call.model_copy(update={"arguments": self._go_on(call.index, call.arguments, ends=ends)})
            for call in chunk.tool_calls
        ]
        changes: dict[str, Any] = {
            "text": self._go_on("text", chunk.text, ends=ends),
            "reasoning": self._go_on("reasoning", chunk.reasoning or "", ends=ends) or None,
            "tool_calls": [*calls, *self._rest_of_calls()] if ends else calls,
            "raw": cleaned(chunk.raw),
            "provider_data": cleaned(chunk.provider_data),
        }
        return chunk.model_copy(update=changes)

    def rest(self) -> Chunk | None:
        """The answer has ended: what was held back, if anything was."""
        if not self._held:
            return None
        text, reasoning = self._go_on("text", "", ends=True), self._go_on("reasoning", "", ends=True)
        return Chunk(text=text, reasoning=reasoning or None, tool_calls=self._rest_of_calls())

    def _go_on(self, place: str | int, text: str, *, ends: bool) -> str:
        if not text and not ends:
            return ""
        text = joined(self._held.pop(place, "") + text, keep_edges=not ends)
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._held[place] = text[:-1], text[-1]
        return joined(text)

    def _rest_of_calls(self) -> list[ToolCallDelta]:
        places = [place for place in self._held if isinstance(place, int)]
        return [ToolCallDelta(index=place, arguments=self._go_on(place, "", ends=True)) for place in places]


def cleaned(value: Any) -> Any:
    """A JSON value without a half in its texts."""
    if isinstance(value, str):
        return joined(value)
    if isinstance(value, dict):
        return {name: cleaned(member) for name, member in value.items()}
    if isinstance(value, list):
        return [cleaned(member) for member in value]
    return value
