"""The workloads without a peer: each decoder alone, a long conversation, a long answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.decoding import EVENT_CODECS, codecs, count_chunks, reads
from benchmarks.machine import resident_bytes
from benchmarks.wire import MODEL, PROMPT
from llmclients import Client, Message

__all__ = ["WORKLOADS"]

_REPEATS = 3


def decoder(server: str, *, codec: str, size: int, per_read: int, seconds: float) -> dict[str, float]:
    """A decoder, fed from memory."""
    loaded, parts = codecs()[codec], reads(codec, size, per_read)
    expected = count_chunks(loaded, parts)
    if codec in EVENT_CODECS and not size < expected < size + 5:  # and what says how it ended
        raise AssertionError(f"{expected} chunks came, not {size} and a few")
    rounds, start = 0, time.process_time()
    while not rounds or time.process_time() - start < seconds:
        if count_chunks(loaded, parts) != expected:
            raise AssertionError("another number of chunks came")
        rounds += 1
    cpu = time.process_time() - start
    megabytes = rounds * sum(map(len, parts)) / 1e6
    return {"chunks_per_s": rounds * expected / cpu, "mb_per_s": megabytes / cpu, "count": rounds * expected}


def long_conversation(server: str, *, messages: int) -> dict[str, float]:
    """One turn, and saving, after half the messages and after all."""
    with Client("openai", model=MODEL, base_url=f"{server}/chat/v1", api_key="key") as client:
        client.chat(PROMPT)
        half, whole = _turn(client, messages // 2), _turn(client, messages)
    return {"ms": whole * 1e3, "half_ms": half * 1e3, "growth": whole / half / 2, "count": messages}


def _turn(client: Client, messages: int) -> float:
    pairs = [Message("user", "And then what happened?"), Message("assistant", "Then the wire went on. " * 4)]
    best = float("inf")
    for _ in range(_REPEATS):
        conversation = client.conversation()
        conversation.messages.extend(message.model_copy() for _ in range(messages // 2) for message in pairs)
        start = time.process_time()
        conversation.chat("Go on.")
        conversation.model_dump_json()
        best = min(best, time.process_time() - start)
        if len(conversation.messages) != messages + 2:
            raise AssertionError("the turn is not part of the history")
    return best


def long_answer(server: str, *, chunks: int) -> dict[str, float]:
    """One stream of so many chunks, and before it one of half as many. The memory is counted from before both."""
    _answer(server, 1000)
    before = resident_bytes()
    half, _ = _answer(server, chunks // 2)
    whole, size = _answer(server, chunks)
    return {
        "cpu_us": whole / chunks * 1e6,
        "growth": whole / half / 2,
        "memory_per_text": (resident_bytes(highest=True) - before) / size,
        "text_mb": size / 1e6,
        "count": chunks,
    }


def _answer(server: str, chunks: int) -> tuple[float, int]:
    limit: dict[str, Any] = {"max_response_bytes": 1 << 30}  # the default is a tenth of what comes
    with Client("openai", model=MODEL, base_url=f"{server}/long/{chunks}/v1", api_key="key", **limit) as client:
        start, count = time.process_time(), 0
        stream = client.stream(PROMPT)
        for chunk in stream:
            count += bool(chunk.text)
        size = len(stream.response.text)
        if count != chunks:
            raise AssertionError(f"{count} texts came, not {chunks}")
        return time.process_time() - start, size


WORKLOADS: dict[str, Callable[..., dict[str, float]]] = {
    function.__name__: function for function in (decoder, long_conversation, long_answer)
}
