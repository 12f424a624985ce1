"""The one reader of the environment: variables, proxies, certificate authorities; and the checks of such values."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from llmclients.config.values import Proxy, split_url
from llmclients.errors import ConfigurationError, shown_url

__all__ = [
    "address_url",
    "ascii_host",
    "ca_bundle",
    "check_base_url",
    "check_headers",
    "completed_url",
    "environ",
    "environment_proxy",
    "regional_url",
    "same_address",
]

_REGION = r"[a-z0-9]+(?:-[a-z0-9]+)+"
"""`eu-west-1`: nothing that could lead to another host."""


def environ(name: str) -> str | None:
    """The environment variable's value, or None when it is unset or blank."""
    return os.environ.get(name, "").strip() or None


def environment_proxy(url: str) -> Proxy | None:
    """The proxy that the environment names for `url`: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`, any case.

    Raises:
        ConfigurationError: a variable holds something that is not a proxy URL.
    """
    import urllib.request  # slow to load, and most programs need it once or never

    parts = urlsplit(url)
    proxies = urllib.request.getproxies_environment()
    address = proxies.get(parts.scheme) or proxies.get("all")
    if not address:
        return None
    host = parts.hostname or ""
    if _bypassed(host, parts.port or (443 if parts.scheme == "https" else 80), proxies.get("no", "")):
        return None
    if "://" not in address:
        address = f"http://{address}"  # curl and requests read a bare host:port this way
    try:
        return Proxy(address)
    except ConfigurationError as error:
        raise ConfigurationError(f"{error} (from the environment)", argument=f"{parts.scheme}_proxy") from None


def ascii_host(host: str) -> str:
    """A host's name as DNS has it: of one in other letters, such as `bücher.example`, its `xn--` spelling.

    Raises:
        UnicodeError: it cannot be a name.
    """
    if host.isascii():
        return host
    import idna  # few need it

    return idna.encode(host, uts46=True).decode("ascii")


def _bypassed(host: str, port: int, no_proxy: str) -> bool:
    """Whether a `NO_PROXY` list has the host: `*`, a domain with subdomains, an address, a CIDR block; with a port.

    Its entries are set apart by commas, as curl's and Python's documents say, or by blanks and line ends, as curl takes
    them and files of variables have them. A name in other letters is meant by either of its spellings.
    """
    import ipaddress

    def address(text: str) -> Any:
        try:
            return ipaddress.ip_address(text)
        except ValueError:
            return None

    host = _comparable(host).removesuffix(".")  # as the root of all names, curl leaves it out on both sides
    ip_address = address(host)
    for entry in re.split(r"[\s,]+", no_proxy.lower()):
        if not entry:
            continue
        if entry == "*":
            return True
        name, colon, entry_port = entry.rpartition(":")
        if colon and entry_port.isdecimal() and (":" not in name or name.endswith("]")):
            if int(entry_port) != port:
                continue
            entry = name
        entry = entry.strip("[]")
        if ip_address is not None:
            try:
                if ip_address in ipaddress.ip_network(entry, strict=False):
                    return True
            except (ValueError, TypeError):
                continue
        else:
            domain = entry.removeprefix("*").removeprefix(".").removesuffix(".")
            if domain and (host == (domain := _comparable(domain)) or host.endswith("." + domain)):
                return True
    return False


def _comparable(host: str) -> str:
    """A name in the one spelling in which it is compared; what is none stays as it is."""
    with suppress(UnicodeError):
        host = ascii_host(host)
    return host.lower()


def ca_bundle(verify: bool | str | os.PathLike[str], trust_env: bool) -> bool | str:
    """What to check certificates against: False (nothing), True (the default authorities), or a file or folder.

    `verify=True` with `trust_env` takes `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` or `SSL_CERT_DIR`, the
    first that is set.

    Raises:
        ConfigurationError: the file or folder does not exist.
    """
    path: str | None = None
    argument = "verify"
    if verify is False:
        return False
    if not isinstance(verify, bool | str | os.PathLike):
        raise ConfigurationError(
            f"verify must be True, False or a path, not {type(verify).__name__}", argument="verify"
        )
    if not isinstance(verify, bool):
        path = os.fspath(verify)
    elif trust_env:
        for argument in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"):
            path = environ(argument)
            if path:
                break
    if not path:
        return True
    if not os.path.exists(path):
        raise ConfigurationError(f"{argument}: no such file or folder: {path}", argument=argument)
    return path


def check_base_url(url: Any, argument: str = "base_url") -> str:
    """`url` without a trailing slash, or the sign of an empty query.

    Raises:
        ConfigurationError: not a string, no `http://` or `https://`, no host; or credentials, a query, a fragment.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"{argument} must be a URL, not {type(url).__name__}", argument=argument)
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.lower() not in ("http", "https"):
        raise ConfigurationError(
            f"{argument} must begin with http:// or https://, not {shown_url(url)!r}", argument=argument
        )
    parts = split_url(url, argument)
    if parts.username is not None:
        raise ConfigurationError(f"{argument} must not hold credentials: use api_key= or headers=", argument=argument)
    if parts.query or parts.fragment:
        raise ConfigurationError(f"{argument} must not have a query or a fragment", argument=argument)
    if not _is_host(parts.hostname or "", is_literal=parts.netloc.startswith("[")) or not _is_text(url):
        raise ConfigurationError(f"{argument} has no valid host, or a character that no URL has", argument=argument)
    return url.rstrip("/?#")


def _is_host(host: str, *, is_literal: bool) -> bool:
    """Whether it is a name, or an address of IPv4; or, in brackets, one of IPv6, with its zone.

    Libraries differ in what they make of anything else: one reads `%31` as `1`, and would send the key there.
    """
    import ipaddress

    if is_literal:
        try:
            return bool(ipaddress.IPv6Address(host.partition("%")[0]))
        except ValueError:
            return False
    labels = host.removesuffix(".").split(".")
    return all(0 < len(label) < 64 and re.fullmatch(r"[\w-]+", label) for label in labels)


def _is_text(url: str) -> bool:
    """Whether UTF-8 has all of its characters."""
    return not any("\ud800" <= character <= "\udfff" for character in url)


def completed_url(url: str, path: str) -> str:
    """`url`, with `path` where it has none: of an account's address, makers' own variables hold the host alone."""
    if path and "://" not in url:
        url = f"https://{url}"
    return url.rstrip("/") + path if path and not urlsplit(url).path.strip("/") else url


def regional_url(url: str | None, region: str | None, variables: Sequence[str]) -> str | None:
    """`url` with `{region}` filled in, from `region` or the first of the variables that is set; None without any.

    Raises:
        ConfigurationError: that is no region's name, or the address is the same in every region.
    """
    if not variables:
        if region is not None:
            raise ConfigurationError("region is for providers whose address has one", argument="region")
        return url
    argument = "region"
    if region is None:
        argument = next(filter(environ, variables), argument)
        region = environ(argument)
    if url is None or region is None:
        return None
    if not isinstance(region, str) or not re.fullmatch(_REGION, region):
        raise ConfigurationError(
            f"{argument} must be a region's name such as us-east-1, not {region!r}", argument=argument
        )
    return url.replace("{region}", region)


def same_address(url: str, other: str) -> bool:
    """Whether two checked URLs are one address, however they are spelt."""
    if url == other:
        return True
    ones = [urlsplit(one) for one in (url, other)]
    ports = [one.port or (443 if one.scheme == "https" else 80) for one in ones]
    return len({(one.scheme, one.hostname, port, one.path) for one, port in zip(ones, ports, strict=True)}) == 1


def address_url(address: str, port: int, path: str = "") -> str:
    """The URL that a server's own address variable means: `host`, `host:port`, `:port`, or a URL already.

    An address to listen on, which is any of the machine's, becomes the loopback one. Whether the result is a URL is for
    `check_base_url` to say.

    Args:
        address: what the variable holds.
        port: where the server listens when a bare address names no port.
        path: what comes behind an address that has no path of its own.
    """
    scheme, separator, rest = address.strip("\"' ").rpartition("://")  # quotes: Ollama takes them off, too
    authority, _, named_path = rest.partition("/")
    if authority.count(":") > 1 and not authority.startswith("["):  # IPv6, bare
        authority = f"[{authority}]"
    host, colon, named_port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, named_port = authority, ""
    if not named_port and not separator:
        named_port = str(port)
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    if named_port:
        host = f"{host}:{named_port}"
    return f"{scheme or 'http'}://{host}{'/' + named_path if named_path else path}"


def check_headers(headers: Mapping[str, str] | Iterable[tuple[str, str]] | None) -> tuple[tuple[str, str], ...]:
    """Header pairs that may go out: names are tokens, values have no line ends (no header can be smuggled in).

    Raises:
        ConfigurationError: naming the header, never its value.
    """
    try:
        pairs = tuple(
            (name, value) for name, value in (headers.items() if isinstance(headers, Mapping) else headers or ())
        )
    except (TypeError, ValueError):
        raise ConfigurationError("headers must be a mapping of names to values", argument="headers") from None
    for name, value in pairs:
        if (
            not isinstance(name, str)
            or not name
            or not all(c.isascii() and (c.isalnum() or c in "!#$%&'*+-.^_`|~") for c in name)
        ):
            shown = repr(name.partition(":")[0]) if isinstance(name, str) else f"a {type(name).__name__}"
            raise ConfigurationError(f"headers: {shown} is not a header name", argument="headers")
        if name.lower() in ("content-length", "transfer-encoding"):  # another length ends, or begins, another request
            raise ConfigurationError(
                f"headers: {name} is what the body's length says: leave it out", argument="headers"
            )
        if not isinstance(value, str):
            raise ConfigurationError(f"headers: the value of {name} must be a string", argument="headers")
        if any((ord(c) < 32 and c != "\t") or ord(c) >= 127 for c in value):
            raise ConfigurationError(
                f"headers: the value of {name} has a character that no header can carry", argument="headers"
            )
    return pairs
