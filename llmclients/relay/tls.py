"""The relay's own TLS: its context, and its certificate, which may be read again."""

from __future__ import annotations

import ssl

from llmclients.errors import ConfigurationError

__all__ = ["load_certificate", "server_context"]


def server_context(certfile: str, keyfile: str | None) -> ssl.SSLContext:
    """The context of a server with this certificate. Raises as `load_certificate`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    load_certificate(context, certfile, keyfile)
    return context


def load_certificate(context: ssl.SSLContext, certfile: str, keyfile: str | None) -> None:
    """Use this certificate for connections from now on.

    Raises:
        ConfigurationError: a file cannot be read, or the two do not fit.
    """
    try:
        # Into another one first: a bad pair must not leave half of it behind.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certfile, keyfile, password="")
        context.load_cert_chain(certfile, keyfile, password="")
    except (OSError, ValueError) as error:  # an SSLError is an OSError; a key with a password is a ValueError
        raise ConfigurationError(f"certfile, keyfile: cannot be used: {error}", argument="certfile") from error
