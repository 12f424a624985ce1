"""How calls of tools are made, whole and streamed, through both clients: hooks, failures, threads, and their end."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from llmclients import AsyncClient, Client, ToolCall, ToolDenied, ToolLoopError, ToolResult
from llmclients.errors import InvalidRequestError, StreamInterruptedError
from llmclients.testing import MockTransport, Reply
from tests.calls.tool_sides import ARGUMENTS, Sides, Taken


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def side(request: pytest.FixtureRequest) -> Sides:
    return Sides(request.param)


CALLED: list[dict[str, Any]] = []


@pytest.fixture(autouse=True)
def forget_calls() -> None:
    CALLED.clear()


def pay(to: str, euros: int = 1) -> str:
    """Pay."""
    CALLED.append({"to": to, "euros": euros})
    return f"paid {euros} to {to}"


def broken(key: str = "") -> str:
    """Fails."""
    raise PermissionError(f"password\nrejected {key}")


def ask(side: Sides, *calls: tuple[str, dict[str, Any]], whole: bool = False, **options: Any) -> Taken:
    """A turn of these calls, and an answer; streamed, or whole."""
    mock = MockTransport([Reply.tool_calls(*calls), Reply.text("Done.")])
    options = {"tools": [pay, broken], **options}
    if not whole:
        return side.stream(mock, **options)
    taken = Taken()
    try:
        taken.response = side.chat(mock, **options)
    except Exception as error:  # noqa: BLE001 - looked at by the test
        taken.error = error
    return taken


def results(taken: Taken) -> list[str]:
    return [message.text for message in taken.response.intermediate_messages if message.role == "tool"]


BOTH = pytest.mark.parametrize("whole", [False, True], ids=["stream", "chat"])
ADA, BOB = ("pay", {"to": "Ada"}), ("pay", {"to": "Bob"})


@BOTH
def test_on_tool_call_lets_pass_changes_or_denies_before_any_call_is_made(side: Sides, whole: bool) -> None:
    seen = []

    def on_tool_call(call: ToolCall) -> ToolCall | ToolDenied | None:
        assert CALLED == []
        seen.append((call.name, call.arguments["to"]))
        if call.arguments["to"] == "Bob":
            return ToolDenied("nothing to\nBob")
        if call.arguments["to"] == "Cy":
            raise ToolDenied
        if call.arguments["to"] == "Di":
            return ToolCall("of no matter", "pay", {"to": "Di", "euros": 5})
        if call.arguments["to"] == "Ed":
            call.arguments_text = '{"to": "Ed", "euros": 7}'
        return None

    calls = [("pay", {"to": name}) for name in ("Ada", "Bob", "Cy", "Di", "Ed")]
    taken = ask(side, *calls, whole=whole, on_tool_call=on_tool_call)

    assert taken.error is None
    assert seen == [("pay", name) for name in ("Ada", "Bob", "Cy", "Di", "Ed")]
    assert results(taken) == [
        "paid 1 to Ada",
        "Error: the call was denied: nothing to Bob",
        "Error: the call was denied",
        "paid 5 to Di",
        "paid 7 to Ed",
    ]
    assistant, *told = taken.response.intermediate_messages
    assert [message.is_error for message in told] == [False, True, True, False, False]
    assert [call.arguments for call in assistant.tool_calls or ()] == [{"to": call[1]["to"]} for call in calls]
    assert [message.tool_call_id for message in told] == [call.id for call in assistant.tool_calls or ()]
    if not whole:
        made = {one.call.arguments["to"]: one.call.arguments.get("euros") for one in taken.results if one.call}
        assert {one.id for one in taken.results} == {message.tool_call_id for message in told}
        assert made == {"Ada": None, "Bob": None, "Cy": None, "Di": 5, "Ed": 7}


@BOTH
def test_on_tool_result_sees_and_may_change_what_the_model_is_told(side: Sides, whole: bool) -> None:
    seen: list[ToolResult] = []

    def on_tool_result(result: ToolResult) -> ToolResult | str | None:
        seen.append(result)
        if result.is_error:
            return "try another one"
        if result.text.endswith("Bob"):
            return result.model_copy(update={"content": "paid"})
        return None

    options: dict[str, Any] = {"on_tool_result": on_tool_result, "raise_tool_errors": True}  # which it has handled
    taken = ask(side, ADA, BOB, ("broken", {}), whole=whole, **options)

    assert results(taken) == ["paid 1 to Ada", "paid", "try another one"]
    assert {type(one.error) for one in seen} == {type(None), PermissionError}
    assert taken.response.intermediate_messages[-1].is_error is True
    if not whole:
        assert {one.content for one in taken.results} == {"paid 1 to Ada", "paid", "try another one"}


@BOTH
def test_what_a_hook_raises_or_should_not_return_ends_the_call(side: Sides, whole: bool) -> None:
    def stops(_: Any) -> None:
        raise LookupError("no more")

    def ends(_: Any) -> None:
        raise StopAsyncIteration

    for name, hook, kind, words, paid in (
        ("on_tool_call", stops, LookupError, "no more", 0),
        ("on_tool_result", stops, LookupError, "no more", None),
        ("on_tool_call", ends, ToolLoopError, "raised StopAsyncIteration", 0),
        ("on_tool_call", lambda call: False, ToolLoopError, r"on_tool_call returns None .*, not bool", 0),
        ("on_tool_call", lambda call: "no", ToolLoopError, r"on_tool_call returns None .*, not str", 0),
        ("on_tool_result", lambda result: 5, ToolLoopError, r"on_tool_result returns None .*, not int", None),
    ):
        CALLED.clear()
        taken = ask(side, ADA, BOB, whole=whole, **{name: hook})
        assert isinstance(taken.error, kind), (name, taken.error)
        with pytest.raises(kind, match=words):
            raise taken.error
        if paid is not None:
            assert len(CALLED) == paid


@BOTH
def test_hooks_are_awaited_by_the_async_client_and_refused_by_the_other(whole: bool) -> None:
    async def on_tool_call(call: ToolCall) -> ToolDenied | None:
        await asyncio.sleep(0)
        return ToolDenied("no") if call.arguments["to"] == "Bob" else None

    async def on_tool_result(result: ToolResult) -> str:
        await asyncio.sleep(0)
        return result.text.upper()

    hooks: dict[str, Any] = {"on_tool_call": on_tool_call, "on_tool_result": on_tool_result}
    assert results(ask(Sides(True), ADA, BOB, whole=whole, **hooks)) == [
        *("PAID 1 TO ADA", "ERROR: THE CALL WAS DENIED: NO")
    ]
    for name, hook in hooks.items():
        with pytest.raises(InvalidRequestError, match=f"{name} is async"):
            Client("openai", **ARGUMENTS).stream("Hi", tools=[pay], run_tools=True, **{name: hook})
    late = ask(Sides(False), ADA, whole=whole, on_tool_call=lambda call: on_tool_call(call))
    assert isinstance(late.error, ToolLoopError)
    assert "coroutine, which only AsyncClient awaits" in str(late.error)


def test_a_hook_may_close_the_stream_and_nothing_is_called() -> None:
    mock = MockTransport([Reply.tool_calls(ADA, BOB)])
    stream = Client("openai", transport=mock, **ARGUMENTS).stream(
        "Hi", tools=[pay], run_tools=True, on_tool_call=lambda call: stream.close()
    )
    with pytest.raises(StreamInterruptedError, match="closed before its end"):
        list(stream)

    async def main() -> None:
        mock = MockTransport([Reply.tool_calls(ADA, BOB)])
        stream = AsyncClient("openai", transport=mock, **ARGUMENTS).stream(
            "Hi", tools=[pay], run_tools=True, on_tool_call=lambda call: stream.close()
        )
        with pytest.raises(StreamInterruptedError, match="closed before its end"):
            [chunk async for chunk in stream]

    asyncio.run(main())
    assert CALLED == []


def test_hooks_without_tools_to_run_are_refused() -> None:
    client = Client("openai", transport=MockTransport([]), **ARGUMENTS)
    for options, words in (
        ({"on_tool_call": print}, "on_tool_call has a meaning only with run_tools=True"),
        ({"on_tool_result": print}, "on_tool_result has a meaning only with run_tools=True"),
        ({"raise_tool_errors": True}, "raise_tool_errors has a meaning only with run_tools=True"),
        ({"run_tools": True, "on_tool_call": "yes"}, "on_tool_call is a function, not str"),
        ({"run_tools": True, "raise_tool_errors": 1}, "raise_tool_errors is True or False, not int"),
    ):
        for method in (client.chat, client.stream, client.conversation().chat, client.conversation().stream):
            with pytest.raises(InvalidRequestError, match=words):
                method("Hi", tools=[pay], **options)


@BOTH
def test_what_a_tool_raises_is_told_in_one_line_and_logged_without_secrets(
    side: Sides, whole: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "llmclients")
    secret = "sk-very-secret-0123456789"
    mock = MockTransport([Reply.tool_call("broken", key=secret), Reply.text("Sorry.")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARGUMENTS, "api_key", secret)
        taken = Taken()
        if whole:
            taken.response = side.chat(mock, tools=[broken])
        else:
            taken = side.stream(mock, tools=[broken])

    assert results(taken) == ["Error: PermissionError: password rejected ***"]
    warnings = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert warnings == ["the call of the tool broken failed: PermissionError: password rejected ***"]
    assert "in broken\n" in caplog.text
    assert secret not in caplog.text


@BOTH
def test_what_a_tool_raises_is_raised_where_it_is_asked_for(side: Sides, whole: bool) -> None:
    taken = ask(side, ("broken", {}), whole=whole, raise_tool_errors=True)
    assert isinstance(taken.error, PermissionError)
    frames = []
    traceback = taken.error.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert frames[-1] == "broken"

    def exhausted() -> str:
        """Ends as an iterator does."""
        return next(iter(()))

    taken = ask(side, ("exhausted", {}), whole=whole, tools=[exhausted], raise_tool_errors=True)
    assert isinstance(taken.error, ToolLoopError)
    assert isinstance(taken.error.__cause__, StopIteration)

    taken = ask(side, ("pay", {"whom": "Ada"}), ("pai", {}), whole=whole, raise_tool_errors=True)
    assert taken.error is None
    assert [text[:30] for text in results(taken)] == [
        *("Error: the arguments do not fi", "Error: there is no tool 'pai':")
    ]


USER = contextvars.ContextVar("USER", default="nobody")


def test_client_makes_the_calls_of_a_turn_in_threads_of_their_own_with_the_caller_s_context() -> None:
    together = threading.Barrier(3, timeout=10)

    def who(wait: bool = False) -> str:
        """Who asks."""
        if wait:
            together.wait()
        user = USER.get()
        USER.set("changed")
        return f"{user} {threading.current_thread() is threading.main_thread()}"

    token = USER.set("Ada")
    try:
        taken = ask(Sides(False), *[("who", {"wait": True})] * 3, *[("who", {})] * 20, tools=[who])
        assert results(taken) == ["Ada False"] * 23
        assert USER.get() == "Ada"
    finally:
        USER.reset(token)

    def thread() -> str:
        """Which thread."""
        return str(threading.get_ident())

    assert results(ask(Sides(False), ("thread", {}), tools=[thread])) == [str(threading.get_ident())]


def test_what_generators_yield_is_told_as_a_list(side: Sides) -> None:
    def plain() -> Iterator[str]:
        yield from "ab"

    async def awaited() -> AsyncIterator[str]:
        yield "c"
        await asyncio.sleep(0)
        yield "d"

    taken = ask(side, ("plain", {}), ("awaited", {}), tools=[plain, awaited])

    assert taken.error is None
    assert results(taken) == ['["a","b"]', '["c","d"]']


def test_no_more_than_eight_calls_run_in_threads_at_once() -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work() -> str:
        """Work."""
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.002)
        with lock:
            running -= 1
        return "done"

    assert results(ask(Sides(False), *[("work", {})] * 30, tools=[work])) == ["done"] * 30
    assert 1 < most <= 8


def test_after_a_failure_that_is_raised_no_more_calls_are_begun() -> None:
    begun, end = [], threading.Event()

    def work() -> str:
        """Work."""
        begun.append(True)
        end.wait(10)
        return "done"

    taken = ask(Sides(False), ("broken", {}), *[("work", {})] * 30, tools=[work, broken], raise_tool_errors=True)
    end.set()
    for thread in threading.enumerate():
        if thread.name == "tool":
            thread.join(10)
    assert isinstance(taken.error, PermissionError)
    assert len(begun) <= 8


def test_without_parallel_tool_calls_they_run_one_by_one(side: Sides) -> None:
    running = 0
    threads = set()

    def step() -> str:
        """A step."""
        nonlocal running
        running += 1
        assert running == 1
        threads.add(threading.get_ident())
        time.sleep(0.001)
        running -= 1
        return "ok"

    taken = ask(side, *[("step", {})] * 4, tools=[step], parallel_tool_calls=False)
    assert results(taken) == ["ok"] * 4
    if not side.is_async:
        assert threads == {threading.get_ident()}


def test_an_interrupt_in_a_tool_s_thread_reaches_the_caller() -> None:
    def interrupted() -> None:
        """Ctrl-C."""
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(Sides(False), ("interrupted", {}), ADA, tools=[interrupted, pay])


async def test_a_failure_that_is_raised_cancels_the_other_calls_first() -> None:
    cancelled = []

    async def waits() -> None:
        """Wait."""
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.append(True)

    async def fails() -> None:
        """Fail."""
        await asyncio.sleep(0)
        raise LookupError

    mock = MockTransport([Reply.tool_calls(("waits", {}), ("fails", {}))])
    async with AsyncClient("openai", transport=mock, **ARGUMENTS) as client:
        with pytest.raises(LookupError):
            await client.chat("Hi", tools=[waits, fails], run_tools=True, raise_tool_errors=True)
    assert cancelled == [True]


async def test_a_call_that_is_cancelled_from_within_is_a_failure_and_no_cancellation() -> None:
    async def cancelled() -> None:
        """Cancelled by what it waits for."""
        raise asyncio.CancelledError

    mock = MockTransport([Reply.tool_calls(("cancelled", {})), Reply.text("Sorry.")])
    async with AsyncClient("openai", transport=mock, **ARGUMENTS) as client:
        response = await client.chat("Hi", tools=[cancelled], run_tools=True)
    assert response.intermediate_messages[-1].text == "Error: the call was cancelled"


HANGS = """
import sys, threading
from llmclients import Client
from llmclients.testing import MockTransport, Reply

def hang() -> str:
    sys.stdout.write("begun\\n")  # at once: two threads write
    sys.stdout.flush()
    threading.Event().wait()

mock = MockTransport([Reply.tool_calls(("hang", {}), ("hang", {}))])
client = Client("openai", model="m", api_key="key", transport=mock)
try:
    client.chat("Hi", tools=[hang], run_tools=True)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def test_ctrl_c_ends_a_program_whose_tools_hang_in_threads() -> None:
    with subprocess.Popen([sys.executable, "-c", HANGS], stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            assert [program.stdout.readline() for _ in range(2)] == ["begun\n"] * 2
            program.send_signal(signal.SIGINT)
            assert program.communicate(timeout=10)[0] == "interrupted\n"
        finally:
            program.kill()
    assert program.returncode == 0
