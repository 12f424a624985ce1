"""Makes the calls of tools that one turn asks for: in threads, or as tasks; and asks the caller's hooks about them."""

# Theory of operation
# -------------------
# A tool is any function of the caller: it may wait, raise, return an awaitable, or start an event loop. A `CallBatch`
# is the calls of one turn; a driver makes `ThreadedCalls` or `TaskCalls` of it, and asks for one result after another:
#
#     first `next()`   `on_tool_call` is asked about each call, in order. Nothing is called before all are decided, so
#                      that a hook may stop it all by raising. A denied call has its result at once.
#     then             the calls run: together; with `parallel_tool_calls=False` one by one, as results are asked for
#     each `next()`    waits for one to end, in whatever order; `on_tool_result` is asked; (index of the call, result)
#
# Hooks run in the thread, or task, that asks for results, never two at a time. `next()` returns, and does not raise,
# what a hook raises, or a tool where `raise_tool_errors` is set: an exception of the caller's may be of any class, and
# must not be taken for an error of the driver's own. Others are cancelled before. What is no `Exception` (an interrupt,
# a cancellation) is raised, as everywhere.
#
# Threads: one call runs in the thread that asks; several in `MAX_THREADS` threads of their own, each call in a copy of
# that thread's context variables. They are daemons, so that Ctrl-C ends a program whose tool hangs. (Those of
# `bulk.threaded` are none: they wait for a server, which ends, and have a connection to close.) Python cannot stop
# a function in a thread: cancelled, it runs on, and nobody looks at its result. An async function has an event loop of
# its own, and is cancelled there. `cancel` may come from any thread.
#
# Tasks: async functions are tasks, the others run in the loop's threads (`asyncio.to_thread`). `close`, and a
# cancellation of the task that waits, cancel them and wait until they have ended.

from __future__ import annotations

import inspect
import logging
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from pydantic_core import to_json

from llmclients.calls.tool_loop import ToolLoop
from llmclients.errors import ToolLoopError, one_line
from llmclients.types.content import MediaPart, Part, TextPart
from llmclients.types.messages import Message, ToolCall, ToolResult
from llmclients.types.tools import ToolDenied, ToolFailure

__all__ = ["CallBatch", "result_content", "result_message", "to_await"]

_log = logging.getLogger("llmclients")

_MAX_LINE = 2000
"""In characters: what is logged of a failure, and what the model is told of it."""


def result_message(call: ToolCall, result: ToolResult) -> Message:
    """What tells the model: it names the call as the model made it, whatever was called in its place."""
    return Message("tool", result.content, name=call.name, tool_call_id=call.id, is_error=result.is_error)


def result_content(value: Any) -> str | list[Part]:
    """What a function returned, as the model is told it: text and parts as they are, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, TextPart):
        return value.text
    if isinstance(value, MediaPart):
        return [value]  # type: ignore[list-item]  # one of its four kinds
    if isinstance(value, list) and value and all(isinstance(part, TextPart | MediaPart) for part in value):
        return value
    return to_json(value, fallback=str).decode()


def to_await(value: Any) -> Awaitable[Any] | None:
    """What is awaited for a call's value, if anything is. An async generator's is a list, as a plain one's is."""
    if inspect.isasyncgen(value):
        return _listed(value)
    return value if inspect.isawaitable(value) else None


async def _listed(values: AsyncGenerator[Any, Any]) -> list[Any]:
    async with aclosing(values):
        return [value async for value in values]


class CallBatch:
    """The calls of one turn, and what is the same whoever makes them.

    Args:
        without_secrets: puts stars in place of the client's own secrets.
    """

    def __init__(self, loop: ToolLoop, calls: list[ToolCall], without_secrets: Callable[[str], str]) -> None:
        self.loop = loop
        self.calls = calls
        self.is_parallel = loop.is_parallel
        self._without_secrets = without_secrets

    def decided(self, call: ToolCall, decision: Any) -> ToolCall | ToolResult:
        """What `on_tool_call` has made of a call: the one to make, or the result of one that is not made.

        Args:
            call: as the hook had it, and may have changed it.

        Raises:
            ToolLoopError: it returned something that means nothing.
        """
        if decision is None:
            return call
        if isinstance(decision, ToolCall):
            return decision.model_copy(update={"id": call.id})
        if isinstance(decision, ToolDenied):
            reason = one_line(decision.reason, _MAX_LINE)
            content = f"Error: the call was denied{': ' if reason else ''}{reason}"
            return ToolResult(call.id, call.name, content, is_error=True, call=call)
        raise self._meaningless(
            "on_tool_call", "None (make the call), a ToolCall (make this one) or a ToolDenied (make none)", decision
        )

    def changed(self, result: ToolResult, outcome: Any) -> ToolResult:
        """What `on_tool_result` has made of a result.

        Raises:
            ToolLoopError: it returned something that means nothing.
            InvalidRequestError: a text that no wire can carry.
        """
        if outcome is None:
            return result
        if isinstance(outcome, str):
            return ToolResult(result.id, result.name, outcome, is_error=result.is_error, call=result.call)
        if isinstance(outcome, ToolResult):
            return outcome.model_copy(update={"id": result.id})
        raise self._meaningless("on_tool_result", "None (leave it), a ToolResult or a text", outcome)

    def _meaningless(self, hook: str, meant: str, value: Any) -> ToolLoopError:
        kind = type(value).__name__
        if inspect.iscoroutine(value):
            value.close()  # one that nobody awaits is a warning
            kind += ", which only AsyncClient awaits"
        return ToolLoopError(f"{hook} returns {meant}, not {kind}")

    def to_raise(self, result: ToolResult) -> Exception | None:
        """The error that is raised instead of the result's being told. What the model did wrong is none."""
        error = result.error
        asked = self.loop.options.raise_tool_errors and result.is_error
        return error if asked and isinstance(error, Exception) and type(error) is not ToolFailure else None

    def result(self, call: ToolCall, value: Any) -> ToolResult:
        """What a call returned."""
        return ToolResult(call.id, call.name, result_content(value), call=call)

    def failure(self, call: ToolCall, error: Exception) -> ToolResult:
        """What the model is told of a call that failed, in one line; and the log, with the traceback for who debugs."""
        is_ours = isinstance(error, ToolFailure)
        try:
            text = str(error) if is_ours else f"{type(error).__name__}: {error}"
        except Exception:  # noqa: BLE001 - of a class of the caller's
            text = type(error).__name__
        line = one_line(self._without_secrets(text), _MAX_LINE)
        level = logging.INFO if type(error) is ToolFailure else logging.WARNING
        _log.log(level, "the call of the tool %s failed: %s", one_line(call.name, 200), line)
        if _log.isEnabledFor(logging.DEBUG) and type(error) is not ToolFailure:
            _log.debug("%s", self._without_secrets("".join(traceback.format_exception(error))))
        return ToolResult(call.id, call.name, f"Error: {line}", is_error=True, call=call, error=error)
