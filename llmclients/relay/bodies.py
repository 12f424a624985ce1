"""What a request's body is once its content encoding is undone: gzip, deflate, or none."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from llmclients.errors import APIError, ResponseTooLargeError
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.transports.content_encoding import BodyDecoder

__all__ = ["check_encoding", "decoded_body"]

# Of a body in a great many parts, the decoder copies what is left of a piece behind each of them.
_PIECE = 4096
_ENCODINGS = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})


def check_encoding(headers: Mapping[str, str]) -> None:
    """Raise RequestRejected (415) for a body in an encoding that the relay does not read."""
    if headers.get("content-encoding", "").strip().lower() not in _ENCODINGS:
        raise RequestRejected(
            Failure(
                415,
                "the request's Content-Encoding must be gzip or deflate, or be left out",
                headers=(("accept-encoding", "gzip, deflate"),),
            )
        )


async def decoded_body(body: bytes, headers: Mapping[str, str], limit: int) -> bytes:
    """The body without its content encoding, which `check_encoding` has passed.

    Raises:
        RequestRejected: it is not in the encoding that it names (400), or has more than `limit` bytes without it (413).
    """
    if headers.get("content-encoding", "identity").strip().lower() in ("", "identity") or not body:
        return body
    return await asyncio.to_thread(_decoded, body, headers, limit)  # a small body may become a large one


def _decoded(body: bytes, headers: Mapping[str, str], limit: int) -> bytes:
    try:
        decoder = BodyDecoder(headers, limit)
        data = b"".join([decoder.feed(body[at : at + _PIECE]) for at in range(0, len(body), _PIECE)])
        decoder.finish()
    except ResponseTooLargeError:
        raise RequestRejected(Failure(413, f"the request is longer than {limit} bytes when it is unpacked")) from None
    except APIError:
        raise RequestRejected(Failure(400, "the request is not in the Content-Encoding that it names")) from None
    return data
