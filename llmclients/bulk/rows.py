"""`Rows`: which prompts of a `map` are taken, done and handed out. No I/O, no threads: who calls it has a lock."""

# A row is taken, done, handed out. At most `2 * concurrency` are taken and not handed out yet: those that run, and as
# many that are done or wait for their turn. So the memory is bounded however many prompts there are and however slow
# the reader is, and in order, one slow row holds up the others only when as many as run at a time are done behind it.

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import Any

from llmclients.bulk.data_frames import refuse_data_frame
from llmclients.bulk.progress import Bar, bar_for
from llmclients.errors import ConfigurationError, LLMClientError
from llmclients.types.map_result import MapResult
from llmclients.types.messages import Message
from llmclients.types.printing import Verbatim, short_repr
from llmclients.types.response import ChatResponse

__all__ = ["Rows", "make_rows"]


class Rows:
    """The rows of one `map`.

    Args:
        concurrency: how many run at a time.
        as_completed: whether they are handed out as they are done, or in order.
        bar: shown to the user; None for none.
    """

    def __init__(self, concurrency: int, as_completed: bool, bar: Bar | None) -> None:
        self._window = 2 * concurrency
        self._as_completed = as_completed
        self._bar = bar
        self._taken = self._handed_out = 0
        self._done: dict[int, MapResult] = {}
        self._completed: deque[int] = deque()
        self._unseen = 0
        self._is_closed = False
        self.exhausted = False

    @property
    def room(self) -> int:
        """How many more prompts may be taken now."""
        return 0 if self.exhausted else self._window - (self._taken - self._handed_out)

    @property
    def finished(self) -> bool:
        """Whether all are handed out."""
        return self.exhausted and self._handed_out == self._taken

    def take(self) -> int:
        """A prompt was taken: its index."""
        index = self._taken
        self._taken += 1
        return index

    def put(self, index: int, prompt: Any, outcome: ChatResponse | LLMClientError) -> None:
        """A row is done."""
        if isinstance(outcome, LLMClientError):
            # Nobody has raised it to the reader yet, and frames would keep what each row has sent.
            self._done[index] = MapResult(index, prompt, error=outcome.with_traceback(None))
        else:
            self._done[index] = MapResult(index, prompt, outcome)
        if self._as_completed:
            self._completed.append(index)
        self._unseen += 1

    def next_result(self) -> MapResult | None:
        """The next one to hand out; None: it is not done yet."""
        if self._unseen and self._bar is not None:
            self._bar.advance(self._unseen)
        self._unseen = 0
        if not self._as_completed:
            result = self._done.pop(self._handed_out, None)
        else:
            result = self._done.pop(self._completed.popleft()) if self._completed else None
        if result is not None:
            self._handed_out += 1
        return result

    def shown(self, name: str) -> str:
        """How they are printed: how far they have come."""
        state = "complete" if self.finished else "closed" if self._is_closed else "open"
        under_way = self._taken - self._handed_out
        return short_repr(name, [(None, Verbatim(state)), ("read", self._handed_out), ("under_way", under_way)])

    def close(self) -> None:
        """No more are handed out."""
        self._is_closed = True
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()


def make_rows(prompts: Any, concurrency: Any, as_completed: bool, progress: Any, *, awaited: bool) -> Rows:
    """The rows of these arguments of a `map`; with `awaited`, prompts may be an asynchronous iterable.

    Raises:
        ConfigurationError: one of them is wrong.
    """
    if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
        raise ConfigurationError("concurrency must be a positive whole number", argument="concurrency")
    if isinstance(prompts, str | bytes | Message | Mapping):
        raise ConfigurationError(
            f"prompts must be many, such as a list: this is one {type(prompts).__name__}. For one, there is chat()",
            argument="prompts",
        )
    refuse_data_frame(prompts, "prompts")
    if not (isinstance(prompts, Iterable) or (awaited and isinstance(prompts, AsyncIterable))):
        hint = ": AsyncClient takes those" if isinstance(prompts, AsyncIterable) else ""
        raise ConfigurationError(
            f"prompts must be an iterable of prompts, not {type(prompts).__name__}{hint}", argument="prompts"
        )
    measure: Callable[[Any], int | None] = len if hasattr(prompts, "__len__") else lambda _: None
    return Rows(concurrency, as_completed, bar_for(progress, measure(prompts)))
