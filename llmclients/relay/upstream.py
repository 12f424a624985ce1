"""`Upstream`: the client behind the relay. A wire's request becomes a call that its provider can carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmclients.async_client import AsyncClient
from llmclients.async_stream import AsyncStream
from llmclients.errors import ConfigurationError, InvalidRequestError, UnsupportedOptionError
from llmclients.relay.codecs.base import RelayedCall
from llmclients.types.response import ChatResponse

__all__ = ["Upstream"]

_NO_OPTIONS = frozenset({"self", "messages", "model", "restart", "system", "timeout", "headers", "retry"})
"""Arguments of `AsyncClient.stream` that are no options of a call."""


class Upstream:
    """The client that answers the relay's requests.

    Args:
        client: who answers.
        defaults: options of calls that do not name them.

    Raises:
        ConfigurationError: one of the defaults is no option, or none that the client's provider can carry.
    """

    def __init__(self, client: AsyncClient, defaults: Mapping[str, Any]) -> None:
        self._client = client
        self._defaults = dict(defaults)
        if names := self._defaults.keys() & _NO_OPTIONS:
            raise ConfigurationError(f"defaults: {', '.join(sorted(names))} is no option", argument="defaults")
        try:
            client.stream("-", **self._defaults)  # sends nothing yet
        except UnsupportedOptionError as error:
            raise ConfigurationError(f"defaults: {error}", argument="defaults") from error
        except InvalidRequestError as error:
            # Another argument, such as a model that nobody has named yet, is each request's business.
            if error.argument in self._defaults:
                raise ConfigurationError(f"defaults: {error}", argument="defaults") from error

    async def chat(self, call: RelayedCall) -> ChatResponse:
        """The whole answer. Raises as `AsyncClient.chat`."""
        return await self._client.chat(call.messages, model=self._model(call), **self._options(call))

    def stream(self, call: RelayedCall) -> AsyncStream:
        """The answer piece by piece, not begun. Raises as `AsyncClient.stream`."""
        return self._client.stream(call.messages, model=self._model(call), **self._options(call))

    async def models(self) -> list[str]:
        """The names of the provider's models. Raises as `AsyncClient.models`."""
        return await self._client.models()

    def provider_of(self, model: str) -> str:
        """The name of the provider that answers for a model; "" is the model of calls that name none."""
        return self._client._settings.provider.name

    def _options(self, call: RelayedCall) -> dict[str, Any]:
        """The options of a call, without those droppable ones that the provider has no field for.

        What the user of the wire's client chose counts most, what nobody chose least. A chosen option that the provider
        cannot carry stays, so that the call fails: it is never left out in silence.
        """
        carries = self._client._settings.carries
        droppable = {name: call.options[name] for name in call.droppable if carries(name)}
        chosen = {name: value for name, value in call.options.items() if name not in call.droppable}
        return droppable | self._defaults | chosen

    def _model(self, call: RelayedCall) -> str | None:
        """The model to ask for: of one that nobody chose, the client's own default, if it has a usable one.

        A server that was started for this client has one model, and programs in front of it name all sorts.
        """
        settings = self._client._settings
        if settings.start is not None or (call.model_is_droppable and settings.default_model is not None):
            return None
        return call.model
