"""The numbers in Gemini's replies, also those that JSON can write and a float cannot hold."""

from __future__ import annotations

from helpers import decode, whole_reply
from tables import table

from llmclients.codecs.gemini.codec import GeminiCodec
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


@table("text, value", [("-1", -1.0), ("-0.5", -0.5), ("0", 0.0), ("-1e308", -1e308)])
def test_log_probabilities_are_read(text: str, value: float) -> None:
    for response in both_ways(numbers(text, text)):
        top = TokenLogprob(token="B", logprob=value)
        assert response.logprobs == [TokenLogprob(token="A", logprob=value, top=[top])]
