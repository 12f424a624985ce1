"""`Answers`: the answers that are being written for the page, which go on when nobody looks."""

# Theory of operation
# -------------------
# An answer is a task of the relay's loop, not of the request that asked for it. So a tab that is closed, or a
# connection that breaks, costs nothing: the answer is written into the history to its end, or until somebody stops it.
# Requests follow an answer: each gets all of its events from the first one, so any number of tabs may, at any time.
#
# Within the task, `_read` takes chunks from the provider, and the loop around it stores what has come, at most twenty
# times a second, and then publishes it: what a tab shows is stored. The history is used in threads, as another process
# may be writing to it; only one thread at a time uses one answer's writer. The last event has the turn as it is stored.
#
# A stop cancels `_read` alone, so that the end is stored like any other. If the loop ends first, the task is cancelled
# itself, and stores its end without a thread.
#
# To the operator an answer is a call like any other: its `Charge` has taken the place of the request that asked, and is
# ended when the task is.

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator
from typing import Any

from llmclients.errors import LLMClientError
from llmclients.history import AnswerWriter, HistoryError, StoredTurn
from llmclients.relay.codecs.base import RelayedCall
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.relay.log_text import exception_text
from llmclients.relay.page.charges import Charge
from llmclients.relay.page.endpoint import encode_event
from llmclients.relay.page.store import PageStore, turn_fields
from llmclients.relay.routing import Router
from llmclients.relay.upstream import Leeway, Upstream
from llmclients.types.response import ChatResponse, Chunk

__all__ = ["Answers", "RunningAnswer"]

MAX_RUNNING = 64
"""Answers at once: as they need no connection of a client's, nothing else bounds them."""

_PAUSE = 0.05  # seconds between two writes of an answer
_KEEP_ALIVE = 15.0  # seconds without an event, after which a comment shows that the relay is there

_log = logging.getLogger("llmclients.relay")


class RunningAnswer:
    """An answer that is being written. Of the relay's loop.

    Attributes:
        turn: its id in the history.
        conversation: that of its conversation.
    """

    def __init__(self, conversation: str, writer: AnswerWriter, charge: Charge) -> None:
        self.turn, self.conversation = writer.turn, conversation
        self._writer, self._charge = writer, charge
        self._failure: Exception | None = None
        self._has_ended = False
        self._writing = threading.Lock()  # around the writer and `_has_ended`
        self._events: list[bytes] = []
        self._is_over = False
        self._published = asyncio.Event()
        self._chunks: list[Chunk] = []
        self._arrived = asyncio.Event()
        self._reading: asyncio.Task[ChatResponse] | None = None
        self._stop_reason: str | None = None

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """All of its events, from the first one to the last."""
        sent = 0
        while True:
            published = self._published
            if sent < len(self._events):
                data = b"".join(self._events[sent:])
                sent = len(self._events)
                yield data
            elif self._is_over:
                return
            else:
                try:
                    await asyncio.wait_for(published.wait(), _KEEP_ALIVE)
                except asyncio.TimeoutError:
                    yield b": still here\n\n"

    def stop(self, reason: str) -> None:
        """End it, and store why. Its end comes a moment later."""
        if self._stop_reason is None:
            self._stop_reason = reason
            if self._reading is not None:
                self._reading.cancel()

    async def write(self, upstream: Upstream | Router, call: RelayedCall, store: PageStore) -> None:
        """Ask, and write until the end, however it comes. Called once."""
        self._reading = asyncio.ensure_future(self._read(upstream, call))
        self._reading.add_done_callback(lambda _: self._arrived.set())
        if self._stop_reason is not None:
            self._reading.cancel()
        try:
            await self._store_pieces(store)
            self._publish({"type": "end", "turn": turn_fields(await store.use(self._end, store))}, last=True)
        except asyncio.CancelledError:
            with self._writing:
                if not self._has_ended:
                    self._writer.broke("the relay was stopped")
            raise
        except Exception as error:  # noqa: BLE001 - the page is to know of it, and the log
            # It could not be stored, as when its conversation was deleted meanwhile.
            self._failure = error
            if not isinstance(error, HistoryError):
                _log.error("the page's answer failed: %s", exception_text(error))
            what = {"kind": type(error).__name__, "message": str(error)}
            self._publish({"type": "end", "error": what}, last=True)
        finally:
            self._reading.cancel()

    async def _read(self, upstream: Upstream | Router, call: RelayedCall) -> ChatResponse:
        async with upstream.stream(call, Leeway(lenient=False)) as stream:  # somebody has chosen each option
            try:
                async for chunk in stream:
                    self._charge.begins()
                    self._chunks.append(chunk)
                    self._arrived.set()
            finally:  # also of one that broke off
                self._charge.answered(stream.response)
        response: ChatResponse = stream.response
        return response

    def end_charge(self) -> None:
        """It has ended: say how."""
        reading, error = self._reading, self._failure
        if error is None and reading is not None and reading.done() and not reading.cancelled():
            error = reading.exception()  # type: ignore[assignment]
            outcome = "complete"
        else:
            outcome = self._stop_reason or "the relay was stopped"
        self._charge.end("broken off" if error is not None else outcome, error)

    async def _store_pieces(self, store: PageStore) -> None:
        assert self._reading is not None
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            is_last = self._reading.done()
            chunks, self._chunks = self._chunks, []
            if chunks:
                await store.use(self._store_chunks, chunks)
                self._publish_chunks(chunks)
            if is_last:
                return
            await asyncio.wait({self._reading}, timeout=_PAUSE)

    def _store_chunks(self, chunks: list[Chunk]) -> None:
        with self._writing:
            for chunk in chunks:
                self._writer.gather(chunk)
            self._writer.flush()

    def _end(self, store: PageStore) -> StoredTurn:
        """Store how it ended. In a thread."""
        assert self._reading is not None
        with self._writing:
            if self._reading.cancelled():
                self._writer.broke(self._stop_reason or "stopped")
            elif (error := self._reading.exception()) is not None:
                if not isinstance(error, LLMClientError | RequestRejected):
                    _log.error("the page's answer failed: %s", exception_text(error))
                self._writer.broke(error)
            else:
                self._writer.complete(self._reading.result())
            self._has_ended = True
        return store.history.turn(self.turn)

    def _publish_chunks(self, chunks: list[Chunk]) -> None:
        event: dict[str, Any] = {"type": "delta"}
        for name in ("text", "reasoning"):
            if text := "".join(getattr(chunk, name) or "" for chunk in chunks):
                event[name] = text
        if calls := [piece.model_dump(exclude_none=True) for chunk in chunks for piece in chunk.tool_calls]:
            event["tool_calls"] = calls
        if len(event) > 1:
            self._publish(event)

    def _publish(self, event: dict[str, Any], *, last: bool = False) -> None:
        self._events.append(encode_event(event))
        self._is_over = last
        self._published.set()
        self._published = asyncio.Event()


class Answers:
    """The answers that run.

    Args:
        upstream: who answers.
        store: where they are written.
    """

    def __init__(self, upstream: Upstream | Router, store: PageStore) -> None:
        self._upstream = upstream
        self._store = store
        self._running: dict[int, tuple[RunningAnswer, asyncio.Task[None]]] = {}

    def check_room(self) -> None:
        """Raise RequestRejected where too many run."""
        if len(self._running) >= MAX_RUNNING:
            message = f"{MAX_RUNNING} answers are being written: wait for one of them, or stop it"
            raise RequestRejected(Failure(429, message, code="too_many_answers", headers=(("retry-after", "5"),)))

    def start(self, conversation: str, writer: AnswerWriter, call: RelayedCall, charge: Charge) -> RunningAnswer:
        """Begin to write an answer."""
        answer = RunningAnswer(conversation, writer, charge)
        task = asyncio.ensure_future(answer.write(self._upstream, call, self._store))
        self._running[answer.turn] = answer, task
        task.add_done_callback(lambda _: self._ended(answer))
        return answer

    def _ended(self, answer: RunningAnswer) -> None:
        self._running.pop(answer.turn, None)
        answer.end_charge()

    def find(self, turn: int) -> RunningAnswer | None:
        """The answer of this turn, if it runs."""
        found = self._running.get(turn)
        return found and found[0]

    async def stop_all(self, reason: str, conversation: str | None = None) -> None:
        """Stop all of them, or those of a conversation, and wait for their ends."""
        tasks = []
        for answer, task in list(self._running.values()):
            if conversation in (None, answer.conversation):
                answer.stop(reason)
                tasks.append(task)
        if tasks:
            await asyncio.wait(tasks)
