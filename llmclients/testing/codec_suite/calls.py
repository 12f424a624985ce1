"""Checks from end to end: both clients, with a scripted transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from llmclients.async_client import AsyncClient
from llmclients.calls.accumulator import Accumulator
from llmclients.client import Client
from llmclients.errors import APIError
from llmclients.testing.codec_suite.base import KEY, Checks, each, errors, good_answers, good_streams, streams
from llmclients.testing.codec_suite.decoding import Outcome, decode
from llmclients.testing.codec_suite.recording import Recording
from llmclients.transports.mock import Cut, MockTransport, Reply
from llmclients.types.response import ChatResponse

__all__ = ["CallChecks"]

_MESSAGE = "Hello!"
_CUTS = 2


class CallChecks(Checks):
    """`Client` and `AsyncClient` with the codec."""

    @each(good_answers)
    def test_chat_brings_the_answer(self, answer: Recording) -> None:
        for side, found in self._outcomes(answer, [_replay(answer)], _chat, _achat):
            assert found.error is None, f"{side}: {found.message}"
            answer.check(self._without_names(found, answer))

    @each(streams)
    def test_a_stream_brings_the_answer(self, stream: Recording) -> None:
        for _, found in self._outcomes(stream, [_replay(stream)], _stream, _astream):
            stream.check(self._without_names(found, stream))

    @each(errors)
    def test_an_error_status_is_raised(self, recorded: Recording) -> None:
        status, headers = recorded.expected["status"], recorded.expected.get("headers", {})
        for calls in ((_chat, _achat), (_stream, _astream)):
            for _, found in self._outcomes(recorded, [Reply(status, recorded.data, headers=headers)], *calls):
                recorded.check_error(found)

    @each(good_streams)
    def test_a_cut_is_never_an_answer(self, stream: Recording) -> None:
        data = stream.data
        whole = decode(self.decoder(stream), [data]).response
        # Before the first byte nothing has been decoded: one stream shows what comes of that.
        first = 0 if stream == good_streams(self)[0] else 1
        places = sorted({len(data) * part // _CUTS for part in range(first, _CUTS + 1)})
        cut = [_replay(stream, [data[:place], Cut()]) for place in places]
        for number, (side, found) in enumerate(self._outcomes(stream, cut, _stream, _astream)):
            place = places[number % len(places)]
            assert whole.text.startswith(found.response.text), f"{side}: other text after {place} bytes"
            if found.error is None:  # the end mark came before the cut
                stream.check(self._without_names(found, stream))

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _sides(self, _case: Recording) -> tuple[str, ...]:
        """The clients that are tried with a recording."""
        return "Client", "AsyncClient"

    def _outcomes(
        self,
        case: Recording,
        replies: Sequence[Reply],
        call: Callable[[Client], ChatResponse],
        acall: Callable[[AsyncClient], Awaitable[ChatResponse]],
    ) -> Iterator[tuple[str, Outcome]]:
        """What a call comes to by each client with each of the replies."""
        sides = self._sides(case)
        if "Client" in sides:
            with self.client(replies) as (client, mock):
                for _ in replies:
                    yield "Client", _outcome(lambda: call(client))
                    assert mock.open_exchanges == 0, "Client leaves a connection open"
        if "AsyncClient" in sides:
            for found in asyncio.run(self._async_outcomes(replies, acall)):
                yield "AsyncClient", found

    async def _async_outcomes(
        self, replies: Sequence[Reply], acall: Callable[[AsyncClient], Awaitable[ChatResponse]]
    ) -> list[Outcome]:
        mock, found = MockTransport(replies), []
        with self.provider() as name:
            async with AsyncClient(name, api_key=KEY, retry=None, transport=mock) as client:
                for _ in replies:
                    try:
                        found.append(Outcome(await acall(client)))
                    except APIError as error:
                        found.append(_failed(error))
                    assert mock.open_exchanges == 0, "AsyncClient leaves a connection open"
        return found

    def _without_names(self, found: Outcome, case: Recording) -> Outcome:
        """Without what the client adds to what the codec read."""
        response = found.response.model_copy(update={"provider": None, "request_id": None})
        if response.model == self.model and "model" not in case.expected.get("response", {}):
            response.model = None
        return Outcome(response, found.error, found.message, found.status, found.retryable, found.done)


def _replay(case: Recording, chunks: list[Any] | None = None) -> Reply:
    headers = {"content-type": case.content_type} if case.content_type else {}
    return Reply(chunks=[case.data] if chunks is None else chunks, headers=headers)


def _outcome(call: Callable[[], ChatResponse]) -> Outcome:
    try:
        return Outcome(call())
    except APIError as error:
        return _failed(error)


def _failed(error: APIError) -> Outcome:
    return Outcome.from_error(error, error.partial or ChatResponse())


def _chat(client: Client) -> ChatResponse:
    return client.chat(_MESSAGE)


async def _achat(client: AsyncClient) -> ChatResponse:
    return await client.chat(_MESSAGE)


def _stream(client: Client) -> ChatResponse:
    accumulator = Accumulator()
    with client.stream(_MESSAGE) as stream:
        for chunk in stream:
            accumulator.add(chunk)
    assert accumulator.response().text == stream.response.text
    return stream.response


async def _astream(client: AsyncClient) -> ChatResponse:
    async with client.stream(_MESSAGE) as stream:
        async for _ in stream:
            pass
    return stream.response
