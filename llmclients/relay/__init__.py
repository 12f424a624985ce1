"""The relay: a loopback server that speaks the providers' own wire formats in front of any provider.

    from llmclients import Client
    from llmclients.relay import RelayServer

    with RelayServer("local") as relay:
        print(Client("yqcloud", base_url=f"{relay.url}/yqcloud").chat("Hello!"))

Needs the `relay` extra, which is loaded when one of these names is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmclients.errors import ConfigurationError

if TYPE_CHECKING:
    from llmclients.relay.app import create_app
    from llmclients.relay.config import RelayConfig
    from llmclients.relay.limits import ConnectionLimits
    from llmclients.relay.server import RelayServer, serve

__all__ = ["ConnectionLimits", "RelayConfig", "RelayServer", "create_app", "serve"]

_MODULE_OF = {
    "ConnectionLimits": "limits",
    "RelayConfig": "config",
    "RelayServer": "server",
    "create_app": "app",
    "serve": "server",
}


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'llmclients.relay' has no attribute {name!r}")
    try:
        value = getattr(import_module(f"llmclients.relay.{module}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("prometheus_client", "starlette", "tomli", "uvicorn"):
            raise
        raise ConfigurationError('the relay needs Starlette and uvicorn: pip install "llmclients[relay]"') from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
