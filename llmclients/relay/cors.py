"""Which web pages may use the relay: Starlette's CORS middleware, for the origins that the operator has named."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

__all__ = ["cors"]

_HEADERS_TO_READ = (
    "request-id",
    "retry-after",
    "retry-after-ms",
    "x-llmclients-warning",
    "x-request-id",
    "x-should-retry",
)


def cors(origins: Sequence[str]) -> list[Middleware]:
    """The middleware for pages of these origins; none without any.

    A browser asks first (OPTIONS, without a key), and is answered here. Cookies are never asked for: a key is sent by
    the page itself, so no page can use what another one has.
    """
    if not origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=list(_HEADERS_TO_READ),
            max_age=600,
        )
    ]
