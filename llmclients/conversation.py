"""A chat over several turns: history, system text, and what the provider's wire keeps. Saves as JSON, and loads."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import Field, PrivateAttr, model_validator
from typing_extensions import Self

from llmclients.calls.chat import Backend, ChatArguments, tool_options
from llmclients.errors import ConfigurationError
from llmclients.types.base import Model, make_model
from llmclients.types.messages import Message, Messages, as_messages
from llmclients.types.printing import Pairs, Verbatim
from llmclients.types.response import ChatResponse, FinishReason, Usage, make_usage

if TYPE_CHECKING:
    from llmclients.async_stream import AsyncStream
    from llmclients.calls.tool_options import OnToolCall, OnToolResult
    from llmclients.stream import Stream

__all__ = ["AsyncConversation", "Conversation", "Turn"]

ConversationT = TypeVar("ConversationT", bound="SavedConversation", covariant=True)


class HasConversations(Protocol[ConversationT]):
    """What a conversation can be bound to: either client."""

    def conversation(self, system: str | None = None, model: str | None = None) -> ConversationT: ...


class Turn(Model):
    """What is kept of a turn besides its messages: whose it was, and what it took.

    Attributes:
        provider: the provider that answered.
        model: the model that answered, as the provider names it, else the one asked for.
        finish_reason: why the answer ended.
        usage: token counts, of all answers of the tool loop together; None when the provider sent none.
    """

    provider: str | None = None
    model: str | None = None
    finish_reason: FinishReason | None = None
    usage: Usage | None = None


class SavedConversation(Model):
    """The history itself.

    Attributes:
        provider: the provider that the conversation is with.
        model: the model of its turns; None for the client's.
        system: the system text, sent before the messages in every turn.
        messages: the finished turns. A turn whose reply failed or broke off is not in it.
        state: what the provider's wire keeps over the turns.
        turns: of each finished turn, its provider, model and token counts; shortening `messages` leaves them as they
            are. A single empty one stands for answers of which nothing is known, as in files of versions without turns.
    """

    provider: str
    model: str | None = None
    system: str | None = None
    messages: list[Message] = Field(default_factory=list)
    state: dict[str, Any] = Field(default_factory=dict)
    turns: list[Turn] = Field(default_factory=list)

    _backend: Backend | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _count_unknown_turns(self) -> Self:
        if "turns" not in self.model_fields_set and any(message.role == "assistant" for message in self.messages):
            self.turns = [Turn()]
        return self

    @classmethod
    def begin(
        cls, backend: Backend, *, system: str | None, model: str | None, messages: Messages | None = None
    ) -> Self:
        """A new conversation through the client that hands over its backend. Messages to begin with are no turns."""
        conversation = cls(
            provider=backend.provider,
            model=model,
            system=system,
            messages=as_messages(messages) if messages else [],
            state=backend.new_state(),
            turns=[],
        )
        conversation._backend = backend
        return conversation

    @property
    def usage(self) -> Usage:
        """The token counts of all turns together: what one does not tell is None; before the first, all are 0."""
        return sum((turn.usage or make_usage() for turn in self.turns), make_usage(0, 0, 0, 0, 0, 0))

    def model_dump_json(self, **options: Any) -> str:
        """The conversation as JSON, for `model_validate_json` to load. What is None is left out.

        Args:
            options: pydantic's.
        """
        return super().model_dump_json(**{"exclude_none": True, **options})

    def copy(self) -> Self:  # type: ignore[override]  # pydantic's is deprecated, and takes what `model_copy` does
        """A second conversation that goes on from here by itself, through the same client."""
        return deepcopy(self)

    def __dir__(self) -> Iterable[str]:
        return [*super().__dir__(), "copy"]

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        memo = {} if memo is None else memo
        memo[id(self._backend)] = self._backend  # shared, as its client's connections are
        return super().__deepcopy__(memo)

    def bind(self, client: HasConversations[ConversationT]) -> ConversationT:
        """This conversation, to be gone on with through `client`: how a saved one is resumed, sync or async.

        The new one shares nothing with this one. With a client of another provider, what the old one's wire kept is
        left behind; history, system text and a `model` named for the conversation stay.

        Raises:
            ConfigurationError: `client` is not a client.
        """
        if not callable(getattr(client, "conversation", None)):
            raise ConfigurationError(f"bind() takes a client, not {type(client).__name__}", argument="client")
        bound = client.conversation(system=self.system, model=self.model)
        bound.messages = [message.model_copy(deep=True) for message in self.messages]
        if bound.provider == self.provider:
            bound.state = deepcopy(self.state)
        bound.turns = deepcopy(self.turns)
        return bound

    def _shown(self) -> Pairs:
        yield "provider", self.provider
        for name in ("model", "system"):
            if (value := getattr(self, name)) is not None:
                yield name, value
        if self.messages:
            before = len(self.messages) - 1
            yield "messages", [Verbatim(f"… {before} more"), self.messages[-1]] if before else self.messages
        if (tokens := self.usage._tokens) is not None and self.turns:
            yield "usage", tokens

    def _turn(self, messages: Messages, options: dict[str, Any], *, restart: bool = False) -> _Turn:
        if self._backend is None:
            raise ConfigurationError("the conversation has no client: go on with conversation.bind(client)")
        return _Turn(self, self._backend, as_messages(messages), options, restart=restart)


class _Turn:
    """One turn: what is sent, and what becomes part of the history once it has been answered."""

    def __init__(
        self,
        conversation: SavedConversation,
        backend: Backend,
        messages: list[Message],
        options: dict[str, Any],
        *,
        restart: bool,
    ) -> None:
        system = [] if conversation.system is None else [Message("system", conversation.system)]
        sent = [*system, *conversation.messages, *messages]
        self.backend = backend
        self.arguments = ChatArguments(sent, conversation.model, options, conversation.state, restart)
        self._conversation = conversation
        self._messages = messages

    def finish(self, response: ChatResponse) -> None:
        """The turn is part of the history."""
        message = response.message
        whole = [call for call in response.tool_calls if call.is_readable]
        if response.finish_reason == "length" and len(whole) < len(response.tool_calls):
            # Half a call can neither be answered nor, on some wires, be sent.
            content = message.content or response.text
            update = {"tool_calls": whole or None, "content": content, "provider_data": None}
            message = message.model_copy(update=update)
        conversation = self._conversation
        conversation.messages.extend([*self._messages, *response.intermediate_messages, message])
        conversation.turns.append(
            make_model(
                Turn,
                provider=response.provider,
                model=response.model,
                finish_reason=response.finish_reason,
                usage=response.usage and response.usage.model_copy(),
            )
        )


class Conversation(SavedConversation):
    """A conversation through a `Client`: `client.conversation()`, or a saved one with `bind(client)`."""

    def chat(
        self,
        messages: Messages,
        *,
        run_tools: bool = False,
        max_turns: int = 8,
        on_tool_call: OnToolCall | None = None,
        on_tool_result: OnToolResult | None = None,
        raise_tool_errors: bool = False,
        **options: Any,
    ) -> ChatResponse:
        """The answer to the next message (or messages), which then are part of the history.

        Raises:
            ConfigurationError: nothing was sent. APIError: the call failed. In both cases the history is as before.
        """
        tools = tool_options(run_tools, max_turns, on_tool_call, on_tool_result, raise_tool_errors)
        turn = self._turn(messages, options)
        response: ChatResponse = turn.backend.chat(turn.arguments, tools)
        turn.finish(response)
        return response

    def stream(
        self,
        messages: Messages,
        *,
        restart: bool = False,
        run_tools: bool = False,
        max_turns: int = 8,
        on_tool_call: OnToolCall | None = None,
        on_tool_result: OnToolResult | None = None,
        raise_tool_errors: bool = False,
        **options: Any,
    ) -> Stream:
        """The same, piece by piece. The turn is part of the history once the stream has come to its end."""
        tools = tool_options(run_tools, max_turns, on_tool_call, on_tool_result, raise_tool_errors)
        turn = self._turn(messages, options, restart=restart)
        stream: Stream = turn.backend.stream(turn.arguments, turn.finish, tools)
        return stream


class AsyncConversation(SavedConversation):
    """A conversation through an `AsyncClient`: `Conversation`, awaited."""

    async def chat(
        self,
        messages: Messages,
        *,
        run_tools: bool = False,
        max_turns: int = 8,
        on_tool_call: OnToolCall | None = None,
        on_tool_result: OnToolResult | None = None,
        raise_tool_errors: bool = False,
        **options: Any,
    ) -> ChatResponse:
        """The answer to the next message (or messages), which then are part of the history.

        Raises:
            ConfigurationError: nothing was sent. APIError: the call failed. In both cases the history is as before.
        """
        tools = tool_options(run_tools, max_turns, on_tool_call, on_tool_result, raise_tool_errors)
        turn = self._turn(messages, options)
        response: ChatResponse = await turn.backend.chat(turn.arguments, tools)
        turn.finish(response)
        return response

    def stream(
        self,
        messages: Messages,
        *,
        restart: bool = False,
        run_tools: bool = False,
        max_turns: int = 8,
        on_tool_call: OnToolCall | None = None,
        on_tool_result: OnToolResult | None = None,
        raise_tool_errors: bool = False,
        **options: Any,
    ) -> AsyncStream:
        """The same, piece by piece. The turn is part of the history once the stream has come to its end."""
        tools = tool_options(run_tools, max_turns, on_tool_call, on_tool_result, raise_tool_errors)
        turn = self._turn(messages, options, restart=restart)
        stream: AsyncStream = turn.backend.stream(turn.arguments, turn.finish, tools)
        return stream
