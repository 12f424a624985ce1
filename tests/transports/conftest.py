"""Certificates, made once: a key of each takes a while."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme


class Certificates:
    """An authority of our own: the path of its file; contexts of servers that it vouches for."""

    def __init__(self, folder: Path) -> None:
        self.authority = str(folder / "ca.pem")
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(self.authority)
        self._right = self._authority.issue_cert("127.0.0.1", "::1", "localhost", "model.example")
        self.server = self.new_server()
        self.other_host = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._authority.issue_cert("other.example").configure_cert(self.other_host)

    def new_server(self, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        """Of a server that has no sessions yet."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = newest
        self._right.configure_cert(context)
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))
