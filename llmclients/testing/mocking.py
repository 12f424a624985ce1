"""`mock_clients`: answers from a script for every client of the process, also those that a program makes by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from llmclients.errors import APIError
from llmclients.transports.mock import MockRequest, MockTransport, Reply
from llmclients.transports.stand_in import remove_stand_in, set_stand_in

__all__ = ["mock_clients"]

ScriptItem = Reply | APIError | Callable[[MockRequest], Reply | APIError]


@contextmanager
def mock_clients(*script: ScriptItem) -> Iterator[MockTransport]:
    """In this block, every client is answered from the script, and nothing is sent: docs/testing.md shows it.

    It holds for the whole process, in all threads and event loops: for clients that are made in the block, and for
    those that were made before. They need no key, and no server is started for the local model. Waits take no time. A
    client with a `transport=` of its own keeps that. Blocks may be nested: the inner script answers. A request that
    the script has no reply for raises `ScriptExhausted`.

    Args:
        script: replies and errors, used in turn; or one function that has a reply for each `MockRequest`.

    Raises:
        TypeError: the script is something else.
    """
    transport = MockTransport(_checked(script))
    set_stand_in(transport)
    try:
        yield transport
    finally:
        remove_stand_in(transport)


def _checked(
    script: tuple[ScriptItem, ...],
) -> tuple[Reply | APIError, ...] | Callable[[MockRequest], Reply | APIError]:
    replies: list[Reply | APIError] = []
    for item in script:
        if isinstance(item, Reply | APIError):
            replies.append(item)
        elif callable(item) and len(script) == 1:
            return item
        else:
            hint = ": give its items, mock_clients(*replies)" if isinstance(item, list | tuple) else ""
            raise TypeError(
                "a script is replies, such as Reply.text('Hi'), and errors, or one function: "
                f"not {type(item).__name__}{hint}"
            )
    return tuple(replies)
