"""`Bar`: a progress bar of tqdm's or rich's, behind one method. Neither is needed unless it is asked for."""

# Two protocols, as their documentation has them. tqdm: a bar has `total`, `update(n)`, `refresh()`, `close()`. rich: a
# `Progress` has `add_task(description, total=…)`, which returns a task's id, `advance(id, n)`, `start()` and `stop()`;
# its `update` is another thing than tqdm's, so `add_task` tells the two apart.

from __future__ import annotations

import importlib
from typing import Any

from llmclients.errors import ConfigurationError

__all__ = ["Bar", "bar_for"]


class Bar:
    """A bar that is shown.

    Args:
        bar: tqdm's or rich's.
        total: how many there will be; None if nobody knows.
        is_ours: whether to end it in the end.
    """

    def __init__(self, bar: Any, total: int | None, *, is_ours: bool) -> None:
        self._bar = bar
        self._is_ours = is_ours
        self._is_rich = hasattr(bar, "add_task")
        if self._is_rich:
            if is_ours:
                bar.start()
            self._task = bar.add_task("prompts", total=total)
        elif total is not None and getattr(bar, "total", 0) is None:
            bar.total = total
            if hasattr(bar, "refresh"):
                bar.refresh()

    def advance(self, number: int) -> None:
        """So many more are done."""
        if self._is_rich:
            self._bar.advance(self._task, number)
        else:
            self._bar.update(number)

    def close(self) -> None:
        """All are done, or no more will be."""
        if self._is_ours:
            (self._bar.stop if self._is_rich else self._bar.close)()


def bar_for(progress: Any, total: int | None) -> Bar | None:
    """What a caller may pass as `progress=`: a bar, True for one of what is installed, False or None for none.

    Raises:
        ConfigurationError: it is nothing of the kind, or nothing is installed.
    """
    if progress is None or progress is False:
        return None
    if progress is not True:
        if hasattr(progress, "add_task") or callable(getattr(progress, "update", None)):
            return Bar(progress, total, is_ours=False)
        raise ConfigurationError(
            f"progress must be True, a tqdm bar or a rich Progress, not {type(progress).__name__}", argument="progress"
        )
    for library, name, arguments in (
        ("tqdm", "tqdm", {"total": total, "unit": " prompts"}),
        ("rich.progress", "Progress", {}),
    ):
        try:
            kind = getattr(importlib.import_module(library), name)
        except ImportError:
            continue
        return Bar(kind(**arguments), total, is_ours=True)
    raise ConfigurationError("progress=True needs a library: pip install tqdm, or rich", argument="progress")
