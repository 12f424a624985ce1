"""`ToolOptions`: how a caller wants the tool loop to run: how long, and what it is asked about calls and results."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

from llmclients.errors import InvalidRequestError
from llmclients.types.messages import ToolCall, ToolResult
from llmclients.types.tools import ToolDenied

__all__ = ["OnToolCall", "OnToolResult", "ToolOptions"]

Decision: TypeAlias = ToolCall | ToolDenied | None
Outcome: TypeAlias = ToolResult | str | None
OnToolCall: TypeAlias = Callable[[ToolCall], Decision | Awaitable[Decision]]
"""Sees a call before it is made. It returns None to let it be made, another `ToolCall` to be made instead, or a
`ToolDenied` (which it may also raise). In `AsyncClient` it may be async."""
OnToolResult: TypeAlias = Callable[[ToolResult], Outcome | Awaitable[Outcome]]
"""Sees what came of a call before the model does. It returns None to leave it, or another result, or its text."""


class ToolOptions(NamedTuple):
    """How the caller wants the loop to run; for the meaning of each see `Client.chat`."""

    max_turns: int = 8
    on_tool_call: OnToolCall | None = None
    on_tool_result: OnToolResult | None = None
    raise_tool_errors: bool = False

    @classmethod
    def checked(
        cls, run_tools: bool, max_turns: int, on_tool_call: Any, on_tool_result: Any, raise_tool_errors: bool
    ) -> ToolOptions | None:
        """The options, or None where no tools are to run.

        Raises:
            InvalidRequestError: one of them is none, or says something about a loop that was not asked for.
        """
        for name, flag in (("run_tools", run_tools), ("raise_tool_errors", raise_tool_errors)):
            if not isinstance(flag, bool):
                raise InvalidRequestError(f"{name} is True or False, not {type(flag).__name__}", argument=name)
        for name, hook in (("on_tool_call", on_tool_call), ("on_tool_result", on_tool_result)):
            if hook is not None and not callable(hook):
                raise InvalidRequestError(f"{name} is a function, not {type(hook).__name__}", argument=name)
        if isinstance(max_turns, bool) or not isinstance(max_turns, int) or max_turns < 1:
            raise InvalidRequestError("max_turns must be a positive whole number", argument="max_turns")
        options = cls(max_turns, on_tool_call, on_tool_result, raise_tool_errors)
        if run_tools:
            return options
        for name, value, default in zip(cls._fields, options, cls(), strict=True):
            if value != default:
                raise InvalidRequestError(f"{name} has a meaning only with run_tools=True", argument=name)
        return None
