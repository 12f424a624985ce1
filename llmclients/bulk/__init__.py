"""Many calls: limits that are shared by threads, tasks and processes, and what a run of `bulk` comes to."""

from __future__ import annotations

from llmclients.bulk.bulk_report import BulkReport
from llmclients.bulk.limits import Limits

__all__ = ["BulkReport", "Limits"]
