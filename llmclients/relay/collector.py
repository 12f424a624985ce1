"""`spare_streams`: how often Python's garbage collector runs in a process that is a relay."""

# A collection holds up every stream. With 500 of them on a busy machine, Python's own settings made one of a few
# milliseconds several times a second, and one of 80 ms every 7 s.
#
# Nothing that it makes for a request is in a cycle (tests/relay/test_relay_collector.py). But each transport of asyncio
# is, about eight objects with what it holds, which no public method undoes. So the collector has something to free,
# though little: 100 connections a second leave some 800 objects.
#
# A collection of the young objects is no cheaper here than a full one: a stream lives for seconds, so by the time of
# the next collection all that there is of all streams is young. What counts is how seldom there is one. But each hands
# the transports that are open just then on to the next generation. With `llmclients.tune_gc`, whose full collections
# are hours apart, those would add up to tens of megabytes; so here every third or fourth collection is of the middle
# generation, too, and every third or fourth of these is a full one.

from __future__ import annotations

import gc

__all__ = ["spare_streams"]

# Objects made and not freed: half a minute of what 100 connections a second leave, with the streams that have begun
# meanwhile, of about 140 objects each. Such a collection took 80 ms, and freed 22,000.
_YOUNG = 50_000
_MIDDLE = _OLD = 2


def spare_streams() -> None:
    """Let the collector run seldom, and never look again at what there is now. Changes the whole process.

    For a process that is nothing but a relay, once it listens.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
