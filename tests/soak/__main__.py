"""`make soak`: run it, print it, keep it. SOAK_SCALE shrinks it: 0.01 is a hundredth of the calls."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.reliability.machine import described

from .run import complaints, soak

RESULT = Path(__file__).parents[1] / "reliability" / "results" / "soak.json"


def main() -> int:
    scale = float(os.environ.get("SOAK_SCALE", "1"))
    result = {"command": "make soak", **described(), **soak(scale)}
    found = complaints(result)
    text = json.dumps(result, indent=1, ensure_ascii=False) + "\n"
    print(text)
    if scale == 1 and not found:  # a shrunk one proves less: it does not replace the whole
        RESULT.write_text(text, encoding="utf-8")
    print("\n".join(found) or "flat, and every call came out as it must")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
