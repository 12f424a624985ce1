"""Where a part's bytes come from: a file, read once and not beyond a limit; base64 as mail, browsers, JSON have it."""

from __future__ import annotations

import base64
import os
import re
import stat
from typing import Any
from urllib.parse import unquote_to_bytes

from llmclients.errors import InvalidRequestError

__all__ = ["MAX_PART_BYTES", "decode_base64", "parse_data_url", "read_file"]

MAX_PART_BYTES = 64 * 1024 * 1024
"""No provider takes a larger part inside a request; each wire has a limit of its own below this."""

_OPEN_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0)  # none of them is on every system
    for name in ("O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_BINARY")
)
"""A named pipe that nobody writes to must not hold the caller up, and a terminal not become the process's own."""

_BASE64 = r"([A-Za-z0-9+/]*|[A-Za-z0-9_-]*)={0,2}"


def read_file(path: str | bytes) -> bytes:
    """The bytes of a regular file.

    Raises:
        InvalidRequestError: it cannot be read, is a device, a pipe or a folder, or has more than `MAX_PART_BYTES`.
    """
    name = os.fsdecode(path)
    try:
        descriptor = os.open(path, _OPEN_FLAGS)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # of what is open: a name may change its meaning
                raise InvalidRequestError(f"{name} is not a regular file", argument="source")
            with open(descriptor, "rb", closefd=False) as file:
                data = file.read(MAX_PART_BYTES + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequestError(f"{name} cannot be read: {reason}", argument="source") from None
    if len(data) > MAX_PART_BYTES:
        raise InvalidRequestError(f"{name} has more than {MAX_PART_BYTES} bytes", argument="source")
    return data


def parse_data_url(url: str) -> tuple[bytes, str]:
    """The bytes of a `data:` URL, and its label, which may be empty.

    Raises:
        InvalidRequestError: it is not in base64.
    """
    head, comma, text = url.partition(",")
    *label, encoding = head[len("data:") :].split(";")
    if not comma or encoding.strip().lower() != "base64":
        raise InvalidRequestError("a data: URL must be in base64", argument="source")
    if "%" in text:  # a URL may have any of its characters in this form
        text = unquote_to_bytes(text).decode("latin-1")
    try:
        return decode_base64(text), ";".join(label).strip()
    except ValueError as error:
        raise InvalidRequestError(str(error), argument="source") from None


def decode_base64(text: Any) -> bytes:
    """Base64 in either alphabet, in lines or not, with its padding or without.

    Raises:
        ValueError: it is none, or was cut.
    """
    if isinstance(text, str):
        try:
            return base64.b64decode(text, validate=True)
        except ValueError:  # not as it should be, or not base64 at all
            pass
        text = "".join(text.split())
        if re.fullmatch(_BASE64, text) and len(digits := text.rstrip("=")) % 4 != 1:
            return base64.b64decode(digits.translate({45: "+", 95: "/"}) + "=" * (-len(digits) % 4))
    raise ValueError("the data is not base64")
