"""`ToolLoop`: a chat whose tools are called until the model has its answer: what to send, whom to call, when to stop.

No I/O: `tool_call.ToolLoopCall` sends what `arguments()` says, and `tool_runner` makes the calls.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

from llmclients.calls.arguments import ChatArguments
from llmclients.calls.tool_options import ToolOptions
from llmclients.errors import APIError, APIResponseError, ConfigurationError, InvalidRequestError, ToolLoopError
from llmclients.types.messages import Message, ToolCall
from llmclients.types.response import ChatResponse, Usage
from llmclients.types.tools import Tool, ToolFailure, as_tools, is_async_function

__all__ = ["ToolLoop"]

_CUT = ("length", "content_filter")
"""The endings that tell by themselves why an answer is not what it should be. Its calls may be half: none is made."""


class ToolLoop:
    """One run: send `arguments()`, make the calls that `calls()` names, add the results, and so on.

    Args:
        arguments: the caller's: the chat so far, and options with `tools` among them.
        options: how it is to run.
        defaults: the client's options of calls that do not name them; the tools may be among them.
        is_async: whether a task of an event loop runs it.

    Attributes:
        options: the same.
        is_parallel: whether calls of one turn may run at the same time.
        intermediate: the messages of the turns that have ended.

    Raises:
        InvalidRequestError: no tool that can be called, or one, or a hook, that only `AsyncClient` can.
    """

    def __init__(
        self,
        arguments: ChatArguments,
        options: ToolOptions,
        defaults: Mapping[str, Any] = MappingProxyType({}),
        *,
        is_async: bool = False,
    ) -> None:
        named = {**defaults, **arguments.options}
        try:
            tools = as_tools(named.get("tools") or [])
        except ValueError as error:
            raise InvalidRequestError(f"tools: {error}", argument="tools") from None
        self._tools = {tool.name: tool for tool in tools}
        if not any(tool.function for tool in tools):
            raise InvalidRequestError("run_tools needs tools that are functions", argument="tools")
        if named.get("n") not in (None, 1):
            raise InvalidRequestError("run_tools goes on from one answer: ask without n", argument="n")
        if not is_async:
            _check_sync(self._tools, options)
        self._arguments = arguments._replace(options={**arguments.options, "tools": tools})
        self._usages: list[Usage | None] = []
        self.options = options
        self._is_choice_for_once = named.get("tool_choice") not in (None, "auto", "none")
        self.is_parallel = named.get("parallel_tool_calls") is not False
        self.intermediate: list[Message] = []

    def arguments(self) -> ChatArguments:
        """What to send next. A call that was asked for by `tool_choice` is asked for once, not for ever."""
        arguments = self._arguments
        if not self.intermediate:
            return arguments
        options = arguments.options
        if self._is_choice_for_once:
            options = {**options, "tool_choice": None}
        return arguments._replace(messages=[*arguments.messages, *self.intermediate], options=options)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Around a turn: when it fails, the error keeps what the turns before it have done.

        Raises:
            ToolLoopError: the turn cannot be sent, as of what a tool returned.
        """
        try:
            yield
        except ConfigurationError as error:
            if not self.intermediate:
                raise
            response = self.finished(ChatResponse())
            what = "what follows the tools" if error.argument is None else "what the tools returned"
            raise ToolLoopError(f"{what} cannot be sent: {error}", response=response) from error
        except APIError as error:
            if not self.intermediate:
                raise
            failure = error.copy_with(partial=self.so_far(error.partial or ChatResponse()))
        else:
            return
        raise failure  # outside the handler, so that the copy does not have the error itself as its context

    def calls(self, response: ChatResponse) -> list[ToolCall] | None:
        """The calls to make; None when `response` is the answer, was cut, or asks for a tool that is not a function.

        Of a turn that the provider has interrupted there are none, and then the model is to go on.

        Raises:
            ToolLoopError: this was the last turn, but it is no answer. Or it ended in a way that leaves no answer: with
                calls of which nobody knows whether they are whole, or with neither calls nor text.
        """
        self._usages.append(response.usage)
        reason = response.finish_reason
        if response.other_choices and any(choice.tool_calls for choice in response.choices):
            raise self._failed(response, f"of {len(response.choices)} answers, run_tools cannot go on from one")
        known = [self._tools.get(call.name) for call in response.tool_calls]
        if reason in _CUT or any(tool is not None and tool.function is None for tool in known):
            return None
        asked = " and ".join(call.name or "a tool without a name" for call in response.tool_calls)
        if reason == "pause":
            self._check_turns(response, "has not ended its turn")
            return []  # the provider's own tools are at work; it runs no calls of ours half-way
        if not asked:
            if not response.text.strip():
                raise self._failed(response, "the answer is empty")
            return None
        if reason == "error":
            raise self._failed(response, f"the model asks for {asked}, but its answer ended badly: nothing was called")
        self._check_turns(response, f"still asks for {asked}")
        return response.tool_calls

    def _check_turns(self, response: ChatResponse, what: str) -> None:
        if len(self._usages) >= self.options.max_turns:
            message = f"after {self.options.max_turns} turns (max_turns) the model {what}"
            raise ToolLoopError(message, response=self.finished(response))

    def _failed(self, response: ChatResponse, what: str) -> ToolLoopError:
        reason = response.finish_reason
        why = f"with the finish reason {reason!r}" if reason else "without a finish reason"
        return ToolLoopError(
            f"{what} ({why}; the provider's own words are in `response.raw`)", response=self.finished(response)
        )

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
            call if call.is_readable else call.model_copy(update={"arguments_text": "{}"})
            for call in response.tool_calls  # some wires cannot carry what is no JSON, and its result says what it was
        ]
        self.intermediate += [response.message.model_copy(update={"tool_calls": calls or None}), *results]

    def finished(self, response: ChatResponse) -> ChatResponse:
        """The answer, with what came before it and the token counts of all turns."""
        response.intermediate_messages = self.intermediate
        response.usage = _sum(self._usages)
        return response

    def so_far(self, response: ChatResponse, *, is_counted: bool = False) -> ChatResponse:
        """A turn that has not ended, or not well, as a response: with what came before it, and the tokens known.

        Args:
            is_counted: whether `calls` has seen it.
        """
        usages = [*self._usages, *([] if is_counted else [response.usage])]
        return response.model_copy(
            update={
                "intermediate_messages": [*self.intermediate],
                "usage": _sum([usage for usage in usages if usage is not None]),
            }
        )


def _check_sync(tools: dict[str, Tool], options: ToolOptions) -> None:
    """Refuse what waits for an event loop that `Client` does not have."""
    for name in ("on_tool_call", "on_tool_result"):
        if is_async_function(getattr(options, name)):
            raise InvalidRequestError(
                f"{name} is async: Client takes a plain function, AsyncClient both", argument=name
            )
    for tool in tools.values():
        if tool.needs_async_client:
            raise InvalidRequestError(
                f"the tool {tool.name} is of an MCP session, which lives in an event loop: use AsyncClient there",
                argument="tools",
            )


def _sum(usages: Sequence[Usage | None]) -> Usage | None:
    """The counts of all turns together; None if one of them has told none."""
    known = [usage for usage in usages if usage is not None]
    return sum(known[1:], known[0]) if known and len(known) == len(usages) else None
