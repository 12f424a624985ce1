"""Many calls: what a provider allows, shared by threads, tasks and processes."""

from __future__ import annotations

from llmclients.bulk.limits import Limits

__all__ = ["Limits"]
