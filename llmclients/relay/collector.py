"""`spare_streams`: how often Python's garbage collector runs in a process that is a relay."""

# A collection holds up every stream. With 500 of them on a busy machine, Python's own settings made one of a few
# milliseconds several times a second, and one of 80 ms every 7 s.
#
# Nothing that a request or its connections leave is in a reference cycle (tests/relay/test_relay_collector.py), but
# below TLS: there asyncio has a transport of its own, seven objects, which is in one. So the collector has next
# to nothing to free, and what counts is how seldom it looks.
#
# A collection of the young objects is no cheaper here than a full one: a stream lives for seconds, so by the time of
# the next collection all that there is of all streams is young. And each hands what is open just then on to the next
# generation. With `llmclients.tune_gc`, whose full collections are hours apart, cycles among that would add up to tens
# of megabytes; so here every third or fourth collection is of the middle generation, too, and every third or fourth of
# these is a full one.

from __future__ import annotations

import gc

__all__ = ["spare_streams"]

# Objects made and not freed. What streams make they free, so only more streams than before come near it, of about 140
# objects each, or TLS connections: 100 a second in a minute. Such a collection took 80 ms.
_YOUNG = 50_000
_MIDDLE = _OLD = 2


def spare_streams() -> None:
    """Let the collector run seldom, and never look again at what there is now. Changes the whole process.

    For a process that is nothing but a relay, once it listens.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
