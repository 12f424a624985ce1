"""`Asker`: asks one row, over an asynchronous transport, and says what came of it and how long it took."""

from __future__ import annotations

from typing import NamedTuple

from llmclients.async_driver import AsyncDriver
from llmclients.bulk.cooldown import CoolDown
from llmclients.bulk.row import Row
from llmclients.calls.arguments import ChatArguments
from llmclients.calls.chat import prepare
from llmclients.calls.flow import Run
from llmclients.calls.pacing import Pacer, Permit
from llmclients.config.client import ClientSettings
from llmclients.errors import LLMClientError
from llmclients.transports import AsyncClientTransport
from llmclients.types.response import ChatResponse

__all__ = ["Asker", "Outcome"]


class Outcome(NamedTuple):
    """What came of a row: an answer, or an error.

    Attributes:
        attempts: how often it was asked; 0: it cannot be sent.
        seconds: from its first request on, without what it had to wait for the provider's limits.
    """

    response: ChatResponse | None
    error: LLMClientError | None
    attempts: int
    seconds: float


class Asker:
    """Asks rows. Interactive calls that share the client's limits go before them.

    Args:
        settings: the client's.
        transport: what carries the requests.
    """

    def __init__(self, settings: ClientSettings, transport: AsyncClientTransport) -> None:
        place = settings._fields.index("limits")
        self._before, self._after = settings[:place], settings[place + 1 :]
        self._transport = transport
        self._pacer: Pacer = settings.limits or CoolDown()

    async def ask(self, row: Row) -> Outcome:
        """Ask a row. Only what is no error of this library is raised."""
        transport, clock = self._transport, self._transport.clock
        pacer = _TimedPacer(self._pacer)
        settings = ClientSettings._make((*self._before, pacer, *self._after))  # `_replace` takes four times as long
        began = clock.monotonic()
        try:
            asked = ChatArguments(row.messages, row.model, row.options)
            call = prepare(settings, clock, asked, stream=False, transport=transport, row=True)
        except LLMClientError as error:
            return Outcome(None, error, 0, 0.0)
        response: ChatResponse | None = None
        failure: LLMClientError | None = None
        try:
            response = await AsyncDriver(Run(call.reply()), transport).result()
        except LLMClientError as error:
            failure = error
        seconds = clock.monotonic() - began - pacer.waited
        return Outcome(response, failure, len(call.state.errors) + 1, max(seconds, 0.0))


class _TimedPacer:
    """The limits as one row asks them, which is its own permit: so it knows how long the row has waited."""

    __slots__ = ("_began", "_pacer", "_permit", "done", "leave", "observe", "reject", "waited")
    is_bulk = True

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._began: float | None = None
        self.waited = 0.0

    def enter(self, size: int, max_tokens: int | None = None, *, bulk: bool = True) -> Permit:
        permit = self._permit = self._pacer.enter(size, max_tokens, bulk=True)
        self.done, self.leave, self.reject, self.observe = permit.done, permit.leave, permit.reject, permit.observe
        return self

    def wait(self, now: float) -> float:
        seconds = self._permit.wait(now)
        if seconds:
            if self._began is None:
                self._began = now
        elif self._began is not None:
            self.waited += now - self._began
            self._began = None
        return seconds
