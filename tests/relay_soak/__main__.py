"""`make soak-relay`: run it, print it, keep it. RELAY_SECONDS: how long, in place of 1,800.

A whole one that went well is kept for `docs/reliability.md`, which `make reliability` writes.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.reliability.machine import described

from .run import SECONDS, STREAMS, complaints, soak

RESULT = Path(__file__).parents[1] / "reliability" / "results" / "relay.json"


def main() -> int:
    seconds = float(os.environ.get("RELAY_SECONDS", str(SECONDS)))
    width = int(os.environ.get("RELAY_STREAMS", str(STREAMS)))
    result = {"command": "make soak-relay", **described(), **soak(seconds, width)}
    found = complaints(result)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    print(text)
    if (seconds, width) == (SECONDS, STREAMS) and not found:  # a shrunk one proves less: it does not replace the whole
        RESULT.write_text(text, encoding="utf-8")
    print("\n".join(found) or "flat, fast enough, and nothing is left")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
