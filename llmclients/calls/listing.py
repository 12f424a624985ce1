"""`ModelListing`: the call that asks a provider which models it has."""

from __future__ import annotations

from llmclients.calls.base import BaseCall, reading_reply
from llmclients.calls.flow import Flow
from llmclients.codecs.base import Context, EncodedRequest
from llmclients.config.client import ClientSettings
from llmclients.transports.base import Clock

__all__ = ["ModelListing"]


class ModelListing(BaseCall):
    """The question which models there are."""

    def __init__(self, settings: ClientSettings, clock: Clock) -> None:
        context = Context(api_key=settings.api_key, is_default_endpoint=settings.is_default_endpoint)
        super().__init__(settings, clock, context)

    def names(self) -> Flow[list[str]]:
        """The flow of `models`: asks the service; where its wire has no such question, ends with the known names."""
        if not self._encoded.path:
            return list(self._settings.provider.models)
        return (yield from self._with_retries(self._listed))

    def _encode(self, context: Context) -> EncodedRequest:
        return self._settings.codec.encode_models(context) or EncodedRequest("", b"")

    def _listed(self) -> Flow[list[str]]:
        yield from self._open()
        body = yield from self._body()
        with reading_reply():
            return self._settings.codec.decode_models(body)
