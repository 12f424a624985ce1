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

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

__all__ = ["clear_locals"]

_PACKAGES = frozenset({
    *("llmclients", "requests", "urllib3", "http", "socket", "ssl", "socks", "socksio", "encodings", "idna", "urllib"),
    *("httpx", "httpx2", "httpx_aiohttp", "httpcore", "httpcore2", "h11", "h2", "anyio", "aiohttp", "asyncio"),
    *("concurrent", "contextlib", "pydantic", "pydantic_core"),
})  # fmt: skip


def clear_locals(error: BaseException) -> None:
    """Empty the frames that `error`, and the errors it is chained to, have left."""
    for one in _chain(error):
        traceback = one.__traceback__
        while traceback is not None:
            frame = traceback.tb_frame
            if str(frame.f_globals.get("__name__")).partition(".")[0] in _PACKAGES:
                with suppress(RuntimeError):  # it runs
                    frame.clear()
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
