"""The numbers in Gemini's replies, also those that JSON can write and a float cannot hold."""

from __future__ import annotations

import pytest
from helpers import decode, whole_reply

from llmclients import Client
from llmclients.codecs.gemini.codec import GeminiCodec
from llmclients.errors import APIResponseError
from llmclients.transports.mock import MockTransport, Reply
from llmclients.types.response import ChatResponse, TokenLogprob

CODEC = GeminiCodec()

REPLY = """{"candidates": [{"content": {"role": "model", "parts": [{"text": "A"}]}, "finishReason": "STOP",
    "logprobsResult": {"chosenCandidates": [{"token": "A", "logProbability": CHOSEN}],
                       "topCandidates": [{"candidates": [{"token": "B", "logProbability": LIKELY}]}]}}],
    "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": COUNT}}"""


def numbers(chosen: str = "-1", top: str = "-2", count: str = "3") -> bytes:
    """A reply with these numbers, as JSON has them."""
    return REPLY.replace("CHOSEN", chosen).replace("LIKELY", top).replace("COUNT", count).replace("\n", " ").encode()


def both_ways(body: bytes) -> list[ChatResponse]:
    """What is read in a reply, and in a stream of it alone."""
    streamed = decode(CODEC.stream_decoder("text/event-stream"), [b"data: " + body + b"\r\n\r\n"])
    assert streamed.error is None, streamed.message
    return [whole_reply(CODEC, body), streamed.response]


@pytest.mark.parametrize(("text", "value"), [("-1", -1.0), ("-0.5", -0.5), ("0", 0.0), ("-1e308", -1e308)])
def test_log_probabilities_are_read(text: str, value: float) -> None:
    for response in both_ways(numbers(text, text)):
        top = TokenLogprob(token="B", logprob=value)
        assert response.logprobs == [TokenLogprob(token="A", logprob=value, top=[top])]


NO_NUMBERS = ["1e400", "-1e400", "NaN", "-Infinity", "9" * 400, '"-1"', "null", "true", "[]", "{}"]


@pytest.mark.parametrize("place", ["chosen", "top"])
@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_log_probability_is_the_provider_s_error(place: str, text: str) -> None:
    body = numbers(**{place: text})

    with pytest.raises(APIResponseError, match="logProbability"):
        whole_reply(CODEC, body)
    with pytest.raises(APIResponseError, match="logProbability"):
        list(CODEC.stream_decoder("text/event-stream").feed(b"data: " + body + b"\r\n\r\n"))


@pytest.mark.parametrize("text", ["1e400", "NaN", "1.5", '"3"', "true", "[]"])
def test_what_is_no_count_is_the_provider_s_error(text: str) -> None:
    body = numbers(count=text)

    with pytest.raises(APIResponseError, match="totalTokenCount"):
        whole_reply(CODEC, body)
    with pytest.raises(APIResponseError, match="totalTokenCount"):
        list(CODEC.stream_decoder("text/event-stream").feed(b"data: " + body + b"\r\n\r\n"))


def test_an_infinite_log_probability_reaches_the_caller_as_the_provider_s_error() -> None:
    body = numbers("1e400")
    stream = Reply(headers={"content-type": "text/event-stream"}, chunks=[b"data: " + body + b"\r\n\r\n"])
    transport = MockTransport([Reply(body=body), stream])

    with Client("gemini", model="m", api_key="k", transport=transport) as gemini:
        with pytest.raises(APIResponseError) as raised:
            gemini.chat("Hi", logprobs=True)
        assert raised.value.provider == "gemini"
        with pytest.raises(APIResponseError) as raised:
            list(gemini.stream("Hi", logprobs=True))
        assert raised.value.provider == "gemini"
