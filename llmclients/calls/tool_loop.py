"""A chat whose tools are called until the model has its answer: what to send, whom to call, when to stop. No I/O."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pydantic_core import to_json

from llmclients.errors import APIError, APIResponseError, ConfigurationError, InvalidRequestError, ToolLoopError
from llmclients.types.content import MediaPart, TextPart
from llmclients.types.messages import Message, Messages, ToolCall, as_messages
from llmclients.types.response import ChatResponse, Usage
from llmclients.types.tools import ToolFailure, as_tools

__all__ = ["ToolLoop"]


class ToolLoop:
    """One run. The client sends `messages` with `options()`, makes the calls that `calls()` names, adds the results.

    Args:
        messages: the chat so far.
        options: the call's own, with `tools` among them.
        max_turns: how often the model is asked, at the most.

    Raises:
        InvalidRequestError: no tool that can be called, or no such number.
    """

    def __init__(self, messages: Messages, options: Mapping[str, Any], max_turns: int) -> None:
        if isinstance(max_turns, bool) or not isinstance(max_turns, int) or max_turns < 1:
            raise InvalidRequestError("max_turns must be a positive whole number", argument="max_turns")
        try:
            tools = as_tools(options.get("tools") or [])
        except ValueError as error:
            raise InvalidRequestError(f"tools: {error}", argument="tools") from None
        self._tools = {tool.name: tool for tool in tools}
        if not any(tool.function for tool in tools):
            raise InvalidRequestError("run_tools needs tools that are functions", argument="tools")
        self._options = {**options, "tools": tools}
        self._messages = as_messages(messages)
        self._intermediate: list[Message] = []
        self._usages: list[Usage | None] = []
        self._max_turns = max_turns

    @property
    def messages(self) -> list[Message]:
        """What to send next."""
        return [*self._messages, *self._intermediate]

    def options(self) -> dict[str, Any]:
        """The options of the next turn: a call that was asked for by `tool_choice` is asked for once, not for ever."""
        options = dict(self._options)
        if self._intermediate and options.get("tool_choice") not in (None, "auto", "none"):
            options["tool_choice"] = None
        return options

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Around a turn: when it fails, the error keeps what the turns before it have done.

        Raises:
            ToolLoopError: what a tool returned cannot be sent.
        """
        try:
            yield
        except ConfigurationError as error:
            if not self._intermediate:
                raise
            response = self.finished(ChatResponse())
            raise ToolLoopError(f"what the tools returned cannot be sent: {error}", response=response) from error
        except APIError as error:
            if self._intermediate:
                error.partial = error.partial or ChatResponse()
                error.partial.intermediate_messages = self._intermediate
            raise

    def calls(self, response: ChatResponse) -> list[ToolCall]:
        """The calls to make; none when `response` is the answer, or asks for a tool that is not a function.

        Raises:
            ToolLoopError: there are calls, but this was the last turn.
        """
        self._usages.append(response.usage)
        if response.finish_reason != "tool_calls":
            return []
        known = [self._tools.get(call.name) for call in response.tool_calls]
        if any(tool is not None and tool.function is None for tool in known):
            return []
        if len(self._usages) >= self._max_turns:
            raise ToolLoopError(
                f"after {self._max_turns} turns (max_turns) the model still asks for "
                f"{' and '.join(call.name for call in response.tool_calls)}",
                response=self.finished(response),
            )
        return response.tool_calls

    def is_async(self, call: ToolCall) -> bool:
        """Whether making the call gives something to await."""
        tool = self._tools.get(call.name)
        return tool is not None and tool.is_async

    def make(self, call: ToolCall) -> Any:
        """What the call's function returns: of an async one, an awaitable.

        Raises:
            ToolFailure: no such tool, or arguments that do not fit. Whatever the function raises.
        """
        tool = self._tools.get(call.name)
        if tool is None:
            raise ToolFailure(f"there is no tool {call.name!r}: there are {', '.join(self._tools)}")
        try:
            arguments = call.arguments
        except APIResponseError as error:
            raise ToolFailure(str(error)) from None
        return tool.call(arguments)

    def add(self, response: ChatResponse, results: Sequence[Message]) -> None:
        """The model's calls and their results are part of the chat."""
        calls = [
            call if call.is_readable else ToolCall(id=call.id, name=call.name, arguments="{}")
            for call in response.tool_calls  # some wires cannot carry what is no JSON, and its result says what it was
        ]
        self._intermediate += [response.message.model_copy(update={"tool_calls": calls or None}), *results]

    def finished(self, response: ChatResponse) -> ChatResponse:
        """The answer, with what came before it and the token counts of all turns."""
        response.intermediate_messages = self._intermediate
        response.usage = _sum(self._usages)
        return response


def result_message(call: ToolCall, result: Any, *, is_error: bool = False) -> Message:
    """What a call returned, as the message that tells the model: text and parts as they are, the rest as JSON."""
    content: Any
    if isinstance(result, str):
        content = result
    elif isinstance(result, TextPart):
        content = result.text
    elif isinstance(result, MediaPart):
        content = [result]
    elif isinstance(result, list) and result and all(isinstance(part, TextPart | MediaPart) for part in result):
        content = result
    else:
        content = to_json(result, fallback=str).decode()
    return Message("tool", content, name=call.name, tool_call_id=call.id, is_error=is_error)


def failure_message(call: ToolCall, error: Exception) -> Message:
    """What the model is told of a call that failed."""
    words = str(error) if isinstance(error, ToolFailure) else f"{type(error).__name__}: {error}"
    sendable = words.encode("utf-8", "replace").decode()  # the model may have made half a surrogate pair
    return result_message(call, f"Error: {sendable}", is_error=True)


def run_call(loop: ToolLoop, call: ToolCall) -> Message:
    """Make a call and wait for it; the message that tells its result, or its failure."""
    try:
        result = loop.make(call)
        if inspect.isawaitable(result):
            result = _waited_for(result)
        return result_message(call, result)
    except Exception as error:  # noqa: BLE001 - a tool may fail in any way, and the model is to know
        return failure_message(call, error)


async def arun_call(loop: ToolLoop, call: ToolCall) -> Message:
    """The same, awaited; a function that is not async runs in a thread, and does not hold up the others."""
    import asyncio

    try:
        if loop.is_async(call):
            result, failure = loop.make(call), None
        else:
            result, failure = await asyncio.to_thread(_made, loop, call)
        if failure is not None:
            return failure_message(call, failure)
        if inspect.isawaitable(result):
            result = await result
        return result_message(call, result)
    except Exception as error:  # noqa: BLE001
        return failure_message(call, error)


def _made(loop: ToolLoop, call: ToolCall) -> tuple[Any, Exception | None]:
    """What the call gives, or why not: asyncio waits for ever for a thread that ends with a StopIteration."""
    try:
        return loop.make(call), None
    except Exception as error:  # noqa: BLE001
        return None, error


def _waited_for(awaitable: Any) -> Any:
    """An awaitable's result, in a loop of its own: in this thread, or beside it where that runs one already."""
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    async def main() -> Any:
        return await awaitable

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(main())
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, main()).result()


def _sum(usages: Sequence[Usage | None]) -> Usage | None:
    """The counts of all turns together; a count that one of them lacks is not known."""
    known = [usage for usage in usages if usage is not None]
    if len(known) < len(usages) or not known:
        return None
    totals: dict[str, int | None] = {}
    for name in Usage.model_fields:
        counts = [getattr(usage, name) for usage in known]
        totals[name] = None if None in counts else sum(counts)
    return Usage(**totals)
