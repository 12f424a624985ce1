"""`Usage`: an answer's token counts, and `make_usage`, the fast way to them."""

# Without `from __future__ import annotations`: the head of `types/base.py` says why.

from typing import Literal

from pydantic import ConfigDict

from llmclients.types.base import Model
from llmclients.types.printing import Verbatim

__all__ = ["Usage", "make_usage"]


class Usage(Model):
    """Token counts as the provider reports them; None where it does not. Never an estimate.

    Two of them, and `sum()` of several, add up count by count. What one of them does not tell, the sum does not tell.

    Attributes:
        input_tokens: of the request, those read from a cache and written to one included.
        output_tokens: of the answer, its reasoning included.
        total_tokens: of both.
        reasoning_tokens: of the reasoning.
        cached_tokens: of the request, those that were read from the provider's cache.
        cache_write_tokens: of the request, those that were written to it.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None

    def __add__(self, other: "Usage | None") -> "Usage":
        if other is None:  # the usage of an answer that has none
            return make_usage()
        if not isinstance(other, Usage):
            return NotImplemented
        totals: dict[str, int | None] = {}
        for name in _ALL_COUNTS:
            one, two = getattr(self, name), getattr(other, name)
            totals[name] = None if one is None or two is None else one + two
        return make_usage(**totals)

    def __radd__(self, other: Literal[0] | None) -> "Usage":
        if type(other) is int and other == 0:  # where `sum()` begins
            return self.model_copy()
        return make_usage() if other is None else NotImplemented

    @property
    def _tokens(self) -> Verbatim | None:
        """The counts as other reprs show them: those of the request, and those of the answer."""
        if self.input_tokens is None and self.output_tokens is None:
            return None if self.total_tokens is None else Verbatim(f"{self.total_tokens} tokens")
        counts = ("?" if count is None else str(count) for count in (self.input_tokens, self.output_tokens))
        return Verbatim(f"{'+'.join(counts)} tokens")


_ALL_COUNTS = set(Usage.model_fields)
_new = object.__new__


class _OpenUsage(Usage):
    """Counts under construction: their attributes are set as any object's, not through pydantic's `__setattr__`."""

    model_config = ConfigDict(defer_build=True)  # nothing is ever validated as one

    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__  # the interpreter has one slot for the two: only both make it fast


def make_usage(
    input_tokens: int | None = None,
    output_tokens: int | None = None,
    total_tokens: int | None = None,
    reasoning_tokens: int | None = None,
    cached_tokens: int | None = None,
    cache_write_tokens: int | None = None,
) -> Usage:
    """A `Usage` of counts that a codec has already checked: some wires send them with every event of a stream."""
    usage = _new(_OpenUsage)
    # The four things that pydantic's own constructor sets.
    usage.__dict__ = {
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "total_tokens": total_tokens,
        "reasoning_tokens": reasoning_tokens,
        "cached_tokens": cached_tokens,
        "cache_write_tokens": cache_write_tokens,
    }
    usage.__pydantic_fields_set__ = _ALL_COUNTS
    usage.__pydantic_extra__ = None
    usage.__pydantic_private__ = None
    usage.__class__ = Usage  # type: ignore[assignment]
    return usage
