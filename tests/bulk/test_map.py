"""`map`: many prompts, by both clients. What a reader sees, what is taken, and what is left when the reader leaves."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmclients import (
    AsyncClient,
    Client,
    ConfigurationError,
    InvalidRequestError,
    LLMClientError,
    MapResult,
    RateLimitError,
)
from llmclients.bulk import Limits
from llmclients.testing import FaultServer, MockTransport, Reply
from llmclients.testing.script import HOLD, http

SIDES = ["Client", "AsyncClient"]
side = pytest.mark.parametrize("side", SIDES)


def answer(request: Any) -> Reply:
    """The prompt again, in capitals; an error for one with `bad` in it."""
    prompt = request.json["messages"][-1]["content"]
    return Reply.error(400, "a bad prompt") if "bad" in prompt else Reply.text(prompt.upper())


def run(side: str, prompts: Any, *, limit: int | None = None, client: Any = None, **options: Any) -> list[MapResult]:
    """All results, or the first `limit`."""
    settings = {"api_key": "k", **(client or {"transport": MockTransport(answer)})}
    if side == "Client":
        return list(itertools.islice(Client("openai/m", **settings).map(prompts, **options), limit))

    async def read() -> list[MapResult]:
        found: list[MapResult] = []
        async for result in AsyncClient("openai/m", **settings).map(prompts, **options):
            found.append(result)
            if len(found) == limit:
                break
        return found

    return asyncio.run(read())


@side
def test_results_come_in_order_and_errors_are_among_them(side: str) -> None:
    prompts = ["one", "a bad one", "", [{"role": "user", "content": "two"}], {"rol": "user"}]
    results = run(side, prompts, concurrency=2, temperature=0)

    assert [result.index for result in results] == [0, 1, 2, 3, 4]
    assert [result.prompt for result in results] == prompts
    assert [result.ok for result in results] == [True, False, False, True, False]
    assert [result.text for result in results if result.ok] == ["ONE", "TWO"]
    assert "a bad prompt" in str(results[1].error)
    assert isinstance(results[2].error, InvalidRequestError)
    with pytest.raises(LLMClientError, match="a bad prompt"):
        _ = results[1].text
    assert max(len(repr(result)) for result in results) <= 200
    assert run(side, []) == []


@side
@pytest.mark.parametrize("as_completed", [False, True])
def test_endless_prompts_are_taken_as_results_are_read(side: str, as_completed: bool) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield f"number {taken}"

    results = run(side, endless(), limit=100, concurrency=5, as_completed=as_completed)

    assert taken <= 100 + 2 * 5
    assert {result.text for result in results} <= {f"NUMBER {number}" for number in range(1, taken + 1)}
    assert len({result.index for result in results}) == 100


def test_prompts_may_be_awaited_and_a_slow_one_holds_no_result_back() -> None:
    async def read() -> None:
        asked = asyncio.Event()

        async def prompts() -> AsyncIterator[str]:
            yield "first"
            await asked.wait()  # until the first result has been read
            yield "second"

        found = []
        async for result in AsyncClient("openai/m", api_key="k", transport=MockTransport(answer)).map(
            prompts(), concurrency=4
        ):
            found.append(result.text)
            asked.set()
        assert found == ["FIRST", "SECOND"]

    asyncio.run(asyncio.wait_for(read(), 10))


OK = http(body=b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}')


def slow_first(gate: threading.Event) -> Callable[[Any], list[Any]]:
    """The first prompt's answer comes when the event is set."""

    def script(request: Any) -> list[Any]:
        if b"slow" in request.body:
            assert gate.wait(10)
        return [OK]

    return script


@side
def test_a_slow_row_does_not_hold_up_the_others(side: str) -> None:
    done = threading.Event()
    prompts = ["slow", *map(str, range(11))]

    def progress(number: int) -> None:
        bar.seen += number
        if bar.seen == 11:  # as many as run at a time, behind those that ran beside the slow one
            done.set()

    bar = type("Bar", (), {"seen": 0, "update": staticmethod(progress)})
    with FaultServer(slow_first(done)) as server:
        client = {"base_url": server.url, "api_key": "k"}
        results = run(side, prompts, client=client, concurrency=6, progress=bar)
        assert [result.index for result in results] == list(range(12))

        done.clear()
        bar.seen = 0
        results = run(side, prompts, client=client, concurrency=6, as_completed=True, progress=bar)
        assert results[-1].index == 0


@side
def test_told_to_wait_all_wait(side: str) -> None:
    times = []

    def script(request: Any) -> Reply:
        times.append(mock.clock.now)
        return Reply.error(429, retry_after=40) if len(times) == 1 else Reply.text("Hi")

    mock = MockTransport(script)
    results = run(side, ["a"] * 5, client={"transport": mock, "retry": None}, concurrency=1)

    assert [result.ok for result in results] == [False, True, True, True, True], "it is not the same row that waits"
    assert [at - times[0] for at in times] == [0, 40, 40, 40, 40]


@side
def test_limits_of_the_client_pace_its_map(side: str) -> None:
    mock = MockTransport(answer)
    began = mock.clock.now
    run(side, ["a"] * 90, client={"transport": mock, "limits": Limits(requests=60)}, concurrency=1)

    assert 60 < mock.clock.now - began < 120


@side
@pytest.mark.parametrize(
    ("prompts", "options", "argument"),
    [
        (["a"], {"temprature": 1}, "temprature"),
        (["a"], {"temperature": "hot"}, None),
        (["a"], {"tools": [len], "run_tools": True, "max_turns": 0}, "max_turns"),
        (["a"], {"run_tools": True}, "tools"),
        (["a"], {"concurrency": 0}, "concurrency"),
        (["a"], {"progress": object()}, "progress"),
        ("a prompt", {}, "prompts"),
        (7, {}, "prompts"),
    ],
)
def test_a_mistake_in_the_arguments_is_raised_before_anything_is_sent(
    side: str, prompts: Any, options: dict[str, Any], argument: str | None
) -> None:
    mock = MockTransport(answer)
    client = {"Client": Client, "AsyncClient": AsyncClient}[side]("openai/m", api_key="k", transport=mock)

    with pytest.raises(ConfigurationError) as failure:
        client.map(prompts, **options)  # type: ignore[attr-defined]
    assert argument is None or failure.value.argument == argument
    assert mock.requests == []


@side
def test_an_error_that_is_no_row_s_ends_the_whole(side: str) -> None:
    def prompts() -> Iterator[str]:
        yield "a"
        raise OSError("the file has ended early")

    with pytest.raises(OSError, match="ended early"):
        run(side, prompts())
    with pytest.raises(AssertionError):
        run(side, ["a"], client={"transport": MockTransport([])})


class Unanswering:
    """A server that takes requests, and says nothing."""

    def __enter__(self) -> Unanswering:
        self.server = FaultServer([HOLD]).__enter__()
        self.options = {"base_url": self.server.url, "api_key": "k"}
        return self

    def __exit__(self, *exc: object) -> None:
        self.server.close()

    def has(self, number: int) -> bool:
        return sum(map(len, self.server.received)) >= number


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


@pytest.mark.parametrize("way", ["interrupt", "close", "with", "dropped"])
def test_leaving_ends_the_threads_at_once(way: str) -> None:
    threads = threading.active_count()
    with Unanswering() as upstream, Client("openai/m", **upstream.options) as client:
        results = client.map(itertools.repeat("a"), concurrency=4)

        def read() -> None:
            until(lambda: upstream.has(4))
            os.kill(os.getpid(), signal.SIGINT)

        reader = threading.Thread(target=read)
        reader.start()
        with pytest.raises(KeyboardInterrupt):
            next(results)
        if way != "interrupt":  # once more, and left otherwise
            results = client.map(itertools.repeat("a"), concurrency=4)
            for _ in range(4):
                results._work.submit("a")
            until(lambda: upstream.has(8))
        began = time.monotonic()
        if way == "close":
            results.close()
        elif way == "with":
            with results:
                pass
        else:
            del results
        reader.join()
        assert not [thread for thread in threading.enumerate() if thread.name == "llmclients map"]
        assert time.monotonic() - began < 3
        client.close()
    until(lambda: threading.active_count() <= threads)


def test_leaving_during_a_cool_down_ends_the_sleep() -> None:
    with FaultServer([http("429 Slow down", [("Retry-After", "60")])], per_request=True) as server:
        results = Client("openai/m", base_url=server.url, api_key="k").map(["a"] * 8, concurrency=4)
        results._work.submit("a")
        until(lambda: server.exchanges >= 1)
        time.sleep(0.05)
        began = time.monotonic()
        results.close()

    assert time.monotonic() - began < 3
    with pytest.raises(StopIteration):
        next(results)


@pytest.mark.parametrize("way", ["cancelled", "close", "with", "dropped"])
def test_leaving_ends_the_tasks_at_once(way: str) -> None:
    async def leave(client: AsyncClient, upstream: Unanswering) -> None:
        before = asyncio.all_tasks()
        results = client.map(itertools.repeat("a"), concurrency=4)
        if way == "dropped":
            results._work.fill()
            reader = asyncio.create_task(asyncio.sleep(0))
        else:
            reader = asyncio.create_task(anext(results))  # type: ignore[arg-type]
        while not upstream.has(4):
            await asyncio.sleep(0.005)
        if way == "cancelled":
            reader.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reader
        elif way == "close":
            await results.close()
        elif way == "with":
            async with results:
                pass
        reader.cancel()
        await asyncio.wait([reader])
        del results, reader
        for _ in range(10):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    async def main() -> None:
        with Unanswering() as upstream:
            async with AsyncClient("openai/m", **upstream.options) as client:
                await asyncio.wait_for(leave(client, upstream), 10)

    asyncio.run(main())


def test_a_progress_bar_may_be_tqdm_s_or_rich_s(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.progress import Progress
    from tqdm import tqdm

    for name in SIDES:
        with Progress(disable=True) as progress:
            run(name, ["a", "b", "c"], progress=progress)
            (task,) = progress.tasks
            assert (task.completed, task.total) == (3, 3)
        with tqdm(disable=False) as bar:
            run(name, ["a", "b", "c"], progress=bar)
            assert (bar.n, bar.total) == (3, 3)
        capsys.readouterr()
        run(name, ["a", "b", "c"], progress=True)
        assert "3/3" in capsys.readouterr().err


def test_the_retries_of_a_row_are_its_own() -> None:
    mock = MockTransport(itertools.repeat(Reply.error(429)))
    (result,) = Client("openai/m", api_key="k", transport=mock).map(["a"])

    assert isinstance(result.error, RateLimitError)
    assert len(mock.requests) == 3


def test_a_data_frame_is_refused_as_its_columns_names_would_be_asked(tmp_path: Path) -> None:
    class Frame(list[str]):
        """As pandas and polars have it."""

    for method, rows in (("iterrows", r"to_dict\('records'\)"), ("iter_rows", r"iter_rows\(named=True\)")):
        frame = type("DataFrame", (Frame,), {method: None})(["question", "language"])
        with Client("openai/m", api_key="k", transport=MockTransport()) as client:
            with pytest.raises(
                ConfigurationError, match=r"prompts is a data frame, .*: give one column, prompts\['…'\]$"
            ):
                client.map(frame)
            with pytest.raises(ConfigurationError, match=rf"rows is a data frame, .*: give .*, or rows\.{rows}$"):
                client.bulk(frame, tmp_path / "out.jsonl", progress=False)


def test_the_results_of_an_async_client_used_as_the_other_kind_say_what_to_write() -> None:
    async def mistakes() -> None:
        results: Any = AsyncClient("openai/m", api_key="k", transport=MockTransport()).map(["Hi"])
        with pytest.raises(TypeError, match="needs `async for result"):
            list(results)
        with pytest.raises(TypeError, match=r"map\(\) is not awaited"):
            await results
        await results.close()

    asyncio.run(mistakes())
