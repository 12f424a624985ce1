"""The page's document: one HTML file, and headers by which a browser runs nothing but what is in it."""

# The policy names the script and the style by their hashes, so what gets into the document in any other way is not
# run. `require-trusted-types-for` makes the browser refuse `innerHTML` and its like altogether: the script builds
# elements, and a model's text is only ever text. Nothing can be loaded from another address, and no site can frame the
# page.

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response

__all__ = ["document", "policy", "read_document"]

_INLINE = {name: re.compile(f"<{name}>(.*?)</{name}>", re.DOTALL) for name in ("script", "style")}


async def document(request: Request) -> Response:
    """The reply to `GET /`. It has nothing of anybody's, so it needs no key."""
    text, headers = _reply()
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(text, media_type="text/html", headers=headers)


@cache
def _reply() -> tuple[bytes, dict[str, str]]:
    text = read_document()
    body = text.encode()
    return body, {
        "content-security-policy": policy(text),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-cache",
        "etag": f'"{hashlib.sha256(body).hexdigest()[:32]}"',
    }


def read_document() -> str:
    """The HTML file."""
    return files("llmclients.relay.page").joinpath("page.html").read_text(encoding="utf-8")


def policy(text: str) -> str:
    """The Content-Security-Policy for this document."""
    hashes = {name: " ".join(_hash(inline) for inline in found.findall(text)) for name, found in _INLINE.items()}
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {hashes['script']}",
            f"style-src {hashes['style']}",
            "img-src blob: data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _hash(inline: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()}'"
