"""`MapOptions`: what `map` takes for all of its calls, as a `TypedDict`, for editors and type checkers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmclients.calls.overrides import Unset
from llmclients.calls.tool_options import OnToolCall, OnToolResult
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.types.options import ChatOptions

__all__ = ["MapOptions"]


class MapOptions(ChatOptions[Any], total=False):
    """What `chat` takes besides the messages."""

    model: str | None
    """The model of these calls."""
    system: str | None
    """A system text before each prompt."""
    timeout: Timeout | float | None
    """A `Timeout` in place of the client's, or the seconds to wait for the next bytes."""
    headers: Mapping[str, str] | None
    """Over the client's, to the first provider only."""
    retry: RetryPolicy | int | Unset | None
    """A `RetryPolicy`, or number of attempts, in place of the client's; None for one attempt."""
    run_tools: bool
    """Make the calls of `tools` that the model asks for, until it answers."""
    max_turns: int
    """How often the model is asked then, at the most."""
    on_tool_call: OnToolCall | None
    """Sees each call before it is made."""
    on_tool_result: OnToolResult | None
    """Sees what came of each call."""
    raise_tool_errors: bool
    """Raise what a tool raises, in place of telling the model."""
