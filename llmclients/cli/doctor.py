"""The command `doctor`: what works on the way to a provider, a line for each step, and what to do where one fails."""

from __future__ import annotations

import argparse
import json
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from llmclients.cli.failures import terminal_message
from llmclients.client import Client
from llmclients.config.client import ClientOptions, ClientSettings
from llmclients.config.credentials import key_origin
from llmclients.config.environment import environment_proxy
from llmclients.errors import ConfigurationError, LLMClientError

__all__ = ["Check", "checks", "run"]

_LIMIT = 10.0  # seconds
_QUESTION = "Answer with the word OK."


class Check(NamedTuple):
    """One step: whether it works (None: not needed), and what was found, or what to do."""

    name: str
    is_ok: bool | None
    text: str


def run(arguments: argparse.Namespace) -> int:
    """Print the checks. The exit code is 1 where one fails."""
    done = []
    for check in checks(arguments):
        done.append(check)
        if not arguments.json:
            mark = {True: "ok  ", False: "FAIL", None: "-   "}[check.is_ok]
            print(f"{mark}  {check.name:<7} {check.text}", flush=True)
    if arguments.json:
        print(json.dumps([{"check": check.name, "ok": check.is_ok, "text": check.text} for check in done]))
    return 1 if any(check.is_ok is False for check in done) else 0


def checks(arguments: argparse.Namespace) -> Iterator[Check]:
    """The steps, one after another; those behind one that fails need not be tried."""
    given: ClientOptions = {
        "model": arguments.model,
        "base_url": arguments.base_url,
        "timeout": arguments.timeout,
        "retry": None,
    }
    try:
        settings = ClientSettings.from_arguments(arguments.provider, **given)
        client = Client(arguments.provider, **given)
    except ConfigurationError as error:
        yield Check("client", False, terminal_message(error))
        return
    with client:
        if settings.base_url is None:
            yield Check("server", None, "on this machine, started when it is needed")
        else:
            yield from (way := list(_way(settings)))
            if any(check.is_ok is False for check in way):
                return
        yield _key(settings)
        found: list[str] = []
        check = _tried("models", lambda: _models(client, settings, found))
        yield check
        if arguments.chat:
            yield _asked(client, settings, found)


def _way(settings: ClientSettings) -> Iterator[Check]:
    """The network below the provider's own protocol."""
    address = settings.base_url or ""
    url = urlsplit(address)
    host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
    proxy = environment_proxy(address)
    if proxy is not None:
        hop = urlsplit(proxy.url)
        yield Check(
            "proxy", True, f"{hop.hostname}:{hop.port or 80} (from the environment; NO_PROXY={host} goes without)"
        )
        host, port = hop.hostname or "", hop.port or (443 if hop.scheme == "https" else 80)
    else:
        yield Check("proxy", None, "none")
    name = _tried("name", lambda: _resolved(host, port))
    yield name
    if name.is_ok is False:
        return
    route = _tried("route", lambda: _connected(host, port))
    yield route
    if route.is_ok is False:
        return
    if url.scheme != "https":
        yield Check("TLS", None, "none: the address begins with http://")
    elif proxy is not None:
        yield Check("TLS", None, "behind the proxy: the list of models tells")
    else:
        yield _tried("TLS", lambda: _handshake(url, settings))


def _tried(name: str, attempt: Callable[[], str]) -> Check:
    started = time.monotonic()
    try:
        text = attempt()
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message.rstrip(".")
        what = (
            "an authority that is not known here: SSL_CERT_FILE=/path/of/its.pem" if "issuer" in reason else "see there"
        )
        return Check(name, False, f"the certificate is refused: {reason} ({what})")
    except OSError as error:
        return Check(name, False, f"{error.strerror or error}: {_ADVICE.get(name, 'see there')}")
    except LLMClientError as error:
        return Check(name, False, terminal_message(error))
    return Check(name, True, f"{text}, {time.monotonic() - started:.2f} s")


_ADVICE = {
    "name": "no such name, or no name server answers: see /etc/resolv.conf, or set HTTPS_PROXY where there is a proxy",
    "route": "nobody listens there, or a firewall is between: see --base-url, or set HTTPS_PROXY",
    "TLS": "what answers there does not speak TLS as it should: is something in between?",
}


def _resolved(host: str, port: int) -> str:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    more = f" and {len(addresses) - 2} more" if len(addresses) > 2 else ""
    return f"{host} is {', '.join(addresses[:2])}{more}"


def _connected(host: str, port: int) -> str:
    with socket.create_connection((host, port), timeout=_LIMIT) as connection:
        return f"{connection.getpeername()[0]}, port {port}"


def _handshake(url: SplitResult, settings: ClientSettings) -> str:
    verify: Any = settings.transport.verify
    path = verify if isinstance(verify, str) else None
    is_folder = path is not None and os.path.isdir(path)
    context = ssl.create_default_context(cafile=None if is_folder else path, capath=path if is_folder else None)
    if verify is False:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection((url.hostname or "", url.port or 443), timeout=_LIMIT) as connection,
        context.wrap_socket(connection, server_hostname=url.hostname) as secured,
    ):
        certificate = secured.getpeercert() or {}
        until = certificate.get("notAfter", "an unknown day")
        return f"{secured.version()}, its certificate is good until {until}"


def _key(settings: ClientSettings) -> Check:
    provider = settings.provider
    if not provider.key_variables:
        return Check("key", None, "none is needed")
    origin = key_origin(provider)
    if origin is None:
        return Check("key", None, f"none is set, and none is asked for: {provider.key_variables[0]} would be it")
    return Check("key", True, f"from {origin if origin in ('keyring', 'file') else '$' + origin}")


def _models(client: Client, settings: ClientSettings, found: list[str]) -> str:
    found += client.models()
    model = settings.model or settings.provider.default_model
    there = "" if model is None else f"; {model} is {'' if model in found else 'not '}among them"
    return f"{len(found)}{there}"


def _asked(client: Client, settings: ClientSettings, found: list[str]) -> Check:
    """One chat: with the model that was named, the provider's default, or the only one that there is."""
    model = settings.model or settings.provider.default_model or (found[0] if len(found) == 1 else None)
    if model is None and settings.base_url is not None:
        name = settings.provider.name
        return Check("chat", None, f"no model is named: llmclients doctor {name}/{found[0] if found else 'MODEL'}")
    return _tried("chat", lambda: _chat(client, model))


def _chat(client: Client, model: str | None) -> str:
    response = client.chat(_QUESTION, model=model)
    answer = " ".join(response.text.split())
    return f"{response.model} says {answer[:40] + '…' if len(answer) > 40 else answer!r}"
