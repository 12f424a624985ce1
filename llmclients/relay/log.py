"""The relay's log: a line for each request, to be read or as JSON. What clients send cannot make a line of its own.

`RequestRecord` says what a line has, and what it never has.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import Any

from llmclients.errors import one_line
from llmclients.relay.log_text import MAX_LINE
from llmclients.relay.settings import LogFormat

__all__ = ["LOG_NAME", "log_on_stderr", "request_line"]

LOG_NAME = "llmclients.relay"

_FIELDS = "relay_fields"
_MAX_VALUE = 200  # characters


def request_line(fields: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """A request's line, and the `extra` of its log record: for the JSON form, or a program's own handler."""
    safe = {name: one_line(value, _MAX_VALUE) if isinstance(value, str) else value for name, value in fields.items()}
    head = " ".join(str(safe[name]) for name in ("method", "path") if name in safe)
    names = [str(safe[name]) for name in ("wire", "model") if name in safe]
    parts = [f"HTTP {safe['status']}", f"{safe['seconds']:.2f} s"]
    if "first_byte_seconds" in safe:
        parts[-1] += f" (first byte {safe['first_byte_seconds']:.2f} s)"
    if "input_tokens" in safe or "output_tokens" in safe:
        parts.append(f"{safe.get('input_tokens', '?')}+{safe.get('output_tokens', '?')} tokens")
    if "answered_by" in safe:
        parts.append(f"by {safe['answered_by']}")
    if "key" in safe:
        parts.append(f"key {safe['key']}")
    parts += [str(safe[name]) for name in ("outcome", "error") if name in safe]
    line = one_line(f"{' '.join([head, *names])}: {', '.join(parts)}", MAX_LINE)
    return line, {_FIELDS: safe}


class _JSONFormatter(logging.Formatter):
    """An object for each line, in ASCII: no value can end the line, or hold an escape."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        entry: dict[str, Any] = {"time": when, "level": record.levelname.lower()}
        fields = getattr(record, _FIELDS, None)
        entry |= fields if fields is not None else {"message": record.getMessage()}
        return json.dumps(entry)


@contextmanager
def log_on_stderr(log_format: LogFormat) -> Iterator[None]:
    """Write the relay's log to standard error, in this form."""
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")
    handler.setFormatter(_JSONFormatter() if log_format == "json" else text)
    log = logging.getLogger(LOG_NAME)
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
