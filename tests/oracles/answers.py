"""A transport for an SDK that keeps the request and gives the answer it was told to: nothing leaves the process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import httpx


class _Pieces(httpx.SyncByteStream):
    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces


class Answers:
    """`transport` is for the SDK's httpx client; `request` is what came last."""

    def __init__(self) -> None:
        self.transport = httpx.MockTransport(self._answer)
        self.request = httpx.Request("GET", "http://unset")
        self.give([b"{}"])

    def give(self, pieces: Sequence[bytes], content_type: str = "application/json", *, status: int = 200) -> None:
        """Answer with a body that arrives in these pieces."""
        self._pieces, self._content_type, self._status = pieces, content_type, status

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.request = request
        return httpx.Response(self._status, headers={"content-type": self._content_type}, stream=_Pieces(self._pieces))
