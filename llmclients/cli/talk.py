"""`Talk`: a conversation of the terminal. Each turn is in the history before it is shown."""

# The tool loop is here, and not the client's, because each of its turns is a turn of the history: the answer that asks
# for calls, and what came of each.

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llmclients.cli.tty import interruptible
from llmclients.client import Client
from llmclients.errors import APIResponseError, ToolLoopError
from llmclients.history import AnswerWriter, History, StoredConversation, StoredTurn
from llmclients.history.store import AT_LEAF
from llmclients.types.messages import Message, ToolCall
from llmclients.types.response import ChatResponse, Chunk

if TYPE_CHECKING:
    from llmclients.types.tools import Tool

__all__ = ["Answer", "Setup", "Talk", "View"]

MAX_TURNS = 8
"""How often the model is asked until it has answered without calling a tool."""


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
        """A client for it."""
        return Client(self.provider, model=self.model, base_url=self.base_url, timeout=self.timeout)


class Answer(NamedTuple):
    """An answer that is whole.

    Attributes:
        response: the last turn of it.
        first: seconds until its first text; None without any.
        seconds: until its end; of all turns together.
        cost: in US dollars, where the provider says so.
    """

    response: ChatResponse
    first: float | None
    seconds: float
    cost: float | None


class View(Protocol):
    """Where an answer is shown."""

    def begin(self, writer: AnswerWriter) -> None:
        """An answer begins. What it shows is to be stored by the writer first."""

    def chunk(self, chunk: Chunk) -> None:
        """A piece has come."""

    def end(self) -> None:
        """Nothing more comes."""

    def tool(self, call: ToolCall, result: Message) -> None:
        """A tool was called."""


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
        client, leaf = self.client(), question.id
        answers: list[Answer] = []
        for _ in range(MAX_TURNS):
            messages = self.history.messages(self.conversation, leaf=leaf)
            named = {"provider": self.setup.provider.partition("/")[0], "model": self.setup.model}
            with self.history.answer(self.conversation, parent=leaf, **named) as writer:
                try:
                    answer = self._once(client, messages, view, writer, stream=stream)
                except KeyboardInterrupt:
                    writer.broke("stopped")
                    raise
            answers.append(answer)
            calls = answer.response.tool_calls if self.setup.tools else []
            if not calls:
                return _together(answers)
            leaf = writer.turn
            for call in calls:
                result = self._call(call)
                view.tool(call, result)
                leaf = self.history.add(self.conversation, result, parent=leaf).id
        raise ToolLoopError(f"after {MAX_TURNS} turns the model still asks for calls", response=answer.response)

    def _once(
        self, client: Client, messages: list[Message], view: View, writer: AnswerWriter, *, stream: bool
    ) -> Answer:
        """One turn of the model, shown and stored."""
        options: dict[str, Any] = dict(self.setup.options)
        if self.setup.tools:
            options["tools"] = list(self.setup.tools)
        if self.setup.schema is not None:
            options["response_format"] = self.setup.schema
        started, first = time.monotonic(), None
        view.begin(writer)
        try:
            if stream:
                with client.stream(messages, **options) as answer, interruptible(answer.close):
                    for chunk in answer:
                        if first is None and chunk.text:
                            first = time.monotonic() - started
                        view.chunk(chunk)
                    response = answer.response
            else:
                response = client.chat(messages, **options)
                view.chunk(Chunk(text=response.text, reasoning=response.reasoning))
        finally:
            view.end()
        seconds = time.monotonic() - started
        writer.complete(response)
        return Answer(response, first, seconds, self.history.turn(writer.turn).cost)

    def _call(self, call: ToolCall) -> Message:
        """Call a tool. What goes wrong is for the model to know."""
        import asyncio
        import inspect

        is_error, content = False, ""
        tool = next((tool for tool in self.setup.tools if tool.name == call.name), None)
        try:
            if tool is None:
                raise APIResponseError(f"there is no tool {call.name!r}")
            result = tool.call(call.arguments)
            if inspect.iscoroutine(result):
                result = asyncio.run(result)
            content = result if isinstance(result, str) else json.dumps(result, default=str, ensure_ascii=False)
        except Exception as error:  # noqa: BLE001 - a tool may fail in any way
            is_error, content = True, f"Error: {type(error).__name__}: {error}"
        return Message("tool", content, name=call.name, tool_call_id=call.id, is_error=is_error)

    def close(self) -> None:
        """Close the connections; the history is the caller's."""
        if self._client is not None:
            self._client.close()
            self._client = None


def _together(answers: Sequence[Answer]) -> Answer:
    """The last of several turns, with what all of them took."""
    last = answers[-1]
    if len(answers) == 1:
        return last
    usages = [answer.response.usage for answer in answers if answer.response.usage is not None]
    costs = [answer.cost for answer in answers if answer.cost is not None]
    return Answer(
        last.response.model_copy(update={"usage": sum(usages[1:], usages[0]) if usages else None}),
        last.first,
        sum(answer.seconds for answer in answers),
        sum(costs) if len(costs) == len(answers) else None,
    )
