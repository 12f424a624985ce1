"""The scripted transport behaves as the real ones do, without waiting."""

from __future__ import annotations

import asyncio
import gzip
from typing import Any

import pytest

from llmclients.config.values import Timeout
from llmclients.errors import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    LLMClientError,
    RateLimitError,
    ResponseTooLargeError,
    StreamInterruptedError,
)
from llmclients.transports.mock import ConnectFault, Cut, Delay, FakeClock, MockTransport, Reply, ScriptExhausted

from .sides import PATIENCE, post

URL = "http://mock.example/chat"


class Played:
    """What one exchange over one side came to."""

    def __init__(
        self, side: str, mock: MockTransport, timeout: Timeout = PATIENCE, within: float | None = None
    ) -> None:
        self.pieces: list[bytes] = []
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.error: LLMClientError | None = None
        deadline = None if within is None else mock.clock.monotonic() + within
        try:
            if side == "sync":
                self._sync(mock, timeout, deadline)
            else:
                asyncio.run(self._async(mock, timeout, deadline))
        except LLMClientError as error:
            self.error = error

    def _sync(self, mock: MockTransport, timeout: Timeout, deadline: float | None) -> None:
        response = mock.sync().open(post(URL), timeout, deadline)
        self.status, self.headers = response.status, dict(response.headers)
        while piece := response.read():
            self.pieces.append(piece)
        response.close()
        response.close()

    async def _async(self, mock: MockTransport, timeout: Timeout, deadline: float | None) -> None:
        response = await mock.asynchronous().open(post(URL), timeout, deadline)
        self.status, self.headers = response.status, dict(response.headers)
        while piece := await response.read():
            self.pieces.append(piece)
        await response.close()
        response.abort()


sides = pytest.mark.parametrize("side", ["sync", "async"])


@sides
def test_replies_in_order(side: str) -> None:
    mock = MockTransport(
        [Reply(body="one"), Reply(201, chunks=[b"t", "", "wo"], headers={"X-Id": "7"}), Reply(json={"a": 1})]
    )
    first, second, third = (Played(side, mock) for _ in range(3))
    assert (first.status, first.pieces) == (200, [b"one"])
    assert (second.status, second.pieces, second.headers) == (201, [b"t", b"wo"], {"x-id": "7"})
    assert (third.pieces, third.headers["content-type"]) == ([b'{"a": 1}'], "application/json")
    assert [request.url for request in mock.requests] == [URL] * 3
    assert (mock.opened, mock.closed, mock.aborted, mock.open_exchanges) == (3, 3, 0, 0)


@sides
def test_the_end_of_the_script_names_the_request(side: str) -> None:
    mock = MockTransport([Reply()])
    Played(side, mock)
    with pytest.raises(ScriptExhausted, match=f"no reply for POST {URL}: its only reply was used"):
        Played(side, mock)
    assert issubclass(ScriptExhausted, AssertionError)


@sides
def test_a_function_answers_each_request(side: str) -> None:
    mock = MockTransport(lambda request: Reply(body=request.body))
    assert Played(side, mock).pieces == [b"{}"]


@sides
def test_faults(side: str) -> None:
    limited = RateLimitError("slow down", status_code=429)
    mock = MockTransport([ConnectFault(), limited, Reply(chunks=["a", Cut()]), Reply(chunks=["a", limited])])
    refused, thrown, cut, broken = (Played(side, mock) for _ in range(4))
    assert type(refused.error) is ConnectFault
    assert isinstance(refused.error, APIConnectionError)
    assert (type(thrown.error), vars(thrown.error)) == (RateLimitError, vars(limited))
    assert (cut.pieces, type(cut.error)) == ([b"a"], Cut)
    assert isinstance(cut.error, StreamInterruptedError)
    assert (broken.pieces, str(broken.error), type(broken.error)) == ([b"a"], "slow down", RateLimitError)
    assert mock.opened == 2
    assert limited.__traceback__ is None, "the script's own error keeps the frames of all that it was raised in"


@sides
@pytest.mark.parametrize(
    ("reply", "timeout", "within", "phase", "passed"),
    [
        (Reply(chunks=[Delay(9), "a", Delay(9), "b"]), Timeout(read=10), None, None, 18),
        (Reply(chunks=[Delay(6), Delay(6), "a"]), Timeout(read=10), None, "read", 10),
        (Reply(chunks=["a", Delay(11)]), Timeout(read=10), None, "read", 10),
        (Reply(wait=11), Timeout(read=10), None, "read", 10),
        (Reply(wait=9, chunks=[Delay(9)]), Timeout(read=10), None, None, 18),
        (Reply(chunks=["a", Delay(3), "b", Delay(3)]), Timeout(read=10), 5, "total", 5),
        (Reply(wait=6), Timeout(read=10), 5, "total", 5),
        (Reply(chunks=[Delay(20)]), Timeout(read=10), 15, "read", 10),
        (Reply(), Timeout(read=10), -1, "total", 0),
    ],
)
def test_delays(
    side: str, reply: Reply, timeout: Timeout, within: float | None, phase: str | None, passed: float
) -> None:
    mock = MockTransport([reply])
    start = mock.clock.monotonic()
    played = Played(side, mock, timeout, within)
    assert mock.clock.monotonic() - start == passed
    assert getattr(played.error, "phase", None) == phase
    if phase is not None:
        assert isinstance(played.error, APITimeoutError)


@sides
def test_bodies_are_decoded_and_limited(side: str) -> None:
    packed = gzip.compress(bytes(5000))
    encoded = {"Content-Encoding": "gzip"}
    mock = MockTransport(
        [
            Reply(body=packed[:-4], headers=encoded),
            Reply(body=packed, headers=encoded),
            Reply(body="x", headers={"Content-Encoding": "br"}),
            Reply(302, "moved", headers={"Location": "/"}),
        ],
        max_response_bytes=4000,
    )
    errors = [type(Played(side, mock).error) for _ in range(4)]
    assert errors == [ResponseTooLargeError, ResponseTooLargeError, APIResponseError, type(None)]
    cut = MockTransport([Reply(body=packed[:-4], headers=encoded)])
    assert type(Played(side, cut).error) is StreamInterruptedError


def test_leaving_early_is_counted() -> None:
    mock = MockTransport([Reply(body="a")] * 3)
    response = mock.sync().open(post(URL), Timeout(), None)
    assert mock.open_exchanges == 1
    response.close()
    with pytest.raises(StreamInterruptedError, match="closed"):
        response.read()

    async def main() -> None:
        dropped: Any = await mock.asynchronous().open(post(URL), Timeout(), None)
        dropped.abort()
        with pytest.raises(StreamInterruptedError, match="closed"):
            await dropped.read()

    asyncio.run(main())
    assert (mock.opened, mock.closed, mock.aborted, mock.open_exchanges) == (2, 1, 1, 0)
    mock.sync().close()
    asyncio.run(mock.asynchronous().close())


def test_the_clock() -> None:
    clock = FakeClock(100)
    mock = MockTransport(clock=clock)
    mock.sync().clock.sleep(2)
    asyncio.run(mock.asynchronous().clock.asleep(3))
    clock.advance(5)
    assert (clock.time(), clock.monotonic(), clock.slept) == (110, 110, [2, 3])
