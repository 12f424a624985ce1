"""A chat over several turns: history, system text, and what the provider itself keeps. Saves as JSON, and loads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from pydantic import Field, PrivateAttr
from typing_extensions import Self

from llmclients.config.client import ClientSettings
from llmclients.errors import ConfigurationError
from llmclients.types.base import Model
from llmclients.types.messages import Message, Messages, as_messages
from llmclients.types.response import ChatResponse

if TYPE_CHECKING:
    from llmclients.async_client import AsyncClient, AsyncStream
    from llmclients.client import Client, Stream

__all__ = ["AsyncConversation", "Conversation"]


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

    _client: Any = PrivateAttr(default=None)

    @overload
    def bind(self, client: Client) -> Conversation: ...
    @overload
    def bind(self, client: AsyncClient) -> AsyncConversation: ...
    def bind(self, client: Client | AsyncClient) -> Conversation | AsyncConversation:
        """This conversation, to be gone on with through `client`: how a saved one is resumed, sync or async.

        The new one shares nothing with this one. With a client of another provider, what the old one kept is left
        behind; history, system text and a `model` named for the conversation stay.
        """
        return client._resume(self)

    @classmethod
    def _with(cls, client: Any, settings: ClientSettings, unix_time: float, **fields: Any) -> Self:
        """A conversation of these fields; without the provider's own state, or with another's, with a new one."""
        provider = settings.provider.name
        if fields.get("provider") != provider:
            fields |= {"provider": provider, "state": settings.codec.conversation_state(unix_time)}
        conversation = cls(**fields)
        conversation._client = client
        return conversation

    def _turn(self, messages: Messages) -> tuple[Any, list[Message], list[Message]]:
        """The client, the turn's own messages, and everything that is sent."""
        if self._client is None:
            raise ConfigurationError("the conversation has no client: go on with conversation.bind(client)")
        own = as_messages(messages)
        system = [] if self.system is None else [Message("system", self.system)]
        return self._client, own, [*system, *self.messages, *own]

    def _finish(self, own: list[Message], response: ChatResponse) -> None:
        message = response.message
        whole = [call for call in response.tool_calls if call.is_readable]
        if response.finish_reason == "length" and len(whole) < len(response.tool_calls):
            # Half a call can neither be answered nor, on some wires, be sent.
            content = message.content or response.text
            message = message.model_copy(
                update={"tool_calls": whole or None, "content": content, "provider_data": None}
            )
        self.messages.extend([*own, *response.intermediate_messages, message])


class Conversation(SavedConversation):
    """A conversation through a `Client`: `client.conversation()`, or a saved one with `bind(client)`."""

    def chat(self, messages: Messages, *, run_tools: bool = False, max_turns: int = 8, **options: Any) -> ChatResponse:
        """The answer to the next message (or messages), which then are part of the history.

        Raises:
            ConfigurationError: nothing was sent. APIError: the call failed. In both cases the history is as before.
        """
        client, own, sent = self._turn(messages)
        response: ChatResponse = client._chat(sent, self.model, options, self.state, max_turns if run_tools else None)
        self._finish(own, response)
        return response

    def stream(self, messages: Messages, *, restart: bool = False, **options: Any) -> Stream:
        """The same, piece by piece. The turn is part of the history once the stream has come to its end."""
        client, own, sent = self._turn(messages)
        stream: Stream = client._stream(
            sent,
            self.model,
            options,
            self.state,
            restart=restart,
            when_complete=lambda response: self._finish(own, response),
        )
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
        client, own, sent = self._turn(messages)
        response: ChatResponse = await client._chat(
            sent, self.model, options, self.state, max_turns if run_tools else None
        )
        self._finish(own, response)
        return response

    def stream(self, messages: Messages, *, restart: bool = False, **options: Any) -> AsyncStream:
        """The same, piece by piece. The turn is part of the history once the stream has come to its end."""
        client, own, sent = self._turn(messages)
        stream: AsyncStream = client._stream(
            sent,
            self.model,
            options,
            self.state,
            restart=restart,
            when_complete=lambda response: self._finish(own, response),
        )
        return stream
