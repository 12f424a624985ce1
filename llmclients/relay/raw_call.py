"""`RawCall`: a request that passes to the provider as it came, with the provider's address and key, and its answer.

For what the library has no call of its own, such as embeddings. Retries, deadlines, secrets in errors and the
connections are those of any other call. A `RawAnswer` is the caller's side of one: the head comes with `open`, the body
piece by piece after it. It belongs to one task.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llmclients.async_driver import AsyncDriver
from llmclients.calls.base import BaseCall
from llmclients.calls.flow import READ, Flow, ResponseHead, Run
from llmclients.codecs.base import Context, EncodedRequest, encode_json
from llmclients.config.client import ClientSettings
from llmclients.transports.base import AsyncTransport, Clock
from llmclients.types.response import make_chunk

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["COUNTS", "RawAnswer", "RawCall", "raw_path"]

COUNTS = frozenset({"messages/count_tokens", "responses/input_tokens"})
"""The addresses that count tokens, and answer nothing."""

_OPENAI_WIRES = frozenset({"openai", "openai-responses"})
_OPENAI_PATHS = frozenset({"completions", "embeddings", "responses/input_tokens"})
_COUNT = "messages/count_tokens"
_OLLAMA_PATHS = {"embeddings": "v1/embeddings", "completions": "v1/completions"} | {
    path: path for path in ("api/embed", "api/embeddings")
}
"""Where an Ollama has them; the first two are its addresses for OpenAI's programs."""


def raw_path(settings: ClientSettings, path: str) -> str | None:
    """Where a client's provider has this address, if its wire has it; the provider's base URL goes before it.

    The model server that is started for a client, llama.cpp's, has Anthropic's count besides.
    """
    codec = settings.codec
    listing = codec.encode_models(Context())
    if listing is None:
        return None
    has_path = codec.name in _OPENAI_WIRES and (
        path in _OPENAI_PATHS or (path == _COUNT and settings.start is not None)
    )
    if codec.name == "ollama" and path in _OLLAMA_PATHS:
        return listing.path.removesuffix("api/tags") + _OLLAMA_PATHS[path]
    if has_path or (codec.name == "anthropic" and path == _COUNT):
        return listing.path.partition("?")[0].removesuffix("/models") + "/" + path
    return None


class RawCall(BaseCall):
    """A request as it came, and its answer as it comes.

    Attributes:
        head: the answer's, once its status has been a good one.
    """

    def __init__(self, settings: ClientSettings, clock: Clock, path: str, payload: Mapping[str, Any]) -> None:
        self._path, self._payload = path, payload
        self._has_begun = False
        self.head: ResponseHead | None = None
        context = Context(api_key=settings.api_key, is_default_endpoint=settings.is_default_endpoint)
        super().__init__(settings, clock, context)

    def pieces(self) -> Flow[None]:
        """The flow of the answer: each piece of its body is the `raw` of a chunk."""
        return self._with_retries(self._attempt)

    def is_final(self) -> bool:
        return self._has_begun

    @property
    def answered_by(self) -> str:
        """The provider, and the model that the payload names."""
        model = self._payload.get("model")
        return "/".join(filter(None, (self._settings.provider.name, model if isinstance(model, str) else "")))

    def _encode(self, context: Context) -> EncodedRequest:
        listing = self._settings.codec.encode_models(context)
        assert listing is not None  # or `raw_path` would have found nothing
        return EncodedRequest(
            self._path, encode_json(self._payload), (("Content-Type", "application/json"), *listing.headers)
        )

    def _attempt(self) -> Flow[None]:
        self.head = yield from self._open()
        while data := (yield READ):
            self._has_begun = True
            yield make_chunk(raw=data)


class RawAnswer:
    """An answer that is passed on as it comes: an asynchronous context manager, and an iterator of bytes."""

    def __init__(self, call: RawCall, transport: AsyncTransport) -> None:
        self._call = call
        self._run = Run(call.pieces())
        self._driver = AsyncDriver(self._run, transport)
        self._when_closed: Callable[[], Awaitable[None]] | None = None

    def when_closed(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call this once the answer is closed: what gives back what the answer needs until then."""
        self._when_closed = callback

    async def open(self) -> None:
        """Send the request, and wait for the answer's head.

        Raises:
            APIError: none came, or one with a bad status.
        """
        await self._driver.open()

    @property
    def answered_by(self) -> str:
        """The provider, and the model by the provider's own name."""
        return self._call.answered_by

    @property
    def content_type(self) -> str:
        """The answer's, as the provider names it."""
        head = self._call.head
        return head.headers.get("content-type", "application/json") if head is not None else ""

    async def read(self) -> bytes:
        """All of the answer. Raises APIError: it broke off."""
        return b"".join([piece async for piece in self])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self._driver.next_chunk(self._run.next_step())) is not None:
            yield chunk.raw

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._driver.close()
        finally:
            if self._when_closed is not None:
                await self._when_closed()
