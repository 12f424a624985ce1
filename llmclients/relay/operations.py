"""`Operations`: what an operator sees of a relay, and how it is told to end: requests under way, log, metrics, health.

All of it belongs to the relay's loop, but for `drain`, which a signal's handler may call.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from llmclients.relay.errors import Failure, RequestRejected
from llmclients.relay.log import LOG_NAME, request_line
from llmclients.relay.metrics import Metrics
from llmclients.relay.records import RequestRecord

__all__ = ["Operations"]

_log = logging.getLogger(LOG_NAME)


class Operations:
    """The operator's side of one relay.

    Attributes:
        under_way: how many requests are being served.
        is_draining: whether the relay takes no new requests, as it is to end.
        metrics: what Prometheus reads.
    """

    def __init__(self) -> None:
        self.under_way = 0
        self.is_draining = False
        self.metrics = Metrics(lambda: self.under_way)

    @contextmanager
    def request(self, record: RequestRecord) -> Iterator[None]:
        """A request is served inside; then it is counted and logged, however that ended."""
        self.under_way += 1
        record.outcome = "broken off: the relay stops"
        try:
            yield
        finally:
            self.under_way -= 1
            if record.is_logged:
                self.finish(record)

    def finish(self, record: RequestRecord) -> None:
        """Count and log a request."""
        now = time.monotonic()
        self.metrics.count(record, now)
        if _log.isEnabledFor(logging.INFO):
            line, extra = request_line(record.fields(now))
            _log.info("%s", line, extra=extra)

    def stream(self) -> AbstractContextManager[None]:
        """A streamed answer is under way inside."""
        # Not a generator of ours: on Python 3.10, the cancellation that passes through one when a client leaves is in a
        # circle with its traceback, and keeps the request until the collector comes by.
        return self.metrics.streams.track_inprogress()

    def check_open(self) -> None:
        """Raise RequestRejected where the relay takes no new requests."""
        if self.is_draining:
            headers = (("retry-after", "1"), ("connection", "close"))
            raise RequestRejected(Failure(503, "the relay is about to end: try again", headers=headers))

    def drain(self) -> None:
        """Take no new requests from now on."""
        self.is_draining = True
