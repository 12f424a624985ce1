"""What the local model's tests share."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from llmclients.local import engine, packages, weights

ROOT = Path(__file__).resolve().parents[2]
HEADER = b"GGUF\x03\x00\x00\x00" + b"\x00" * 16


def are_weights_there() -> bool:
    cached = weights.cached_weights()
    return bool(cached and cached.exists()) or weights.installed_weights() is not None


# Skipping where the extra is absent must be seen in the summary, and never happens where `make test` runs.
needs_model = pytest.mark.skipif(
    not are_weights_there() or importlib.util.find_spec(packages.ENGINE_PACKAGE) is None,
    reason=f"the local model is not installed; run: {packages.INSTALL_COMMAND}",
)


def weights_file(folder: Path, name: str = "some.gguf", content: bytes = HEADER) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def engines(model: Path) -> list[int]:
    """The processes that serve these weights to this one, as they do by default: a page may have begun others."""
    usual = (model, None, None)
    found = (
        running._process
        for order, (_, running) in engine._running.items()
        if (order.weights, order.context_size, order.threads) == usual
    )
    return [process.pid for process in found if process is not None]


def run(script: str, *, dev: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a program; with `dev`, each file and process that nobody closed is named on its stderr."""
    return subprocess.run(
        # Python 3.12 and later warn of any fork beside threads.
        [sys.executable, *(("-X", "dev") if dev else ("-W", "ignore")), "-c", textwrap.dedent(script)],
        capture_output=True, text=True, timeout=90, cwd=ROOT,
    )  # fmt: skip
