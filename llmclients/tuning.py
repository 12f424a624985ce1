"""`tune_gc`: what a service with many streams sets of Python's garbage collector, as one call."""

# Nothing that a chunk makes is in a cycle: it is freed as soon as nobody refers to it. But the collector starts by
# counting, every 700 objects made and not yet freed, and an open stream is some seventy objects. So while thousands of
# streams open, it runs over and over, finds nothing, and now and then looks at all that the program has.

from __future__ import annotations

import gc

__all__ = ["tune_gc"]

_YOUNG = 50_000
_MIDDLE = 50
_OLD = 100


def tune_gc(young: int = _YOUNG) -> None:
    """Let Python's garbage collector run seldom, for a service with many streams. Changes the whole process.

    For the end of start-up, once all modules are imported and whatever lives as long as the process is made: this is
    collected once more, and from then on left out (`gc.freeze`). May be called again, for what has been made since. A
    program that never calls it runs with Python's own settings: the library changes none by itself.

    The price: reference cycles are freed later, those of the program's own too, which may be some megabytes more; and
    a cycle through what was frozen is never freed.

    Args:
        young: how many objects are made, and not freed, before a collection of the young ones. Python's own number is
            700 (2000 from Python 3.13 on).

    Raises:
        ValueError: `young` is not positive: to switch the collector off is `gc.disable`'s.
    """
    if young <= 0:
        raise ValueError("young must be positive; to switch the collector off, call gc.disable")
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, _MIDDLE, _OLD)
