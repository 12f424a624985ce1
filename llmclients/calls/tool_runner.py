"""Makes the calls of tools that a model asks for, and tells each result, or failure, as a message."""

# A tool is any function of the caller: it may wait, raise, return an awaitable, or start an event loop. The synchronous
# client makes calls one after another in its own thread, and runs an async function in an event loop of its own. The
# asynchronous one makes the calls of a turn together: async functions as tasks, the others in threads.

from __future__ import annotations

import inspect
from typing import Any

from pydantic_core import to_json

from llmclients.calls.tool_loop import ToolLoop
from llmclients.types.content import MediaPart, TextPart
from llmclients.types.messages import Message, ToolCall
from llmclients.types.tools import ToolFailure

__all__ = ["arun_call", "result_message", "run_call"]


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
    text = str(error) if isinstance(error, ToolFailure) else f"{type(error).__name__}: {error}"
    sendable = text.encode("utf-8", "replace").decode()  # the model may have made half a surrogate pair
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
