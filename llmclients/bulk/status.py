"""`Status`: how far a run is: a line that is written over on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections import deque
from typing import Any, Protocol

from llmclients.bulk.progress import Bar, bar_for
from llmclients.bulk.stats import Prices, Stats, cost_text

__all__ = ["Shown", "Status", "Taken"]

_TERMINAL_SECONDS = 0.25
_LOG_SECONDS = 60.0
_RATE_SECONDS = 10.0


class Taken(Protocol):
    """How far the input is: a `Source`."""

    @property
    def total(self) -> int | None: ...
    def share(self) -> float | None: ...


class Shown(Protocol):
    """What a run tells of itself: a `Runner`."""

    @property
    def stats(self) -> Stats: ...
    @property
    def source(self) -> Taken: ...
    @property
    def safe(self) -> int: ...


class Status:
    """Shows a run.

    Args:
        progress: True for a line on standard error; a bar of tqdm's, or a `Progress` of rich's; False for nothing.
        prices: what tokens cost, if it is known.

    Raises:
        ConfigurationError: `progress` is nothing of the kind.

    Attributes:
        interval: seconds between two looks at the run.
    """

    def __init__(self, progress: Any, prices: Prices | None, total: int | None) -> None:
        self._bar: Bar | None = None if isinstance(progress, bool) or progress is None else bar_for(progress, total)
        self._stream = sys.stderr if progress is True else None
        self._is_terminal = self._stream is not None and self._stream.isatty()
        self._prices = prices
        self._seen: deque[tuple[float, int, int]] = deque()
        self._shown = 0
        self._first_share: float | None = None
        self._began = 0.0
        self.interval = _TERMINAL_SECONDS if self._is_terminal or self._bar is not None else _LOG_SECONDS

    def show(self, runner: Shown, at: float) -> None:
        """Show how far it is, so many seconds after its begin."""
        safe = runner.safe
        if self._bar is not None:
            self._bar.advance(safe - self._shown)
            self._shown = safe
        elif self._is_terminal:
            self._write("\r" + self.line(runner, at)[: shutil.get_terminal_size().columns - 1] + "\x1b[K")
        elif self._stream is not None and at >= self.interval:
            self._write(self.line(runner, at) + "\n")

    def note(self, text: str) -> None:
        """Say something beside it."""
        if self._stream is not None:
            self._write(f"\r{text}\x1b[K\n" if self._is_terminal else f"{text}\n")

    def close(self, runner: Shown, at: float) -> None:
        """Show the end of it."""
        self.show(runner, at)
        if self._is_terminal:
            self._write("\n")
        if self._bar is not None:
            self._bar.close()

    def line(self, runner: Shown, at: float) -> str:
        """Rows, rate, tokens, cost, errors, time left."""
        stats = runner.stats
        rate, tokens_rate = self._rates(at, stats.finished, stats.input_tokens + stats.output_tokens)
        total = runner.source.total
        parts = [f"{runner.safe:,}{'' if total is None else f'/{total:,}'} rows", f"{rate:,.0f} rows/s"]
        share = runner.source.share()
        if share is not None and total is None:
            parts[0] += f" ({share:.0%})"
        if tokens_rate:
            parts.append(f"{tokens_rate:,.0f} tokens/s")
        if (cost := stats.cost(self._prices)) is not None:
            parts.append(f"cost {cost_text(cost)}")
        if stats.errors:
            counts = sorted(stats.errors.items(), key=lambda entry: -entry[1])
            parts.append("errors: " + ", ".join(f"{name} {count:,}" for name, count in counts))
        if (left := self._left(stats.finished, share, at)) is not None:
            parts.append(f"{_clock_time(left)} left")
        return ", ".join(parts)

    def _rates(self, at: float, rows: int, tokens: int) -> tuple[float, float]:
        """A second, over the last ten, or since the last look where that is longer ago."""
        seen = self._seen
        seen.append((at, rows, tokens))
        while len(seen) > 2 and at - seen[1][0] > _RATE_SECONDS:
            seen.popleft()
        since, rows_then, tokens_then = seen[0] if len(seen) > 1 else (0.0, 0, 0)
        seconds = max(at - since, 1e-3)
        return (rows - rows_then) / seconds, (tokens - tokens_then) / seconds

    def _left(self, finished: int, share: float | None, at: float) -> float | None:
        """Seconds, from how much of the input was taken since the first row that was asked."""
        if not finished or share is None:
            return None
        if self._first_share is None:
            self._first_share, self._began = share, at
            return None
        done = share - self._first_share
        return (1 - share) / done * (at - self._began) if done > 0 else None

    def _write(self, text: str) -> None:
        assert self._stream is not None
        self._stream.write(text)
        self._stream.flush()


def _clock_time(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
