"""`Talk`: a conversation of the terminal. Each turn is in the history before it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from llmclients.cli.turns import Answer, Turns, View
from llmclients.client import Client
from llmclients.history import History, StoredConversation, StoredTurn
from llmclients.history.store import AT_LEAF
from llmclients.types.messages import Message

if TYPE_CHECKING:
    from llmclients.types.options import ChatOptions
    from llmclients.types.tools import Tool

__all__ = ["Setup", "Talk"]


@dataclass(frozen=True)
class Setup:
    """Who is asked, and how.

    Attributes:
        provider: a provider's name, or `"name/model"`.
    """

    provider: str = "local"
    model: str | None = None
    base_url: str | None = None
    timeout: float | None = None
    system: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    tools: Sequence[Tool] = ()
    schema: Any = None

    @property
    def label(self) -> str:
        """Who is asked, on one line."""
        return f"{self.provider}/{self.model}" if self.model else self.provider

    def client(self) -> Client:
        """A client for it.

        Raises:
            ConfigurationError: there is none, or it cannot take one of the options.
        """
        return Client(
            self.provider,
            model=self.model,
            base_url=self.base_url,
            timeout=self.timeout,
            defaults=cast("ChatOptions[Any]", dict(self.options)) or None,  # the client checks them
        )


class Talk:
    """Asks, and keeps what was asked and answered.

    Args:
        setup: who is asked; may be changed between answers.
        history: where it is kept.
        conversation: the one to go on with; None: a new one, with the first question.
    """

    def __init__(self, setup: Setup, history: History, conversation: StoredConversation | None = None) -> None:
        self.history = history
        self.conversation = conversation
        self.setup = setup
        self._client: Client | None = None
        self._client_setup: Setup | None = None

    def client(self) -> Client:
        """The client of the setup, made when it is first needed."""
        if self._client is None or self._client_setup != self.setup:
            client = self.setup.client()
            self.close()
            self._client, self._client_setup = client, self.setup
        return self._client

    def change(self, **changes: Any) -> None:
        """Go on in another way: `provider`, `model`, `system`, … of the `Setup`. If that cannot be, all is as before.

        Raises:
            ConfigurationError: no client can be made for it.
        """
        before = self.setup
        if changes.get("provider", before.provider) != before.provider:
            changes = {"base_url": None, **changes}  # an address is one provider's
        self.setup = replace(before, **changes)
        try:
            self.client()
        except Exception:
            self.setup = before
            raise
        if self.conversation is not None:
            stored = {name: value for name, value in changes.items() if name in ("provider", "model", "system")}
            self.conversation = self.history.configure(self.conversation, **stored)

    def ask(self, content: Any, *, parent: int | object | None = AT_LEAF) -> StoredTurn:
        """Store a question. Nothing is sent yet."""
        setup = self.setup
        if self.conversation is None:
            self.conversation = self.history.start(
                provider=setup.provider,
                model=setup.model,
                system=setup.system,
                source="terminal",
                options={name: value for name, value in setup.options.items() if isinstance(value, str | int | float)},
            )
            if parent is not AT_LEAF:
                parent = None
        return self.history.add(self.conversation, Message("user", content), parent=parent)  # type: ignore[arg-type]

    def answer(self, question: StoredTurn, view: View, *, stream: bool = True) -> Answer:
        """Have a question answered: all turns of it, if tools are called. Ctrl-C leaves what has come.

        Raises:
            LLMClientError: the answer failed, or broke off; what had come is stored.
            KeyboardInterrupt: the same.
        """
        assert self.conversation is not None
        client, options = self.client(), self._options()
        messages = self.history.messages(self.conversation, leaf=question.id)
        who = {"provider": self.setup.provider.partition("/")[0], "model": self.setup.model}
        with Turns(self.history, self.conversation, question.id, who, view) as turns:
            return turns.read(client, messages, options) if stream else turns.wait(client, messages, options)

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if self.setup.tools:
            options["tools"] = list(self.setup.tools)
        if self.setup.schema is not None:
            options["response_format"] = self.setup.schema
        return options

    def close(self) -> None:
        """Close the connections; the history is the caller's."""
        if self._client is not None:
            self._client.close()
            self._client = None
