"""`Secrets`: what of a request must not be shown, and the spellings in which a server may repeat it."""

# Where secrets are: the key; headers whose names say so, the caller's among them; each cookie; the proxy's password.
# A header's value is taken apart, as a server quotes the part that it has an opinion of: `Bearer KEY` without "Bearer",
# `Basic` decoded, the parameters of `Digest` and of signatures.
#
# From 6 characters on something is a secret. Shorter ones are words or letters, and without those no message could be
# read. With what stands before them (`Token x`, `session=abc`) they are looked for as phrases: not inside of words.
#
# A server says them percent-encoded, as JSON, as HTML, in base64; and our own messages quote by `repr`, which doubles
# backslashes. Some write each character by its number. Each such spelling is one more value to look for. Most secrets
# are letters and digits, and have few.

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote, quote_plus, unquote

from llmclients.config.values import Proxy

__all__ = ["SECRET_NAME", "Secrets", "find_secrets"]

SECRET_NAME = "auth|cookie|credential|key|passw|pwd|secret|session|signature|token"
"""A regular expression for what the name of a header or parameter that holds a secret has in it, in any case."""

_SHORTEST = 6
_NAMED = f"(?i:{SECRET_NAME})"
_PARAMETER = r"""([\w-]+)=(?:"([^"]*)"|([^",;\s]+))"""
_UNNAMED_PARAMETERS = frozenset({"response", "nonce", "cnonce"})  # of Digest


class Secrets(NamedTuple):
    """What is looked for, in lower case.

    Attributes:
        values: to be masked wherever they stand.
        phrases: to be masked where they are not a part of a word.
        plain: the values as they are, without other spellings.
    """

    values: frozenset[str]
    phrases: frozenset[str]
    plain: frozenset[str]


def find_secrets(headers: Iterable[tuple[str, str]], api_key: str | None, proxy: Proxy | None = None) -> Secrets:
    """The secrets of a request with these headers and this key, sent through this proxy."""
    found, phrases = {api_key or ""}, set[str]()
    for name, value in headers:
        if re.search(_NAMED, name):
            phrases.add(value)
            found.update(_of_cookies(value) if "cookie" in name.lower() else _of_header(value))
            if "cookie" in name.lower():
                phrases.update(cookie.strip() for cookie in value.split(";"))
    if proxy is not None and proxy.credentials is not None:
        found.update(_of_user(":".join(proxy.credentials)))
    values = {spelling.lower() for secret in found if len(secret) >= _SHORTEST for spelling in _spellings(secret)}
    return Secrets(
        frozenset(value for value in values if len(value) >= _SHORTEST),
        frozenset(phrase.lower() for phrase in phrases if len(phrase) >= _SHORTEST),
        frozenset(secret.lower() for secret in found if len(secret) >= _SHORTEST),
    )


def _of_cookies(value: str) -> Iterator[str]:
    for cookie in value.split(";"):
        text = cookie.partition("=")[2].strip().strip('"')
        yield from (text, unquote(text))


def _of_header(value: str) -> Iterator[str]:
    scheme, blank, rest = value.strip().partition(" ")
    if not blank:
        yield value
        return
    yield from (rest.strip(), rest.rpartition(" ")[2])
    if scheme.lower() == "basic":
        yield from _of_user(_decoded(rest.strip()))
    for name, quoted, plain in re.findall(_PARAMETER, rest):
        if re.search(_NAMED, name) or name.lower() in _UNNAMED_PARAMETERS:
            yield quoted or plain


def _of_user(pair: str) -> Iterator[str]:
    """Of `user:password`. The user's name is none, unless there is no password: then it is a key."""
    user, _, password = pair.partition(":")
    yield from (pair, password or user)


def _decoded(token: str) -> str:
    try:
        return binascii.a2b_base64(token).decode()
    except ValueError:  # not base64, or not text
        return ""


# --- spellings ------------------------------------------------------------------------------------------------------

_HTML = (
    str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}),
    str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"}),
    str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"}),
)
_JSON = (  # PHP escapes slashes, too; Go what HTML has a meaning for; .NET more than that
    str.maketrans({"\\": "\\\\", '"': '\\"', "/": "\\/"}),
    str.maketrans({"\\": "\\\\", '"': '\\"', **{c: f"\\u{ord(c):04x}" for c in "&<>"}}),
    str.maketrans({"\\": "\\\\", **{c: f"\\u{ord(c):04x}" for c in "&<>'+`\""}}),
)


def _spellings(secret: str) -> set[str]:
    """A secret as it is, and as a server may repeat it."""
    spellings = {secret, " ".join(secret.split()), json.dumps(secret)[1:-1]}
    spellings.update((quote(secret), quote(secret, safe=""), quote_plus(secret)))
    spellings.update(secret.translate(table) for table in (*_HTML, *_JSON))
    spellings.update(_by_numbers(secret))
    for spelling in tuple(spellings):
        doubled = spelling.replace("\\", "\\\\")  # as `repr` quotes it
        spellings.update((doubled, doubled.replace("'", "\\'")))
    return spellings | _in_base64(secret.encode())


def _by_numbers(secret: str) -> Iterator[str]:
    """Each character by its number, as logs of bytes and escapes of everything have it."""
    for pattern in ("&#{};", "&#x{:x};", "\\u{:04x}"):
        yield "".join(pattern.format(ord(character)) for character in secret)
    for pattern in ("{:02x}", "%{:02x}", "\\x{:02x}"):
        yield "".join(map(pattern.format, secret.encode()))


def _in_base64(secret: bytes) -> set[str]:
    """The characters that base64 has for these bytes, wherever they stand among others: there are three ways."""
    spellings = {binascii.b2a_base64(secret, newline=False).decode().rstrip("=")}
    for before, clean_from in ((0, 0), (1, 2), (2, 3)):
        encoded = binascii.b2a_base64(bytes(before) + secret, newline=False).decode()
        spellings.add(encoded[clean_from : (before + len(secret)) * 8 // 6])
    return spellings | {spelling.translate(str.maketrans("+/", "-_")) for spelling in spellings}
