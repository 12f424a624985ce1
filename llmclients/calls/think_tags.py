"""`ThinkTags`: takes the reasoning between `<think>` and `</think>` out of the front of an answer's text."""

# Theory of operation
#
# Models that reason write `<think>`, what they think, `</think>`, and their answer. Many servers leave it so in the
# text. Only the very front counts, white space aside: an answer about such tags stays as it is.
#
# The text passes through four states, and may be cut anywhere on its way:
#
#     FRONT    nothing but white space and maybe the beginning of `<think>` has come: it is held back
#     INSIDE   behind `<think>`: reasoning. Held back is what may be the beginning of `</think>`, and white space before
#     BEHIND   behind `</think>`: white space is dropped
#     ANSWER   text, as it comes. An answer without tags is here with its first letter
#
# Some templates put `<think>` into the prompt, and only `</think>` comes. Until then nobody can know whether the text
# is reasoning: all of it is held back in FRONT. Answers without reasoning then come at once, at their end. So this is
# only done when it is asked for (`omitted`).
#
# No text is looked at twice, but for the few characters that may be half a tag.

from __future__ import annotations

from llmclients.types.response import Chunk

__all__ = ["ThinkTags"]

_OPEN, _CLOSE = "<think>", "</think>"
_FRONT, _INSIDE, _BEHIND, _ANSWER = range(4)
_MAX_FRONT = 1024
"""The most white space before `<think>`."""
_MAX_SPACE = 64
"""The most white space that is held back, to be dropped if `</think>` follows."""


class ThinkTags:
    """Reads the chunks of one answer, and returns each with its text divided.

    Args:
        omitted: whether the opening tag may be missing.
    """

    def __init__(self, *, omitted: bool = False) -> None:
        self._omitted = omitted
        self._state = _FRONT
        self._held = ""  # what is looked at again with the next text
        self._before: list[str] = []  # in FRONT, the text before `_held`
        self._begun = False  # whether reasoning has been handed out

    def read(self, chunk: Chunk, *, last: bool = False) -> Chunk:
        """The chunk, with the reasoning of its text moved to `reasoning`.

        Args:
            chunk: the next one.
            last: whether no other comes, so that nothing can be held back.
        """
        ends = last or chunk.finish_reason is not None
        if self._state == _ANSWER or not (ends or chunk.text or chunk.reasoning or chunk.tool_calls):
            return chunk
        # A server that has a place for reasoning needs no tags; and calls come behind the reasoning.
        is_decided = ends or bool(chunk.reasoning or chunk.tool_calls)
        text, reasoning = self._divide(chunk.text, ends=ends, is_decided=is_decided)
        if text == chunk.text and not reasoning:
            return chunk
        return chunk.model_copy(update={"text": text, "reasoning": (chunk.reasoning or "") + reasoning or None})

    def rest(self) -> Chunk | None:
        """The answer has ended: what was held back, if anything was."""
        chunk = self.read(Chunk(), last=True)
        return chunk if chunk.text or chunk.reasoning else None

    def _divide(self, text: str, *, ends: bool, is_decided: bool) -> tuple[str, str]:
        """New text as (answer, reasoning)."""
        text, self._held = self._held + text, ""
        reasoning = ""
        if self._state == _FRONT:
            text, reasoning = self._front(text, is_decided=is_decided)
        if self._state == _INSIDE:
            text, reasoning = self._inside(text, ends=ends)
        if self._state == _BEHIND:
            text = text.lstrip()
            self._state = _ANSWER if text else _BEHIND
        return text, reasoning

    def _front(self, text: str, *, is_decided: bool) -> tuple[str, str]:
        if not self._before:
            begin = text.lstrip()
            if begin.startswith(_OPEN):
                self._state = _INSIDE
                return begin[len(_OPEN) :], ""
            if _OPEN.startswith(begin) and not is_decided and len(text) <= _MAX_FRONT:
                self._held = text
                return "", ""
        if self._omitted:
            reasoning, close, answer = text.partition(_CLOSE)
            if close:
                self._state = _BEHIND
                return answer, "".join([*self._before, reasoning]).strip()
            if not is_decided:
                keep = len(text) - (len(_CLOSE) - 1)
                self._before.append(text[: max(keep, 0)])
                self._held = text[max(keep, 0) :]
                return "", ""
        self._state = _ANSWER
        return "".join([*self._before, text]), ""

    def _inside(self, text: str, *, ends: bool) -> tuple[str, str]:
        reasoning, close, text = text.partition(_CLOSE)
        if close:
            self._state = _BEHIND
            reasoning = reasoning.rstrip()
        elif not ends:
            half = next((size for size in range(len(_CLOSE) - 1, 0, -1) if reasoning.endswith(_CLOSE[:size])), 0)
            whole = reasoning[: len(reasoning) - half].rstrip()
            if len(reasoning) - len(whole) - half > _MAX_SPACE:
                whole = reasoning[: len(reasoning) - half]
            reasoning, self._held = whole, reasoning[len(whole) :]
        if not self._begun:
            reasoning = reasoning.lstrip()
            self._begun = bool(reasoning)
        return text, reasoning
