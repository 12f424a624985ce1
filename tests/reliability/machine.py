"""The machine that a result was measured on, as far as it matters to the result, and when."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone

__all__ = ["described"]


def described() -> dict[str, object]:
    """Date, cores, memory, Python: no names, no paths."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(memory),
        "python": platform.python_version(),
        "system": platform.system(),
    }
