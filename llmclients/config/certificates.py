"""A client's own certificate, for servers that ask for one: checked when the client is made, shown when TLS begins."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeAlias

from llmclients.errors import ConfigurationError

if TYPE_CHECKING:
    import ssl

__all__ = ["CertificateFiles", "ClientCertificate", "client_certificate", "load_certificate"]

_Path: TypeAlias = str | os.PathLike[str]
ClientCertificate: TypeAlias = _Path | tuple[_Path, _Path] | tuple[_Path, _Path, str]
"""What a caller gives: a PEM file with certificate and key; or both files, and the key's password where it has one."""
CertificateFiles: TypeAlias = tuple[str, str | None, str | None]
"""The certificate's file, the key's where that is another, the key's password."""


def client_certificate(cert: ClientCertificate | None) -> CertificateFiles | None:
    """A client's own certificate: its file, its key's file, the key's password.

    Raises:
        ConfigurationError: it is none of the forms, a file is missing, or the certificate and the key do not fit.
    """
    if cert is None:
        return None
    parts = (cert,) if isinstance(cert, str | os.PathLike) else tuple(cert) if isinstance(cert, tuple | list) else ()
    files, password = parts[:2], parts[2] if len(parts) == 3 else None
    if not 1 <= len(parts) <= 3 or not all(isinstance(file, str | os.PathLike) for file in files):
        raise ConfigurationError(
            "cert must be a path, or a tuple (cert, key) or (cert, key, password)", argument="cert"
        )
    if not isinstance(password, str | None):
        raise ConfigurationError(f"cert: the password must be text, not {type(password).__name__}", argument="cert")
    paths = [os.fspath(file) for file in files]
    for path in paths:
        if not os.path.isfile(path):
            raise ConfigurationError(f"cert: no such file: {path}", argument="cert")
    found = paths[0], paths[1] if len(paths) == 2 else None, password
    import ssl  # slow to load, and only who has a certificate needs it so early

    load_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), found)
    return found


def load_certificate(context: ssl.SSLContext, cert: CertificateFiles) -> None:
    """Give a TLS context the client's own certificate.

    Raises:
        ConfigurationError: it cannot be read, or the key is not its own.
    """
    file, key, password = cert
    try:
        context.load_cert_chain(file, key, password or "")  # with None, OpenSSL asks the terminal for a password
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or "unreadable"
        raise ConfigurationError(
            f"cert: {file} and its key cannot be used: {str(reason).replace('_', ' ').lower()}", argument="cert"
        ) from None
