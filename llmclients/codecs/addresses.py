"""`Address`: what a base URL means that has more at its end than the wire's paths are appended to."""

# People copy addresses from where they stand: a page that documents the endpoint, a portal, another SDK's settings.
# Such an address may already have what the wire appends (`…/v1/chat/completions`), the beginning of it (`…/v1`), or the
# path of the server's copy of another wire. A codec has a pattern of such endings, and they are cut off. What stands
# before them is a gateway's own path, and stays.

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["Address", "parse_address"]


class Address(NamedTuple):
    """A base URL, and what else stood in it.

    Attributes:
        base_url: what the wire's paths are appended to.
        model: the model that the address names; None where it names none.
        options: options of the wire's own that the address chooses.
    """

    base_url: str
    model: str | None = None
    options: Mapping[str, Any] = {}


def parse_address(url: str, endings: str) -> Address:
    """An address without its ending.

    Args:
        url: as the caller wrote it; it need not be a URL.
        endings: a regular expression for the end of its path, without slashes, or the sign of an empty query, behind
            that; case ignored. A group `model` is the model.
    """
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    found = re.search(rf"(?:{endings})\Z", slash + path.rstrip("/?#"), re.IGNORECASE) if endings else None
    if found is None:
        return Address(url)
    before = found.string[: found.start()].rstrip("/")
    return Address(f"{scheme}{separator}{host}{before}", found.groupdict().get("model"))
