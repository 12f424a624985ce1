"""What clients can do, combined: views, fallbacks, defaults, tools, streams, map, limits, logs, copies, closing."""

from __future__ import annotations

import asyncio
import copy
import gc
import itertools
import pickle
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asking import KINDS, closed, outcome

from llmclients import (
    APITimeoutError,
    AsyncClient,
    Client,
    ConfigurationError,
    Conversation,
    History,
    RetryPolicy,
    StreamInterruptedError,
    Timeout,
    ToolLoopError,
)
from llmclients.bulk import Limits
from llmclients.testing import FaultServer, MockTransport, Reply
from llmclients.testing.fault_server import HOLD, http

KEY, SPARE_KEY, SECRET = "sk-0123456789", "key-of-the-spare", "secret-of-the-call"
kinds = pytest.mark.parametrize("kind", KINDS)


def weather(city: str) -> str:
    """The weather."""
    return f"Rain in {city}"


TOOLS: dict[str, Any] = {"tools": [weather], "run_tools": True}


def forecast(request: Any) -> Reply:
    """Asks for the weather, and tells it."""
    if "tools" not in request.json:
        return Reply.stream("Hel", "lo")
    if request.messages[-1].role == "tool":
        return Reply.text(request.messages[-1].text)
    return Reply.tool_call("weather", city="Oslo")


def failing(status: int) -> Callable[[Any], Reply]:
    return lambda _: Reply(status)


def made(kind: Any, script: Any, name: str = "openai/m", **options: Any) -> Any:
    return kind(name, **{"api_key": KEY, "transport": MockTransport(script), **options})


def read(results: Any) -> list[Any]:
    """All of it, of an iterator of either client."""

    async def awaited() -> list[Any]:
        return [one async for one in results]

    return asyncio.run(awaited()) if hasattr(results, "__aiter__") else list(results)


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.002)


# --- fallbacks, views, defaults, tools, map -------------------------------------------------------------------------


@kinds
def test_a_view_s_rows_run_tools_at_a_client_to_fall_back_on_which_keeps_its_own_defaults(kind: Any) -> None:
    spare = made(kind, forecast, "anthropic/m", api_key=SPARE_KEY, defaults={"temperature": 0.5})
    client = made(kind, failing(500), fallback=[spare], retry=3, defaults={"temperature": 0, "tools": [weather]})
    view = client.with_options(retry=None, defaults={"seed": None})
    first, second = client._given_transport, spare._given_transport
    results = read(view.map(["a", "b"], run_tools=True, system="Be brief.", headers={"X-Token": SECRET}, concurrency=1))
    assert [result.text for result in results] == ["Rain in Oslo"] * 2
    for call in (view.chat, view.stream):
        assert outcome(call("a", run_tools=True)).text == "Rain in Oslo"
    assert len(first.requests) == len(second.requests) == 8, "each turn begins with the first again"
    assert {request.json["temperature"] for request in first.requests} == {0}
    assert {request.json["temperature"] for request in second.requests} == {0.5}
    assert {request.json.get("system") for request in second.requests[:4]} == {"Be brief."}
    assert not any(SECRET in dict(request.headers).values() for request in second.requests)


@kinds
def test_a_choice_among_the_defaults_is_made_once(kind: Any) -> None:
    client = made(kind, forecast, defaults={"tools": [weather], "tool_choice": "required", "n": None})
    assert outcome(client.chat("x", run_tools=True)).text == "Rain in Oslo"
    assert [request.json.get("tool_choice") for request in client._given_transport.requests] == ["required", None]


@kinds
def test_one_deadline_holds_for_all_providers_and_all_turns(kind: Any) -> None:
    first, second = MockTransport(failing(503)), MockTransport(forecast)
    spare = kind("anthropic/m", api_key=KEY, transport=second)
    client = kind("openai/m", api_key=KEY, transport=first, fallback=[spare], retry=None)

    def slow(city: str) -> str:
        first.clock.advance(4)
        second.clock.advance(4)
        return city

    slow.__name__ = "weather"
    second.clock.advance(1000)  # each clock has a scale of its own
    for call in (client.chat, client.stream):
        answer = outcome(call("x", tools=[slow], run_tools=True, timeout=Timeout(total=5)))
        assert (answer.text, answer.provider) == ("Oslo", "anthropic")
        with pytest.raises(APITimeoutError) as caught:
            outcome(call("x", tools=[slow], run_tools=True, timeout=Timeout(total=3)))
        assert caught.value.phase == "total"
        assert [message.role for message in caught.value.partial.intermediate_messages] == ["assistant", "tool"]


@kinds
def test_rows_keep_to_the_limits_of_a_client_to_fall_back_on_behind_its_interactive_calls(kind: Any) -> None:
    asked: list[bool] = []

    class Seen(Limits):
        def enter(self, size: int, max_tokens: int | None = None, *, bulk: bool = False) -> Any:
            asked.append(bulk)
            return super().enter(size, max_tokens, bulk=bulk)

    spare = made(kind, forecast, "anthropic/m", limits=Seen(6000))
    client = made(kind, failing(503), fallback=[spare], retry=None)
    assert all(result.ok for result in read(client.map(["a", "b"])))
    outcome(client.chat("x"))
    assert asked == [True, True, False]


# --- closing --------------------------------------------------------------------------------------------------------

OK = http(body=b'{"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}')


def test_a_closed_client_ends_its_map_and_not_only_the_row() -> None:
    read: list[int] = []

    async def awaited(client: AsyncClient) -> None:
        async for result in client.map(itertools.repeat("x"), concurrency=2):
            read.append(result.index)
            if result.index == 4:
                await client.close()

    def waited(client: Client) -> None:
        for result in client.map(itertools.repeat("x"), concurrency=2):
            read.append(result.index)
            if result.index == 4:
                client.close()

    with FaultServer([OK]) as server:
        options: Any = {"api_key": KEY, "base_url": server.url, "trust_env": False}
        with pytest.raises(ConfigurationError, match="client is closed"):
            waited(Client("openai/m", **options))
        with pytest.raises(ConfigurationError, match="client is closed"):
            asyncio.run(awaited(AsyncClient("openai/m", **options)))
    assert len(read) <= 20


@pytest.mark.parametrize("waits", ["for the answer", "between attempts"])
def test_leaving_a_map_ends_what_its_rows_wait_for_at_a_client_to_fall_back_on(waits: str) -> None:
    script, retry = ([HOLD], None) if waits == "for the answer" else ([http("503 x")], RetryPolicy(initial_wait=60))
    with FaultServer([http("503 x")]) as first, FaultServer(script) as second:
        options: Any = {"api_key": KEY, "trust_env": False}
        spare = Client("anthropic/m", base_url=second.url, retry=retry, **options)
        client = Client("openai/m", base_url=first.url, retry=None, fallback=[spare], **options)
        results = client.map(["a", "b"])
        reader = threading.Thread(target=lambda: list(results))
        reader.start()
        until(lambda: second.exchanges >= 2)
        began = time.monotonic()
        results.close()
        reader.join()
        assert time.monotonic() - began < 2
        assert repr(results) == "MapResults(closed, read=0, under_way=2)"


@pytest.mark.parametrize("tools", [{}, TOOLS], ids=["one turn", "tools"])
def test_closing_a_stream_ends_the_wait_for_its_answer_s_begin(tools: dict[str, Any]) -> None:
    async def awaited(client: AsyncClient) -> None:
        for close, begin in itertools.product((True, False), ("open", "__anext__")):
            asked, stream = server.exchanges, client.stream("x", **tools)

            async def wait(stream: Any = stream, begin: str = begin) -> None:
                await getattr(stream, begin)()

            task = asyncio.create_task(wait())
            while server.exchanges == asked:
                await asyncio.sleep(0.002)
            await (stream.close() if close else client.close())
            with pytest.raises(StreamInterruptedError, match="closed"):
                await asyncio.wait_for(task, 2)
            client = AsyncClient("openai/m", **options)

    with FaultServer([HOLD]) as server:
        options: Any = {"api_key": KEY, "base_url": server.url, "trust_env": False, "retry": None}
        asyncio.run(awaited(AsyncClient("openai/m", **options)))
        for close, begin in itertools.product((True, False), ("open", "__next__")):
            client, asked = Client("openai/m", **options), server.exchanges
            stream: Any = client.stream("x", **tools)

            def end(asked: int = asked, one: Any = stream if close else client) -> None:
                until(lambda: server.exchanges > asked)
                one.close()

            closer = threading.Thread(target=end)
            closer.start()
            began = time.monotonic()
            with pytest.raises(StreamInterruptedError, match="closed"):
                getattr(stream, begin)()
            assert time.monotonic() - began < 5
            closer.join()


def test_closing_a_stream_ends_its_wait_between_two_attempts() -> None:
    async def awaited(client: AsyncClient) -> None:
        stream = client.stream("x")
        task = asyncio.create_task(stream.__anext__())  # type: ignore[arg-type]
        while not server.exchanges:
            await asyncio.sleep(0.002)
        await asyncio.sleep(0.05)
        await stream.close()
        with pytest.raises(StreamInterruptedError, match=r"^openai .*closed") as caught:
            await asyncio.wait_for(task, 2)
        assert len(caught.value.previous_errors) == 1

    with FaultServer([http("503 x")]) as server:
        retry = RetryPolicy(initial_wait=60, jitter=0)
        options: Any = {"api_key": KEY, "base_url": server.url, "trust_env": False, "retry": retry}
        asyncio.run(awaited(AsyncClient("openai/m", **options)))
        stream = Client("openai/m", **options).stream("x")
        closer = threading.Timer(0.1, stream.close)
        closer.start()
        began = time.monotonic()
        with pytest.raises(StreamInterruptedError, match="closed"):
            next(stream)
        assert time.monotonic() - began < 5
        closer.join()


def test_a_cancellation_is_no_close() -> None:
    async def main() -> None:
        client = AsyncClient("openai/m", api_key=KEY, base_url=server.url, trust_env=False, retry=None)
        stream = client.stream("x")
        task = asyncio.create_task(stream.__anext__())  # type: ignore[arg-type]
        while not server.exchanges:
            await asyncio.sleep(0.002)
        task.cancel()
        await stream.close()
        with pytest.raises(asyncio.CancelledError):
            await task

    with FaultServer([HOLD]) as server:
        asyncio.run(main())


@kinds
def test_a_client_that_is_closed_sends_nothing_by_a_client_to_fall_back_on(kind: Any) -> None:
    spare = made(kind, forecast, "anthropic/m")

    def refuse(_: Any) -> Reply:
        client._transport.closed = True
        return Reply(503)

    client = made(kind, refuse, fallback=[spare], retry=None)
    for call in (client.chat, client.stream):
        client._transport.closed = False
        with pytest.raises(ConfigurationError, match="the client is closed"):
            outcome(call("x"))
    assert spare._given_transport.requests == []


@kinds
def test_a_client_to_fall_back_on_that_is_closed_by_a_tool_is_not_taken_for_what_the_tool_returned(kind: Any) -> None:
    spare = made(kind, forecast, "anthropic/m")
    client = made(kind, forecast, fallback=[spare])

    def closing(city: str) -> str:
        spare._transport.closed = True
        return city

    closing.__name__ = "weather"
    for call in (client.chat, client.stream):
        spare._transport.closed = False
        with pytest.raises(
            ToolLoopError, match=r"^what follows the tools cannot be sent: .*anthropic/m.* is closed"
        ) as e:
            outcome(call("x", tools=[closing], run_tools=True))
        assert len(e.value.response.intermediate_messages) == 2


# --- secrets --------------------------------------------------------------------------------------------------------


def our_frames(error: BaseException) -> list[dict[str, Any]]:
    """The variables of the package's frames in the error's traceback."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [frame.f_locals for frame in frames if str(frame.f_globals["__name__"]).startswith("llmclients")]


def seen_in(error: BaseException) -> str:
    """What tools print of an error, with the variables in our part of its traceback."""
    return " ".join((str(error), repr(error), repr(vars(error)), repr(our_frames(error))))


@kinds
def test_no_error_of_a_map_shows_a_header(kind: Any) -> None:
    client = made(kind, lambda request: Reply(401, json={"error": str(request.headers)}), retry=None)

    def prompts() -> Iterator[str]:
        yield "x"
        raise OSError("the file has ended early")

    def broken(city: str) -> str:
        raise OSError("no weather")

    broken.__name__ = "weather"
    tools = {"tools": [broken], "run_tools": True, "raise_tool_errors": True}
    asking = made(kind, forecast)
    headers = {"X-Token": SECRET}
    for call in (
        lambda: client.map(["x"], headers=headers, temprature=0),
        lambda: client.map(["x"], headers=headers, timeout=-1),
        lambda: client.map(["x"], headers=headers, transport=1),
        lambda: client.map("x", headers=headers),
        lambda: client.map(headers=headers),
        lambda: read(client.map(prompts(), headers=headers)),
        lambda: read(asking.map(["x"], headers=headers, **tools)),
    ):
        with pytest.raises((ConfigurationError, OSError)) as caught:
            call()
        assert SECRET not in seen_in(caught.value)
        if isinstance(caught.value, ConfigurationError):
            assert len(our_frames(caught.value)) == 1
    (row,) = read(client.map(["x"], headers=headers))
    assert SECRET not in seen_in(row.error) + repr(row)


# --- copies ---------------------------------------------------------------------------------------------------------


@kinds
def test_what_is_read_once_is_not_copied_and_what_is_shared_stays_shared(kind: Any) -> None:
    client = made(kind, forecast)
    for once in (client.stream("x"), client.map(["x"])):
        for operation in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="copied or pickled"):
                operation(once)
    limits = Limits(60)
    assert copy.copy(limits) is copy.deepcopy(limits) is limits


@kinds
def test_a_conversation_is_pickled_without_its_client(kind: Any) -> None:
    client = made(kind, forecast, headers={"X-Token": SECRET})
    conversation = client.with_options(model="other").conversation("Be brief.", temperature=0)
    outcome(conversation.stream("x"))
    data = pickle.dumps(conversation)
    assert SECRET.encode() not in data
    loaded = pickle.loads(data)
    assert loaded.model_dump() == conversation.model_dump()
    with pytest.raises(ConfigurationError, match=r"conversation.bind\(client\)"):
        outcome(loaded.chat("y"))
    bound = loaded.bind(client)
    outcome(bound.chat("y", **TOOLS))
    assert [message.role for message in bound.messages] == [
        *("user", "assistant", "user", "assistant", "tool", "assistant"),
    ]
    assert (len(bound.turns), len(loaded.turns)) == (2, 1)
    assert isinstance(loaded, Conversation) is (kind is Client)


# --- nothing is left behind -----------------------------------------------------------------------------------------


class Calls:
    """Weak references to the calls that clients prepare."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[weakref.ref[Any]] = []
        for kind in KINDS:
            monkeypatch.setattr(kind, "_one_turn", self._noting(kind._one_turn))

    def _noting(self, prepare: Any) -> Any:
        def noted(*args: Any, **options: Any) -> Any:
            call = prepare(*args, **options)
            self.made += [weakref.ref(one) for one in (call, *getattr(call, "_calls", ()))]
            return call

        return noted

    def left(self, *transports: MockTransport) -> int:
        for transport in transports:
            transport.requests.clear()
        made, self.made = self.made, []
        assert made
        return sum(ref() is not None for ref in made)


def asked_in_all_ways(client: Any) -> Iterator[Callable[[], Any]]:
    conversation = client.conversation(temperature=0)
    yield lambda: client.chat("x")
    yield lambda: client.chat("x", **TOOLS)
    yield lambda: client.with_options(timeout=3).stream("x", timeout=Timeout(total=900))
    yield lambda: client.stream("x", **TOOLS)
    yield lambda: client.stream("x", **TOOLS).text_stream
    yield lambda: conversation.stream("x")
    yield lambda: client.map(["x", "y"], concurrency=1)


@kinds
@pytest.mark.parametrize("way", ["plain", "retried", "fallback", "logged"])
def test_a_call_dies_with_the_last_reference_to_it(
    kind: Any, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = itertools.count()
    flaky = MockTransport(lambda request: Reply(503) if next(turns) % 2 == 0 else forecast(request))
    first, second = MockTransport(failing(500)), MockTransport(forecast)
    transport = {"retried": flaky, "fallback": first}.get(way, second)
    spare = kind("anthropic/m", api_key=KEY, transport=second)
    options: Any = {"fallback": [spare]} if way == "fallback" else {}
    if way == "logged":
        options["log"] = History.open(tmp_path / "log.db")
    retry = RetryPolicy(2) if way == "retried" else None
    client = kind("openai/m", api_key=KEY, transport=transport, limits=Limits(60_000), retry=retry, **options)
    calls = Calls(monkeypatch)

    async def awaited() -> None:
        for ask in asked_in_all_ways(client):
            value = ask()
            if asyncio.iscoroutine(value):
                await value
            else:
                async for _ in value:
                    pass
            del value, ask
            await asyncio.sleep(0)  # the loop's own references
            assert calls.left(flaky, first, second) == 0

    def asked() -> None:
        for ask in asked_in_all_ways(client):
            value = ask()
            if hasattr(value, "__next__"):
                for _ in value:
                    pass
            del value, ask
            assert calls.left(flaky, first, second) == 0

    asyncio.run(asyncio.sleep(0))
    gc.collect()
    gc.disable()
    try:
        asyncio.run(awaited()) if kind is AsyncClient else asked()
    finally:
        gc.enable()
    closed(client)


@kinds
def test_a_stream_that_was_left_is_in_the_log_when_the_client_is_closed(kind: Any, tmp_path: Path) -> None:
    history = History.open(tmp_path / "log.db")
    client = made(kind, forecast, log=history)

    async def leave() -> None:
        async for _ in client.stream("Left"):
            break

    if kind is AsyncClient:
        asyncio.run(leave())
    else:
        for _ in client.stream("Left"):
            break
    closed(client.with_options(timeout=5))
    assert [conversation.title for conversation in history.conversations()] == ["Left"]


def test_a_map_belongs_to_the_event_loop_that_reads_it() -> None:
    results = made(AsyncClient, forecast).map(["x"] * 9, concurrency=2)

    async def first() -> Any:
        return await results.__anext__()

    assert asyncio.run(first()).text == "Hello"
    with pytest.raises(ConfigurationError, match="one event loop"):
        asyncio.run(first())


# --- mistakes -------------------------------------------------------------------------------------------------------


@kinds
def test_a_mistake_s_traceback_has_one_frame_of_ours(kind: Any) -> None:
    client = made(kind, forecast)
    for mistake in (
        lambda: client.map(["x"], temprature=0),
        lambda: client.with_options(temperature=0),
        lambda: client.conversation(temprature=0),
        lambda: client.conversation("Be brief.", messages=[{"role": "system", "content": "Be long."}, "x"]),
        lambda: client.conversation(""),
        lambda: client.conversation().stream("x", model="other"),
        lambda: client.stream("x").objects(),
        lambda: client.stream("x").partial,
        lambda: client.stream("x", restart=True).text_stream,
        lambda: client.stream("x", max_turns=3),
    ):
        with pytest.raises(ConfigurationError) as caught:
            mistake()
        assert len(our_frames(caught.value)) == 1, str(caught.value)
    assert client._given_transport.requests == []
