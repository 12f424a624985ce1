"""`Metrics`: what Prometheus reads of a relay. No label has a value of a client's choice.

A model's name is a client's choice until a provider has answered by it; and as some answer by any name, only the first
ones become labels. Each relay has a registry of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from llmclients.relay.records import RequestRecord

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_MAX_MODELS = 100
_OTHER = "other"
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The metrics of one relay.

    Args:
        under_way: tells how many requests are being served.
    """

    def __init__(self, under_way: Callable[[], int]) -> None:
        self._registry = registry = CollectorRegistry()
        self._models: set[str] = set()
        prefix = "llmclients_relay_"
        labels = ("wire", "model")
        self._requests = Counter(
            f"{prefix}requests", "Requests that have ended.", (*labels, "status"), registry=registry
        )
        self._tokens = Counter(f"{prefix}tokens", "Tokens asked and answered.", (*labels, "kind"), registry=registry)
        self._seconds = Histogram(
            f"{prefix}request_seconds", "From a request's head to its end.", labels, buckets=_SECONDS, registry=registry
        )
        self._first_byte = Histogram(
            f"{prefix}first_byte_seconds",
            "From a request's head to the reply's.",
            labels,
            buckets=_SECONDS,
            registry=registry,
        )
        self.streams = Gauge(f"{prefix}open_streams", "Streamed answers under way.", registry=registry)
        open_requests = Gauge(f"{prefix}open_requests", "Requests under way.", registry=registry)
        open_requests.set_function(under_way)
        tasks = Gauge(f"{prefix}tasks", "Tasks of the relay's event loop.", registry=registry)
        tasks.set_function(lambda: len(asyncio.all_tasks()))
        ProcessCollector(registry=registry)

    def count(self, record: RequestRecord, now: float) -> None:
        """A request has ended."""
        labels = (record.wire or "none", self._label(record))
        self._requests.labels(*labels, str(record.status)).inc()
        self._seconds.labels(*labels).observe(now - record.begun)
        if record.first_byte_at is not None:
            self._first_byte.labels(*labels).observe(record.first_byte_at - record.begun)
        if record.usage is not None:
            self._tokens.labels(*labels, "input").inc(record.usage.input_tokens or 0)
            self._tokens.labels(*labels, "output").inc(record.usage.output_tokens or 0)

    def text(self) -> bytes:
        """All of it, in Prometheus' text form. Only in the relay's loop."""
        return generate_latest(self._registry)

    def _label(self, record: RequestRecord) -> str:
        """The model's label: its name, if it is one of the first by which an answer came."""
        if not record.model:
            return ""
        if record.model not in self._models:
            if record.usage is None or len(self._models) >= _MAX_MODELS:
                return _OTHER
            self._models.add(record.model)
        return record.model
