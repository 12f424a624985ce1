"""Random flows of calls, against a model of what a call may do; those of decoders are in `fuzz/`."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from llmclients.calls.chat import ChatCall
from llmclients.calls.fallback import FallbackCall
from llmclients.calls.flow import CallState, Drain, Open, Read, Sleep
from llmclients.codecs.base import CodecOptions
from llmclients.config.client import ClientSettings
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.errors import (
    APIConnectionError,
    APIError,
    APIResponseError,
    APITimeoutError,
    StreamInterruptedError,
)
from llmclients.transports.mock import FakeClock
from llmclients.types.request import ChatRequest
from llmclients.types.response import ChatResponse, Chunk

PROVIDERS = ("openai", "yqcloud", "ylokh")
WIRES = {"http://openai.test": "events", "http://yqcloud.test": "text", "http://ylokh.test": "events"}

words = st.text("abcdefgh ", min_size=1, max_size=6)
statuses = st.sampled_from([503, 429, 500, 408, 529, 409, 503, 400, 401, 404, 422, 302])


class Head:
    """What a transport would hand back."""

    def __init__(self, status: int, headers: dict[str, str]) -> None:
        self.status = status
        self.headers = headers


class CallMachine(RuleBasedStateMachine):
    """Plays the client and the network: performs each step of a flow with an outcome of its own choice."""

    streaming = True

    @initialize(
        providers=st.lists(st.sampled_from(PROVIDERS), min_size=1, max_size=3, unique=True),
        attempts=st.integers(1, 4),
        total=st.sampled_from([None, None, 1.0, 10.0, 60.0]),
        restart=st.sampled_from([True, True, False]),
        oversleep=st.sampled_from([0.0, 0.001, 3.0]),
    )
    def start(self, providers: list[str], attempts: int, total: float | None, restart: bool, oversleep: float) -> None:
        self.clock = FakeClock(1000.0)
        self.oversleep = oversleep
        self.attempts, self.restart = attempts, restart and self.streaming
        self.deadline = None if total is None else 1000.0 + total
        self.order = [f"http://{provider}.test" for provider in providers]
        state = CallState()
        calls = []
        for provider in providers:
            own = ClientSettings.from_arguments(
                provider, model="m" if provider == "openai" else None, base_url=f"http://{provider}.test",
                timeout=Timeout(total=total), retry=RetryPolicy(attempts=attempts), trust_env=False,
            )  # fmt: skip
            request, options = ChatRequest.from_messages("Hi", model=own.model_name(None)), own.codec.options()
            assert isinstance(options, CodecOptions)
            calls.append(
                ChatCall(
                    own, self.clock, request, options, stream=self.streaming, restart=self.restart,
                    state=state, rng=random.Random(7),
                )
            )  # fmt: skip
        self.call = calls[0] if len(calls) == 1 else FallbackCall(calls)
        self.flow = self.call.stream() if self.streaming else self.call.reply()
        self.told_late = False
        self.opens: list[str] = []
        self.failures = 0
        self.chunks: list[Chunk] = []
        self.delivering_attempt = 0
        self.restarts = 0
        self.text = ""  # that the attempt under way has sent
        self.may_end = False
        self.result: ChatResponse | None = None
        self.error: APIError | None = None
        self.go(lambda: next(self.flow))

    # what a flow may do

    def go(self, step: Any) -> None:
        try:
            self.step = step()
        except StopIteration as end:
            self.step, self.result = None, end.value
            self.check_result()
            return
        except APIError as error:  # and nothing else
            self.step, self.error = None, error
            self.check_error()
            return
        match self.step:
            case Open(request=request, deadline=deadline):
                assert deadline == self.deadline
                assert not self.told_late, "an attempt after the deadline"
                assert not self.chunks or self.restart, "an attempt behind the caller's back"
                self.opens.append(next(base for base in self.order if request.url.startswith(base)))
                assert self.opens.count(self.opens[-1]) <= self.attempts
                assert self.opens == sorted(self.opens, key=self.order.index), "back to an earlier provider"
                self.text, self.may_end = "", False
            case Sleep(seconds=seconds):
                assert seconds > 0
                assert self.deadline is None or self.clock.now + seconds < self.deadline, "asleep past the deadline"
                assert not self.chunks or self.restart
                self.clock.sleep(seconds + self.oversleep)
                self.go(lambda: self.flow.send(None))
            case Chunk() as chunk:  # as a caller does: one by one, until they end or raise
                assert self.streaming
                again = bool(self.chunks) and self.delivering_attempt != len(self.opens)
                assert chunk.restarted == again
                self.restarts += again
                self.delivering_attempt = len(self.opens)
                self.chunks.append(chunk)
                assert self.call.response().text == self.delivered
                self.go(lambda: next(self.flow))
            case Drain():
                assert self.may_end
                self.go(lambda: next(self.flow))

    @property
    def delivered(self) -> str:
        """What a caller who obeys `restarted` has."""
        text = ""
        for chunk in self.chunks:
            text = "" if chunk.restarted else text + chunk.text
        return text

    def check_result(self) -> None:
        assert self.result is not None
        assert self.may_end, "an end without the provider's end mark"
        assert self.result.text == self.text
        assert self.result.finish_reason == "stop"
        assert f"http://{self.result.provider}.test" == self.opens[-1]
        if self.streaming:
            assert self.delivered == self.text

    def check_error(self) -> None:
        error = self.error
        assert error is not None
        assert error.provider is not None
        assert f"http://{error.provider}.test" == self.opens[-1]
        assert str(error).startswith(f"{error.provider} ({error.provider}.test): ")
        assert len(error.previous_errors) == len(self.opens) - 1
        assert all(isinstance(one, APIError) and one.provider for one in error.previous_errors)
        if self.streaming:
            partial = error.partial.text if error.partial is not None else ""
            assert partial == self.delivered or not self.chunks

    # what may happen to it

    def at(self, kind: Any) -> bool:
        return isinstance(self.step, kind)

    @property
    def late(self) -> bool:
        return self.deadline is not None and self.clock.now >= self.deadline

    def answer(self, outcome: Any) -> None:
        if self.late:  # as every transport does
            self.run_out()
        else:
            self.go(lambda: self.flow.send(outcome))

    def fail(self, error: APIError) -> None:
        if self.late:
            self.run_out()
        else:
            self.go(lambda: self.flow.throw(error))

    def run_out(self) -> None:
        self.told_late = True
        self.go(lambda: self.flow.throw(APITimeoutError("too late", phase="total")))

    @precondition(lambda self: self.at(Open | Read))
    @rule(seconds=st.sampled_from([0.01, 0.6, 4.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.at(Open))
    @rule(texts=st.lists(words, max_size=3))
    def connect(self, texts: list[str]) -> None:
        self.answer(Head(200, {"content-type": "text/event-stream", "x-request-id": f"r{len(self.opens)}"}))
        if texts and self.at(Read):
            self.send_texts(texts)

    @precondition(lambda self: self.step is None)
    @rule()
    def stay_ended(self) -> None:
        with pytest.raises(StopIteration):
            next(self.flow)

    @precondition(lambda self: self.at(Open))
    @rule(status=statuses, retry=st.sampled_from([None, None, 0, 1, 5, 300]))
    def refuse(self, status: int, retry: int | None) -> None:
        opens = len(self.opens)
        self.answer(Head(status, {} if retry is None else {"retry-after": str(retry)}))
        if self.at(Read) and len(self.opens) == opens:
            self.answer(b"")

    @precondition(lambda self: self.at(Open | Read))
    @rule(error=st.sampled_from(["lost", "lost", "connect", "read", "garbage"]))
    def break_off(self, error: str) -> None:
        match error:
            case "lost":
                self.fail(StreamInterruptedError("cut") if self.at(Read) else APIConnectionError("refused"))
            case "garbage":
                self.fail(APIResponseError("not HTTP"))
            case phase:
                self.fail(APITimeoutError("slow", phase=phase))  # type: ignore[arg-type]

    @precondition(lambda self: self.at(Read) and not self.may_end)
    @rule(texts=st.lists(words, min_size=1, max_size=3))
    def send_text(self, texts: list[str]) -> None:
        self.send_texts(texts)

    def send_texts(self, texts: list[str]) -> None:
        if not self.late:
            self.text += "".join(texts)
        if not self.streaming and self.opens[-1] != "http://yqcloud.test":
            choice = {"message": {"content": self.text}, "finish_reason": "stop"}
            self.may_end = not self.late
            self.answer(json.dumps({"choices": [choice]}).encode())
        elif WIRES[self.opens[-1]] == "text":
            self.answer("".join(texts).encode())
        else:
            deltas = [{"choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
            self.answer(b"".join(b"data: " + json.dumps(delta).encode() + b"\n\n" for delta in deltas))

    @precondition(lambda self: self.at(Read))
    @rule()
    def send_garbage(self) -> None:
        if WIRES[self.opens[-1]] == "events" and self.streaming:
            self.answer(b'data: {"choices":[{]}\n\n')
        elif WIRES[self.opens[-1]] == "text":
            self.answer(b"\xff\xff")

    @precondition(lambda self: self.at(Read) and self.streaming)
    @rule()
    def send_the_end(self) -> None:
        if WIRES[self.opens[-1]] == "events" and not self.late:
            self.may_end = True
            finish = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
            self.answer(finish + b"data: [DONE]\n\n")

    @precondition(lambda self: self.at(Read))
    @rule()
    def end_the_body(self) -> None:
        if WIRES[self.opens[-1]] == "text" and self.text and not self.late:
            self.may_end = True
        self.answer(b"")

    @invariant()
    def it_ends_one_way(self) -> None:
        assert self.result is None or self.error is None


class ReplyMachine(CallMachine):
    """The same for `chat`, which hands nothing out until it is whole."""

    streaming = False


@pytest.mark.long
@pytest.mark.hypothesis
@pytest.mark.parametrize("machine", [CallMachine, ReplyMachine])
def test_a_call_keeps_its_rules_whatever_happens(machine: type[CallMachine]) -> None:
    run_state_machine_as_test(machine, settings=settings(stateful_step_count=40))
