"""The addresses for operators: `/healthz`, `/readyz` and `/metrics`. They are not logged, and no wire's."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from llmclients.relay.access import check_access, key_sent
from llmclients.relay.accounts import Accounts
from llmclients.relay.errors import RequestRejected
from llmclients.relay.metrics import CONTENT_TYPE
from llmclients.relay.operations import Operations

__all__ = ["health_routes"]


def health_routes(operations: Operations, accounts: Accounts) -> Iterator[Route]:
    """The routes of one relay. The first two say nothing that a stranger may not know, and ask for no key."""

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        if operations.is_draining:
            return PlainTextResponse("draining\n", 503)
        return PlainTextResponse("ok\n")

    async def metrics(request: Request) -> Response:
        if not accounts.may_see_metrics(key_sent(request.headers)):
            return PlainTextResponse(
                "the metrics need their key, metrics_key, as `Authorization: Bearer …`\n",
                401,
                {"www-authenticate": "Bearer"},
            )
        if not accounts.has_keys:
            try:
                check_access(request.method, request.headers, accounts)
            except RequestRejected as error:
                return PlainTextResponse(f"{error.failure.message}\n", error.failure.status)
        return Response(operations.metrics.text(), media_type=CONTENT_TYPE)

    for path, endpoint in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", metrics)):
        yield Route(path, endpoint, methods=["GET"])
