"""One target under atheris: `python -m tests.fuzz.search TARGET [libFuzzer's options]`. Ends as libFuzzer ends."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["llmclients"]):
    from .targets import TARGETS


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
