"""`SavedConversation`: a chat's history, system text and options, and what the wire keeps. Saves as JSON, and loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Protocol, TypeVar

from pydantic import Field, PrivateAttr, field_serializer, model_validator
from typing_extensions import Self, Unpack

import llmclients
from llmclients.calls.arguments import ChatArguments, with_system
from llmclients.calls.chat import Backend
from llmclients.calls.overrides import Overrides
from llmclients.errors import ConfigurationError
from llmclients.types.base import Model, make_model
from llmclients.types.json_values import is_json
from llmclients.types.messages import Message, Messages, as_messages
from llmclients.types.printing import Pairs, Verbatim
from llmclients.types.response import ChatResponse, FinishReason, Usage, make_usage

__all__ = ["PendingTurn", "SavedConversation", "Turn"]

ConversationT = TypeVar("ConversationT", bound="SavedConversation", covariant=True)


class HasConversations(Protocol[ConversationT]):
    """What a conversation can be bound to: either client."""

    def conversation(
        self,
        system: str | None = None,
        model: str | None = None,
        messages: Messages | None = None,
        **options: Unpack[llmclients.ChatOptions[Any]],
    ) -> ConversationT: ...


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
        options: options of each turn that does not name them; None for none. Those that are JSON values are saved.
            Functions and types (of `tools`, `response_format`) are not: give them again to a loaded conversation.
    """

    provider: str
    model: str | None = None
    system: str | None = None
    messages: list[Message] = Field(default_factory=list)
    state: dict[str, Any] = Field(default_factory=dict)
    turns: list[Turn] = Field(default_factory=list)
    options: dict[str, Any] | None = None

    _backend: Backend | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _count_unknown_turns(self) -> Self:
        if "turns" not in self.model_fields_set and any(message.role == "assistant" for message in self.messages):
            self.turns = [Turn()]
        return self

    @field_serializer("options", when_used="json")
    def _saved_options(self, options: dict[str, Any] | None) -> dict[str, Any] | None:
        saved = {name: value for name, value in (options or {}).items() if is_json(value)}
        return saved or None

    @classmethod
    def begin(
        cls,
        backend: Backend,
        *,
        system: str | None,
        model: str | None,
        messages: Messages | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> Self:
        """A new conversation through the client that hands over its backend. Messages to begin with are no turns."""
        conversation = cls(
            provider=backend.provider,
            model=model,
            system=system,
            messages=as_messages(messages) if messages else [],
            state=backend.new_state(),
            turns=[],
            options=dict(options) if options else None,
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
        self._read_messages()
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

    def __getstate__(self) -> dict[Any, Any]:
        """For pickle: the conversation without its client, as `bind` takes it."""
        state = super().__getstate__()
        return {**state, "__pydantic_private__": {"_backend": None}}

    def bind(self, client: HasConversations[ConversationT]) -> ConversationT:
        """This conversation, to be gone on with through `client`: how a saved one is resumed, sync or async.

        The new one shares nothing with this one. With a client of another provider, what the old one's wire kept is
        left behind; history, system text, options and a `model` named for the conversation stay.

        Raises:
            ConfigurationError: `client` is not a client, or its provider cannot carry one of the options.
        """
        if not callable(getattr(client, "conversation", None)):
            raise ConfigurationError(f"bind() takes a client, not {type(client).__name__}", argument="client")
        bound = client.conversation(system=self.system or None, model=self.model, **(self.options or {}))
        bound.messages = [message.model_copy(deep=True) for message in self._read_messages()]
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

    def _read_messages(self) -> list[Message]:
        """The history. What a caller has put into it as text or a dict becomes a message first."""
        if not all(isinstance(message, Message) for message in self.messages):
            self.messages[:] = as_messages(self.messages)
        return self.messages

    def _begun(
        self,
        messages: Messages,
        options: Mapping[str, Any],
        system: str | None,
        overrides: Overrides | None,
        *,
        restart: bool = False,
    ) -> PendingTurn:
        if self._backend is None:
            raise ConfigurationError("the conversation has no client: go on with conversation.bind(client)")
        added = as_messages(messages)
        sent = [*self._read_messages(), *added]
        if system is not None:
            sent = with_system(system, sent)
        elif self.system is not None:
            sent = [Message("system", self.system), *sent]
        if self.options:
            options = {**self.options, **options}
        arguments = ChatArguments(sent, self.model, options, self.state, restart, overrides)
        return PendingTurn(self, self._backend, added, arguments)


class PendingTurn:
    """One turn: what is sent, and what becomes part of the history once it has been answered."""

    def __init__(
        self,
        conversation: SavedConversation,
        backend: Backend,
        messages: list[Message],
        arguments: ChatArguments,
    ) -> None:
        self.backend = backend
        self.arguments = arguments
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
