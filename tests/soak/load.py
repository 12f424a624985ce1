"""The soak's calls: which there are, how each client makes them, and whether each came out as it must."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from llmclients import APIError, AsyncClient, ChatResponse, Client, RetryPolicy, Timeout

from .script import EXPECTED, MENDED, ONCE, STALLED, VARIANTS, answer

FAULTS = 0.1
STALLS = 5  # of each phase

_PATIENT = RetryPolicy(attempts=3, initial_wait=0.001, max_wait=0.002)


class Task(NamedTuple):
    """One call."""

    number: int
    wire: str
    fault: str
    restart: bool

    @property
    def says(self) -> str:
        return f"{self.number} {self.fault}"

    @property
    def text(self) -> str:
        return answer(self.number % VARIANTS)

    @property
    def client(self) -> str:
        """Which of the clients makes it."""
        kind = "patient" if self.fault.endswith(ONCE) else "hasty" if self.fault == "stall" else "strict"
        return f"{'yqcloud' if self.wire == 'text' else 'openai'} {kind}"


def tasks(kind: str, count: int) -> Iterator[Task]:
    """The calls of a phase, one in ten with a fault; half of the faults that can be mended strike only once."""
    stalls = {(2 * at + 1) * count // (2 * STALLS) for at in range(STALLS)}
    rng = random.Random(f"{kind} {count}")
    for number in range(count):
        wire = "reply" if kind == "chats" else rng.choice(("events", "text"))
        fault = "ok"
        if number in stalls:
            fault = "stall"
        elif rng.random() < FAULTS:
            fault = rng.choice(list(EXPECTED[wire]))
            if fault in MENDED and rng.random() < 0.5:
                fault += ONCE
        yield Task(number, wire, fault, restart=kind == "streams" and fault.endswith(ONCE))


def clients(kind: type[Any], url: str) -> dict[str, Any]:
    """The clients of a side: one attempt, or several, or little patience. All calls share them."""
    made = {}
    for provider in ("openai/m", "yqcloud"):
        name = provider.partition("/")[0]
        common: dict[str, Any] = {"base_url": url, "api_key": "none", "trust_env": False, "proxy": False}
        made[f"{name} strict"] = kind(provider, retry=None, timeout=Timeout(total=60), **common)
        made[f"{name} patient"] = kind(provider, retry=_PATIENT, timeout=Timeout(total=60), **common)
        made[f"{name} hasty"] = kind(provider, retry=None, timeout=Timeout(read=0.3), **common)
    return made


@dataclass
class Tally:
    """What the calls came to. `wrong` tells of the first calls that did not come out as they must; there are none."""

    outcomes: Counter[str] = field(default_factory=Counter)
    characters: int = 0
    wrong: list[str] = field(default_factory=list)

    def judge(self, task: Task, streamed: str | None, response: ChatResponse | None, error: Exception | None) -> None:
        """Count a call. `streamed`: what a stream's chunks made together, as far as they came."""
        fault = task.fault
        outcome = type(error).__name__ if error is not None else "whole after a retry" if ONCE in fault else "whole"
        self.outcomes[outcome] += 1
        if fault == "ok" or fault.endswith(ONCE):
            good = error is None and response is not None and response.text == task.text
            good = good and streamed in (None, task.text)
            self.characters += len(task.text)
        else:
            expected = STALLED if fault == "stall" else EXPECTED[task.wire][fault]
            good = type(error) is expected and isinstance(error, APIError) and self._kept(error, task, streamed)
        if not good and len(self.wrong) < 20:
            self.wrong.append(f"{task}: {outcome}: {error}"[:300])

    @staticmethod
    def _kept(error: APIError, task: Task, streamed: str | None) -> bool:
        """Whether a broken stream's error has what the caller has, and that is how the true answer begins."""
        partial = error.partial.text if error.partial is not None else ""
        return streamed is None or (partial == streamed and task.text.startswith(streamed))


def run_sync(todo: Iterator[Task], url: str, threads: int, streams: bool) -> Tally:
    """All the calls through `Client`, shared by threads."""
    tally, lock, made = Tally(), threading.Lock(), clients(Client, url)

    def one(task: Task) -> None:
        streamed = "" if streams else None
        response, error = None, None
        try:
            if streams:
                with made[task.client].stream(task.says, restart=task.restart) as stream:
                    for chunk in stream:
                        streamed = "" if chunk.restarted else f"{streamed}{chunk}"
                    response = stream.response
            else:
                response = made[task.client].chat(task.says)
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is judged
            error = raised
        with lock:
            tally.judge(task, streamed, response, error)

    def work() -> None:
        while True:
            with lock:
                task = next(todo, None)
            if task is None:
                return
            one(task)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for client in made.values():
        client.close()
    return tally


def run_async(todo: Iterator[Task], url: str, concurrent: int, streams: bool) -> Tally:
    """All the calls through `AsyncClient`, shared by tasks of one loop."""
    tally = Tally()

    async def one(task: Task, client: AsyncClient) -> None:
        streamed = "" if streams else None
        response, error = None, None
        try:
            if streams:
                async with client.stream(task.says, restart=task.restart) as stream:
                    async for chunk in stream:
                        streamed = "" if chunk.restarted else f"{streamed}{chunk}"
                    response = stream.response
            else:
                response = await client.chat(task.says)
        except Exception as raised:  # noqa: BLE001 - whatever it is, it is judged
            error = raised
        tally.judge(task, streamed, response, error)

    async def work(made: dict[str, AsyncClient]) -> None:
        for task in todo:
            await one(task, made[task.client])

    async def main() -> None:
        made = clients(AsyncClient, url)
        await asyncio.gather(*(work(made) for _ in range(concurrent)))
        for client in made.values():
            await client.close()

    asyncio.run(main())
    return tally
