"""`Conversation` and `AsyncConversation`: a chat over several turns, through a client of the kind."""

from __future__ import annotations

from collections.abc import Mapping

from typing_extensions import Unpack

import llmclients
from llmclients.calls.arguments import callers_mistake, checks_messages, tool_options
from llmclients.calls.overrides import UNSET, Overrides, Unset
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.errors import ConfigurationError
from llmclients.saved_conversation import SavedConversation
from llmclients.types.messages import Messages
from llmclients.types.response import AnswerT, ChatResponse

__all__ = ["AsyncConversation", "Conversation"]


class Conversation(SavedConversation):
    """A conversation through a `Client`: `client.conversation()`, or a saved one with `bind(client)`."""

    @checks_messages
    def chat(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        timeout: Timeout | float | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | int | Unset | None = UNSET,
        run_tools: bool = False,
        max_turns: int = 8,
        on_tool_call: llmclients.OnToolCall | None = None,
        on_tool_result: llmclients.OnToolResult | None = None,
        raise_tool_errors: bool = False,
        **options: Unpack[llmclients.ChatOptions[AnswerT]],
    ) -> ChatResponse[AnswerT]:
        """The answer to the next message (or messages), which then are part of the history.

        The arguments are those of the client's `chat`; `system` takes the place of the conversation's in this turn.

        Raises:
            ConfigurationError: nothing was sent. APIError: the call failed. In both cases the history is as before.
        """
        try:
            tools = tool_options(run_tools, max_turns, on_tool_call, on_tool_result, raise_tool_errors)
            overrides, headers = Overrides.given(timeout, headers, retry), None  # a traceback would show headers
            turn = self._begun(messages, options, system, overrides)
            response: ChatResponse[AnswerT] = turn.backend.chat(turn.arguments, tools)
        except ConfigurationError as error:
            headers = None
            raise callers_mistake(error, messages, options)  # noqa: B904 - it is the same error
        turn.finish(response)
        return response

    @checks_messages
    def stream(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        timeout: Timeout | float | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | int | Unset | None = UNSET,
        restart: bool = False,
        run_tools: bool = False,
        max_turns: int = 8,
        on_tool_call: llmclients.OnToolCall | None = None,
        on_tool_result: llmclients.OnToolResult | None = None,
        raise_tool_errors: bool = False,
        **options: Unpack[llmclients.ChatOptions[AnswerT]],
    ) -> llmclients.Stream[AnswerT]:
        """The same, piece by piece. The turn is part of the history once the stream has come to its end."""
        try:
            tools = tool_options(run_tools, max_turns, on_tool_call, on_tool_result, raise_tool_errors)
            overrides, headers = Overrides.given(timeout, headers, retry), None  # a traceback would show headers
            turn = self._begun(messages, options, system, overrides, restart=restart)
            stream: llmclients.Stream[AnswerT] = turn.backend.stream(turn.arguments, turn.finish, tools)
        except ConfigurationError as error:
            headers = None
            raise callers_mistake(error, messages, options)  # noqa: B904 - it is the same error
        return stream


class AsyncConversation(SavedConversation):
    """A conversation through an `AsyncClient`: `Conversation`, awaited."""

    @checks_messages
    async def chat(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        timeout: Timeout | float | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | int | Unset | None = UNSET,
        run_tools: bool = False,
        max_turns: int = 8,
        on_tool_call: llmclients.OnToolCall | None = None,
        on_tool_result: llmclients.OnToolResult | None = None,
        raise_tool_errors: bool = False,
        **options: Unpack[llmclients.ChatOptions[AnswerT]],
    ) -> ChatResponse[AnswerT]:
        """The answer to the next message (or messages), which then are part of the history.

        The arguments are those of the client's `chat`; `system` takes the place of the conversation's in this turn.

        Raises:
            ConfigurationError: nothing was sent. APIError: the call failed. In both cases the history is as before.
        """
        try:
            tools = tool_options(run_tools, max_turns, on_tool_call, on_tool_result, raise_tool_errors)
            overrides, headers = Overrides.given(timeout, headers, retry), None  # a traceback would show headers
            turn = self._begun(messages, options, system, overrides)
            response: ChatResponse[AnswerT] = await turn.backend.chat(turn.arguments, tools)
        except ConfigurationError as error:
            headers = None
            raise callers_mistake(error, messages, options)  # noqa: B904 - it is the same error
        turn.finish(response)
        return response

    @checks_messages
    def stream(
        self,
        messages: Messages,
        *,
        system: str | None = None,
        timeout: Timeout | float | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | int | Unset | None = UNSET,
        restart: bool = False,
        run_tools: bool = False,
        max_turns: int = 8,
        on_tool_call: llmclients.OnToolCall | None = None,
        on_tool_result: llmclients.OnToolResult | None = None,
        raise_tool_errors: bool = False,
        **options: Unpack[llmclients.ChatOptions[AnswerT]],
    ) -> llmclients.AsyncStream[AnswerT]:
        """The same, piece by piece. The turn is part of the history once the stream has come to its end."""
        try:
            tools = tool_options(run_tools, max_turns, on_tool_call, on_tool_result, raise_tool_errors)
            overrides, headers = Overrides.given(timeout, headers, retry), None  # a traceback would show headers
            turn = self._begun(messages, options, system, overrides, restart=restart)
            stream: llmclients.AsyncStream[AnswerT] = turn.backend.stream(turn.arguments, turn.finish, tools)
        except ConfigurationError as error:
            headers = None
            raise callers_mistake(error, messages, options)  # noqa: B904 - it is the same error
        return stream
