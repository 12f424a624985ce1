"""`Reloader`: reads a relay's configuration file again while it serves. A bad file changes nothing."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette

from llmclients.errors import ConfigurationError
from llmclients.relay.app import resolve
from llmclients.relay.config import RelayConfig
from llmclients.relay.log import LOG_NAME
from llmclients.relay.tls import load_certificate

__all__ = ["Reloader"]

_log = logging.getLogger(LOG_NAME)


class Reloader:
    """What SIGHUP does.

    Args:
        app: the running relay.
        config: what it runs with.
        changes: settings that stand in place of the file's.
        defaults: options that do so.
        context: the server's TLS, or None.
    """

    def __init__(
        self,
        app: Starlette,
        config: RelayConfig,
        changes: Mapping[str, Any],
        defaults: Mapping[str, Any] | None,
        context: ssl.SSLContext | None,
    ) -> None:
        self._app, self._config = app, config
        self._running = config.server
        self._changes, self._defaults = changes, defaults
        self._context = context

    @property
    def has_files(self) -> bool:
        """Whether there is something to read again."""
        return self._config.path is not None or self._context is not None

    async def reload(self) -> None:
        """Read the file, and the certificate, again. What goes wrong is told to the log, and all stays as it was."""
        before = self._config
        try:
            config = before
            if before.path is not None:
                _, config = resolve(RelayConfig.load(before.path), self._changes, self._defaults)
                self._check_keys(config)
                await self._app.state.reload(config)
            if self._context is not None and config.server.certfile is not None:
                load_certificate(self._context, config.server.certfile, config.server.keyfile)
        except ConfigurationError as error:
            _log.error("SIGHUP: what was read before stays: %s", error)
            return
        self._config = config
        _log.info("SIGHUP: %s was read again", config.source if before.path is not None else "the certificate")
        if fixed := self._running.fixed_changes(config.server):
            _log.warning("%s: these change only with a new start: %s", config.source, ", ".join(fixed))
        if config.client_keys and not before.client_keys and self._running.page is not False:
            _log.warning("%s: there is no page while clients have keys of their own", config.source)

    def _check_keys(self, config: RelayConfig) -> None:
        """Raise ConfigurationError for keys that do not guard the address on which the relay listens, as it is now."""
        has_client_keys = bool(config.client_keys)
        try:
            replace(self._running, api_key=config.server.api_key).check_keys(has_client_keys=has_client_keys)
        except ConfigurationError as error:
            raise ConfigurationError(f"{config.source}: {error}", argument=error.argument) from None
