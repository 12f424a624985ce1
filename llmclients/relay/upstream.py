"""`Upstream`: the client behind the relay. A wire's request becomes a call that its provider can carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llmclients.async_client import AsyncClient
from llmclients.async_stream import AsyncStream
from llmclients.errors import ConfigurationError, InvalidRequestError, UnsupportedOptionError
from llmclients.relay.codecs.base import RelayedCall
from llmclients.relay.raw_call import RawAnswer, RawCall, raw_path
from llmclients.types.options import ChatOptions
from llmclients.types.request import ChatRequest
from llmclients.types.response import ChatResponse

__all__ = ["Leeway", "Upstream"]

_NO_OPTIONS = frozenset({"self", "messages", "model", "restart", "system", "timeout", "headers", "retry"})
"""Arguments of `AsyncClient.stream` that are no options of a call."""


class Leeway:
    """How far a call may be changed for the upstream that answers it, and how it was.

    Attributes:
        lenient: whether what the wire's programs ask for always may be left out.
        warnings: what of the call was left out, or sent otherwise, in words: of the upstream that was asked last.
    """

    def __init__(self, lenient: bool = True) -> None:
        self.lenient = lenient
        self.warnings: list[str] = []


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

    def adapted(self, call: RelayedCall, *, lenient: bool) -> tuple[RelayedCall, list[str]]:
        """The call as the provider can carry it, and what became of the rest of it, in words.

        Args:
            lenient: whether what the wire's programs ask for always may be left out.

        Raises:
            UnsupportedOptionError: the provider cannot carry an option.
        """
        if not lenient and call.dropped:
            raise UnsupportedOptionError(call.dropped[0], argument=call.dropped[0].partition("[")[0])
        settings, options, notes = self._client._settings, dict(call.options), list(call.dropped)
        for name in call.options:
            if name in call.droppable or settings.carries(name) or name not in ChatOptions.__annotations__:
                continue  # of what is no option of any wire, the client says so
            missing = f"{settings.provider.name} cannot carry the option {name!r}: its wire has no field for it"
            other, value = call.alternatives.get(name, ("", None))
            if other and settings.carries(other):
                notes.append(f"{name}: sent as {other}={options.setdefault(other, value)!r}")
            elif lenient and name in call.tolerated:
                notes.append(f"{name} is left out: {missing}")
            elif name not in ChatRequest.model_fields:
                raise UnsupportedOptionError(missing, argument=name)
            else:
                continue  # the client says so itself, also of a provider to fall back on
            del options[name]
        return replace(call, options=options), notes

    async def chat(self, call: RelayedCall, leeway: Leeway) -> ChatResponse:
        """The whole answer. Raises as `adapted`, and as `AsyncClient.chat`."""
        call, leeway.warnings = self.adapted(call, lenient=leeway.lenient)
        return await self._client.chat(call.messages, model=self._model(call), **self._options(call))

    def stream(self, call: RelayedCall, leeway: Leeway) -> AsyncStream:
        """The answer piece by piece, not begun. Raises as `adapted`, and as `AsyncClient.stream`."""
        call, leeway.warnings = self.adapted(call, lenient=leeway.lenient)
        return self._client.stream(call.messages, model=self._model(call), **self._options(call))

    async def models(self) -> list[str]:
        """The names of the provider's models. Raises as `AsyncClient.models`."""
        return await self._client.models()

    async def close(self) -> None:
        """Close the client."""
        await self._client.close()

    @property
    def has_model(self) -> bool:
        """Whether a call may leave the model to the client."""
        return self._client._settings.default_model is not None

    def for_model(self, model: str | None) -> Upstream:
        """Who is asked first for a model: of one upstream, always this one."""
        return self

    def answers(self, model: str) -> bool:
        """Whether a call for this model is answered whatever the provider's list of models says."""
        return self.takes_any_model

    @property
    def takes_any_model(self) -> bool:
        """Whether an answer comes whatever model is named: a server that was started for the client has one."""
        return self._client._settings.start is not None

    @property
    def abilities(self) -> list[str]:
        """What the provider's wire carries besides text: `tools`, `vision`, `thinking`."""
        settings = self._client._settings
        carried = {"tools": settings.carries("tools"), "vision": "image" in settings.codec.parts}
        carried["thinking"] = settings.carries("reasoning_effort")
        return [name for name, is_carried in carried.items() if is_carried]

    def has_address(self, path: str) -> bool:
        """Whether the provider's wire has this address: see `ask_raw`."""
        return raw_path(self._client._settings, path) is not None

    async def ask_raw(self, path: str, body: Mapping[str, Any]) -> RawAnswer | None:
        """The provider's answer to a request of its own wire, begun; None where its wire has no such address.

        Args:
            path: the address without what the provider puts before it, such as `embeddings`.
            body: its `model` is replaced by the provider's own name for it.

        Raises:
            InvalidRequestError: no model was named, and there is no default.
            APIError: as of a chat.
        """
        settings = self._client._settings
        found = raw_path(settings, path)
        if found is None:
            return None
        payload = dict(body)
        if not self.takes_any_model:
            payload["model"] = settings.model_name(payload.get("model"))
        transport = self._client._transport
        answer = RawAnswer(RawCall(settings, transport.clock, found, payload), transport)
        await answer.open()
        return answer

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
