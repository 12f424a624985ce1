"""Rows of the fault table: error statuses, redirects, and what a provider says about waiting."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

from llmclients.errors import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from llmclients.testing.faults import ERROR_BODIES, error_reply, redirect
from llmclients.testing.script import chunked

from .expect import GOOD, MODELS, REQUEST_ID, Expect, Row

_ID = (("X-Request-Id", REQUEST_ID),)

CLASSES: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    422: UnprocessableEntityError,
    429: RateLimitError,
    529: OverloadedError,
}
RETRIED = {408, 409, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529}


def refused(status: int, **fields: Any) -> Expect:
    error = CLASSES.get(status) or (InternalServerError if status >= 500 else APIStatusError)
    return Expect(error, None, fields.pop("retryable", status in RETRIED), status, **fields)


def status_row(status: int, kind: str, note: str = "", **more: Any) -> Row:
    return Row(
        f"{status} ({kind}){note}", lambda answer: error_reply(status, kind, _ID), {"*": refused(status)}, **more
    )


STATUSES = (
    400,
    401,
    402,
    403,
    404,
    405,
    408,
    409,
    413,
    422,
    429,
    451,
    498,
    500,
    501,
    502,
    503,
    504,
    511,
    520,
    524,
    529,
    599,
)
STATUS_ROWS = [
    status_row(status, kind)
    for at, status in enumerate(STATUSES)
    for kind in (list(ERROR_BODIES)[at % 5], list(ERROR_BODIES)[(at + 2) % 5])
]
EVERY_STATUS_ROWS = [
    # Every status and body, each by one provider, client and mode in turn.
    status_row(
        status,
        kind,
        " in turn",
        providers=(list(MODELS)[(status + at) % 5],),
        modes=(("chat", "stream")[(status // 5 + at) % 2],),
        sides=(("sync", "async")[(status // 10 + at) % 2],),
    )
    for status in range(400, 600)
    for at, kind in enumerate(ERROR_BODIES)
]
REDIRECT_ROWS = [
    Row(
        f"redirect {status} to {where}",
        redirect(status, location),
        {"*": Expect(APIStatusError, None, retryable=False, status=status)},
    )
    for status in (301, 302, 303, 307, 308)
    for where, location in (("the same host", "/elsewhere"), ("another host", "http://127.0.0.2:9/elsewhere?key=1"))
]


# --- how long to wait -----------------------------------------------------------------------------------------------


def told_to_wait(name: str, headers: tuple[tuple[str, str], ...], status: int = 503, **fields: Any) -> Row:
    return Row(
        f"{status} with {name}",
        lambda answer: error_reply(status, "object", (*_ID, *headers)),
        {"*": refused(status, **fields)},
    )


def _date(seconds: float) -> str:
    return formatdate(time.time() + seconds, usegmt=True)


YEAR = 365 * 86400.0
RETRY_ROWS = [
    told_to_wait("retry-after-ms: 4", (("Retry-After-Ms", "4"),), retry_after=0.004),
    told_to_wait("retry-after-ms: 4.5", (("retry-after-ms", "4.5"),), retry_after=0.0045),
    told_to_wait(
        "retry-after-ms before Retry-After", (("Retry-After", "90"), ("retry-after-ms", "3")), retry_after=0.003
    ),
    told_to_wait(
        "retry-after-ms that is none", (("retry-after-ms", "soon"), ("Retry-After", "0.003")), retry_after=0.003
    ),
    told_to_wait("Retry-After: 0.005", (("Retry-After", "0.005"),), 429, retry_after=0.005),
    told_to_wait("Retry-After: 0", (("Retry-After", "0"),)),
    told_to_wait("Retry-After: -5", (("Retry-After", "-5"),)),
    told_to_wait("Retry-After: nan", (("Retry-After", "nan"),)),
    told_to_wait("Retry-After: inf", (("Retry-After", "inf"),)),
    told_to_wait("Retry-After: 1e9", (("Retry-After", "1e9"),)),
    told_to_wait("Retry-After: tomorrow", (("Retry-After", "tomorrow"),)),
    told_to_wait("an empty Retry-After", (("Retry-After", ""),)),
    told_to_wait("two Retry-After", (("Retry-After", "1"), ("Retry-After", "2"))),
    told_to_wait("Retry-After: 2 s, over the cap", (("Retry-After", "2"),), 429, retry_after=2.0, attempts=1),
    told_to_wait("Retry-After: 27 hours", (("Retry-After", "97200"),), retry_after=97200.0, attempts=1),
    told_to_wait("a date that has passed", (("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT"),)),
    Row(
        "503 with a date in a year",
        lambda answer: error_reply(503, "object", (*_ID, ("Retry-After", _date(YEAR)))),
        {"*": refused(503, retry_after=YEAR, attempts=1)},
    ),
    told_to_wait("a date that is none", (("Retry-After", "Wed, 99 Oct 2026 07:28:00 GMT"),)),
    told_to_wait("x-should-retry: true", (("x-should-retry", "true"),), 400, retryable=True),
    told_to_wait("x-should-retry: false", (("x-should-retry", "false"),), 503, retryable=False),
    told_to_wait("x-should-retry: perhaps", (("x-should-retry", "perhaps"),), 503),
    Row(
        "200 with Retry-After",
        lambda answer: [answer.head(("Retry-After", "60")), chunked(*answer.pieces)],
        {"*": GOOD},
    ),
]
