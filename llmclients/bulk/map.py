"""`MapResults`: many prompts answered by threads, handed out lazily."""

# Threads. The reader's thread takes the prompts, as an iterator may belong to it, and hands out results; workers
# answer. `Work` is what they share, all of it guarded by `changed`; workers know it, but not the `MapResults` of the
# reader, so that a reader who drops that ends the work. There is a worker for each prompt that waits, up to
# `concurrency`, and it ends when none waits: an iterator that is forgotten holds no thread. Whatever ends the reading
# (the last result, an interrupt, a `break`, an error of the prompts' iterator or of a program's own tool) goes through
# `close`: it ends every wait of the workers and joins them.

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmclients.bulk.rows import Rows
from llmclients.bulk.stopping import Stopped, Stopping
from llmclients.errors import LLMClientError
from llmclients.misuse import misused
from llmclients.transports.base import ClientTransport, client_closed
from llmclients.transports.waiting import LOOK_UP
from llmclients.types.map_result import MapResult
from llmclients.types.response import ChatResponse

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["MapResults", "Work"]

_JOIN = 0.02  # seconds until those that are still busy are stopped again


class Work:
    """What the reader and the workers share."""

    def __init__(
        self,
        prompts: Iterator[Any],
        rows: Rows,
        ask: Callable[[Any], ChatResponse],
        concurrency: int,
        stopping: Stopping,
        connections: ClientTransport,
    ) -> None:
        self.changed = threading.Condition()
        self.prompts = prompts  # the reader's alone
        self.stopping = stopping
        self.connections = connections
        self.rows = rows
        self.ask = ask
        self.concurrency = concurrency
        self.waiting: deque[tuple[int, Any]] = deque()
        self.workers: set[threading.Thread] = set()
        self.failure: BaseException | None = None
        self.stopped = False

    def submit(self, prompt: Any) -> None:
        """Have a prompt answered."""
        with self.changed:
            self.waiting.append((self.rows.take(), prompt))
            if len(self.workers) < self.concurrency and len(self.waiting) > 0:
                worker = threading.Thread(target=self.run, name="llmclients map")
                self.workers.add(worker)
                worker.start()

    def run(self) -> None:
        """A worker."""
        try:
            while (row := self._next()) is not None:
                outcome = self._answer(row[1])
                with self.changed:
                    self.rows.put(*row, outcome)
                    self.changed.notify()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised to the reader
            with self.changed:
                self.failure = self.failure or error
        finally:
            with self.changed:
                self.workers.discard(threading.current_thread())
                self.changed.notify()

    def _next(self) -> tuple[int, Any] | None:
        with self.changed:
            if self.stopped or not self.waiting or not threading.main_thread().is_alive():
                self.workers.discard(threading.current_thread())  # under the lock that it found nothing by
                return None
            return self.waiting.popleft()

    def _answer(self, prompt: Any) -> ChatResponse | LLMClientError:
        try:
            return self.ask(prompt)
        except LLMClientError as error:
            if self.connections.closed:  # no row can be answered any more
                raise client_closed() from None
            return error


class MapResults(Iterator[MapResult]):
    """The results of `map`, for one reader: `for result in results`.

    Leaving the loop ends all that is under way, and so do `close` and the end of a `with`.
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> MapResult:
        try:
            return self._next()
        except BaseException:
            self.close()
            raise

    def _next(self) -> MapResult:
        work = self._work
        has_taken = False
        while True:
            with work.changed:
                if work.stopped:
                    raise StopIteration
                if work.failure is not None:
                    raise work.failure
                may_take = work.rows.room > 0
                # One is taken for each that is handed out, so that the workers never run dry; more only where the
                # reader would have to wait.
                if (has_taken or not may_take) and (result := work.rows.next_result()) is not None:
                    return result
                if work.rows.finished:
                    raise StopIteration
                if not may_take:
                    work.changed.wait(LOOK_UP)
                    continue
            try:
                prompt = next(work.prompts)
            except StopIteration:
                work.rows.exhausted = True
            else:
                work.submit(prompt)
            has_taken = True

    def close(self) -> None:
        """End all that is under way: what is asked is given up, and its connections are closed. Idempotent."""
        if not hasattr(self, "_work"):
            return
        work = self._work
        with work.changed:
            work.stopped = True
            work.waiting.clear()
            workers = set(work.workers)
            work.changed.notify_all()
        if threading.current_thread() in workers:  # the collector has come by there: the others may wait for this one
            work.stopping.stop([worker.ident for worker in workers if worker.ident is not None])
            workers = set()
        while workers := {worker for worker in workers if worker.is_alive()}:
            work.stopping.stop([worker.ident for worker in workers if worker.ident is not None])
            for worker in workers:
                worker.join(_JOIN)
        work.rows.close()

    def __repr__(self) -> str:
        return self._work.rows.shown(type(self).__name__)

    if not TYPE_CHECKING:
        __reduce_ex__ = misused("the results of map are for one reader: they cannot be copied or pickled")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
