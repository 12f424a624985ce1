"""A chat over several turns: history, system text, and what the provider's wire keeps. Saves as JSON, and loads."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pydantic import Field, PrivateAttr
from typing_extensions import Self

from llmclients.calls.chat import Backend, ChatArguments
from llmclients.errors import ConfigurationError
from llmclients.types.base import Model
from llmclients.types.messages import Message, Messages, as_messages
from llmclients.types.response import ChatResponse

if TYPE_CHECKING:
    from llmclients.async_client import AsyncStream
    from llmclients.client import Stream

__all__ = ["AsyncConversation", "Conversation"]

ConversationT = TypeVar("ConversationT", bound="SavedConversation", covariant=True)


class HasConversations(Protocol[ConversationT]):
    """What a conversation can be bound to: either client."""

    def conversation(self, system: str | None = None, model: str | None = None) -> ConversationT: ...


class SavedConversation(Model):
    """The history itself.

    Attributes:
        provider: the provider that the conversation is with.
        model: the model of its turns; None for the client's.
        system: the system text, sent before the messages in every turn.
        messages: the finished turns. A turn whose reply failed or broke off is not in it.
        state: what the provider's wire keeps over the turns.
    """

    provider: str
    model: str | None = None
    system: str | None = None
    messages: list[Message] = Field(default_factory=list)
    state: dict[str, Any] = Field(default_factory=dict)

    _backend: Backend | None = PrivateAttr(default=None)

    @classmethod
    def begin(cls, backend: Backend, *, system: str | None, model: str | None) -> Self:
        """A new conversation through the client that hands over its backend."""
        conversation = cls(provider=backend.provider, model=model, system=system, state=backend.new_state())
        conversation._backend = backend
        return conversation

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
        return bound

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
        self._conversation.messages.extend([*self._messages, *response.intermediate_messages, message])


class Conversation(SavedConversation):
    """A conversation through a `Client`: `client.conversation()`, or a saved one with `bind(client)`."""

    def chat(self, messages: Messages, *, run_tools: bool = False, max_turns: int = 8, **options: Any) -> ChatResponse:
        """The answer to the next message (or messages), which then are part of the history.

        Raises:
            ConfigurationError: nothing was sent. APIError: the call failed. In both cases the history is as before.
        """
        turn = self._turn(messages, options)
        response: ChatResponse = turn.backend.chat(turn.arguments, max_turns if run_tools else None)
        turn.finish(response)
        return response

    def stream(self, messages: Messages, *, restart: bool = False, **options: Any) -> Stream:
        """The same, piece by piece. The turn is part of the history once the stream has come to its end."""
        turn = self._turn(messages, options, restart=restart)
        stream: Stream = turn.backend.stream(turn.arguments, turn.finish)
        return stream


class AsyncConversation(SavedConversation):
    """A conversation through an `AsyncClient`: `Conversation`, awaited."""

    async def chat(
        self, messages: Messages, *, run_tools: bool = False, max_turns: int = 8, **options: Any
    ) -> ChatResponse:
        """The answer to the next message (or messages), which then are part of the history.

        Raises:
            ConfigurationError: nothing was sent. APIError: the call failed. In both cases the history is as before.
        """
        turn = self._turn(messages, options)
        response: ChatResponse = await turn.backend.chat(turn.arguments, max_turns if run_tools else None)
        turn.finish(response)
        return response

    def stream(self, messages: Messages, *, restart: bool = False, **options: Any) -> AsyncStream:
        """The same, piece by piece. The turn is part of the history once the stream has come to its end."""
        turn = self._turn(messages, options, restart=restart)
        stream: AsyncStream = turn.backend.stream(turn.arguments, turn.finish)
        return stream
