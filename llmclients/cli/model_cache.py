"""The names of models that were listed, kept so that a shell can complete them without asking anybody."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from llmclients.local.weights import cached_weights

__all__ = ["keep_models", "kept_models"]


def keep_models(provider: str, names: Sequence[str]) -> None:
    """Keep the names. Where that cannot be, nothing is kept."""
    path = _path(provider)
    with suppress(OSError):
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            written = path.with_name(f"{path.name}.{os.getpid()}")
            written.write_text(json.dumps(list(names)), encoding="utf-8")
            written.replace(path)


def kept_models(provider: str) -> list[str]:
    """The names that were kept; none before any were listed."""
    path = _path(provider)
    with suppress(OSError, ValueError):
        names = json.loads(path.read_text(encoding="utf-8")) if path is not None else []
        return [name for name in names if isinstance(name, str)]
    return []


def _path(provider: str) -> Path | None:
    weights = cached_weights()
    return None if weights is None else weights.parent / "models" / f"{provider}.json"
