"""`clear_locals`: takes the local variables out of an error's tracebacks, as tools that show them would show keys."""

# An error's traceback holds the frames that it has left, and those hold their variables. Sentry, rich, cgitb and
# `traceback.TracebackException(capture_locals=True)` show them: the headers that urllib3 was given, the bytes that
# http.client has sent, the piece of a body in which a server repeats the key. Nobody can make all of these quiet, so a
# call that fails empties the frames instead. What a traceback says of files, lines and functions stays.
#
# Emptied are frames of this package and of what it sends by, in the error and in all that it is chained to. A chain can
# also lead to an error that the caller was handling when the call was made; the caller's frames are left alone.
#
# A frame that still runs cannot be emptied. So who is first to hold a secret calls this where it catches the error, and
# has none in variables of its own: the constructor of a client, the one of a call, and the driver of its flow.
#
# A mistake in an argument is the caller's, so its traceback ends where the caller's line is: the public method that was
# called catches it, and raises it anew `without_our_frames`, which leaves that method's own. Where anybody else's code
# is in the traceback (a schema, a transport), all of it stays. Errors of other kinds keep theirs: they may be our bugs.

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

__all__ = ["clear_locals", "without_our_frames"]

_PACKAGES = frozenset({
    *("llmclients", "requests", "urllib3", "http", "socket", "ssl", "socks", "socksio", "encodings", "idna", "urllib"),
    *("httpx", "httpx2", "httpx_aiohttp", "httpcore", "httpcore2", "h11", "h2", "anyio", "aiohttp", "asyncio"),
    *("concurrent", "contextlib", "pydantic", "pydantic_core"),
})  # fmt: skip


ErrorT = TypeVar("ErrorT", bound=BaseException)


def without_our_frames(error: ErrorT) -> ErrorT:
    """The error to raise again in the frame that has caught it, without the frames below, if all of them are ours."""
    below = error.__traceback__ and error.__traceback__.tb_next
    traceback = below
    while traceback is not None:
        if not _is_ours(traceback):
            return error.with_traceback(below)
        traceback = traceback.tb_next
    return error.with_traceback(None)


def _is_ours(traceback: TracebackType) -> bool:
    return str(traceback.tb_frame.f_globals.get("__name__")).partition(".")[0] in _PACKAGES


def clear_locals(error: BaseException) -> None:
    """Empty the frames that `error`, and the errors it is chained to, have left."""
    for one in _chain(error):
        traceback = one.__traceback__
        while traceback is not None:
            if _is_ours(traceback):
                with suppress(RuntimeError):  # it runs
                    traceback.tb_frame.clear()
            traceback = traceback.tb_next


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those that a traceback shows with it or that wrap one another, each once."""
    todo: list[object] = [error]
    seen = set[int]()
    while todo:
        one = todo.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [one.__cause__, one.__context__, getattr(one, "reason", None)]
            todo += [*one.args, *getattr(one, "exceptions", ()), *getattr(one, "previous_errors", ())]
