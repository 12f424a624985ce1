"""`make soak-relay`: run it and print it. RELAY_SECONDS: how long, in place of 1,800."""

from __future__ import annotations

import json
import os
import sys

from tests.reliability.machine import described

from .run import STREAMS, complaints, soak


def main() -> int:
    seconds = float(os.environ.get("RELAY_SECONDS", "1800"))
    width = int(os.environ.get("RELAY_STREAMS", str(STREAMS)))
    result = {"command": "make soak-relay", **described(), **soak(seconds, width)}
    found = complaints(result)
    print(json.dumps(result, indent=1, ensure_ascii=False))
    print("\n".join(found) or "flat, fast enough, and nothing is left")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
