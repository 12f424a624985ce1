"""A chat call: the course of its answer, whole or streamed, from one provider or the first of several that answers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from llmclients.calls.accumulator import Accumulator
from llmclients.calls.base import FINISH, READ, RNG, Attempts, Course, Deliver, Progress
from llmclients.codecs.base import CodecOptions, Context, EncodedRequest, StreamDecoder
from llmclients.config.client import ClientSettings
from llmclients.errors import APIError, APITimeoutError, StructuredOutputError
from llmclients.transports.base import Clock
from llmclients.types.messages import Messages
from llmclients.types.request import ChatRequest
from llmclients.types.response import ChatResponse, Chunk

__all__ = ["Call", "FallbackCall", "ModelListing", "prepare"]

_RESTARTED = Chunk.model_construct(restarted=True)


def prepare(
    settings: ClientSettings,
    clock: Clock,
    messages: Messages,
    model: str | None,
    options: dict[str, Any],
    state: Mapping[str, Any],
    *,
    stream: bool,
    restart: bool = False,
) -> Call | FallbackCall:
    """The call that a caller's arguments mean. What is sent is fixed here, also to the providers to fall back on.

    Raises:
        ConfigurationError: one of them cannot carry the request; nothing is sent to any.
    """
    request, own = settings.request(messages, model, options)
    progress = Progress()
    first = Call(settings, clock, request, own, stream=stream, restart=restart, state=state, progress=progress)
    if not settings.fallbacks:
        return first
    # Options of the first provider's own wire, and its model, mean nothing to the others.
    shared = {name: value for name, value in options.items() if name not in settings.codec.options.model_fields}
    shared.pop("extra", None)
    others = [(other, *other.request(request.messages, None, shared)) for other in settings.fallbacks]
    return FallbackCall(
        [
            first,
            *(
                Call(other, clock, asked, none, stream=stream, restart=restart, progress=progress)
                for other, asked, none in others
            ),
        ]
    )


class Call(Attempts):
    """One chat call. What is sent is fixed when it is made, before anything is sent.

    Raises:
        ConfigurationError: the provider's wire cannot carry the request.
    """

    def __init__(
        self,
        settings: ClientSettings,
        clock: Clock,
        request: ChatRequest,
        options: CodecOptions,
        *,
        stream: bool,
        restart: bool = False,
        state: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
        rng: random.Random = RNG,
    ) -> None:
        self._request = request
        self._restart = restart
        self._final: ChatResponse | None = None
        context = Context(
            model=request.model or "",
            stream=stream,
            api_key=settings.api_key,
            is_default_endpoint=settings.is_default_endpoint,
            options=options,
            state=state or {},
            unix_time=clock.time(),
            random=rng,
        )
        super().__init__(settings, clock, context, progress, rng)

    def reply(self) -> Course[ChatResponse]:
        """The course of `chat`. Any break is tried again, as nothing has been handed out."""
        once = self._whole_reply if self._settings.codec.whole_replies else self._streamed_reply
        return (yield from self._attempts(once))

    def stream(self) -> Course[ChatResponse]:
        """The course of `stream`. Once a chunk is out, a break is the caller's to know."""
        return (yield from self._attempts(lambda: self._streamed_reply(deliver=True)))

    def response(self) -> ChatResponse:
        """What has come of a stream so far."""
        return self._final or self._completed(self.progress.fold.response())

    def _encode(self, context: Context) -> EncodedRequest:
        return self._settings.codec.encode(self._request, context)

    def is_final(self) -> bool:
        return self.progress.delivered and not self._restart

    def _partial(self) -> ChatResponse | None:
        return self.response() if self.progress.fold.started else None

    def _completed(self, response: ChatResponse) -> ChatResponse:
        response.provider = self._settings.provider.name
        response.model = response.model or self._context.model or None
        response.request_id = self._request_id
        return response

    def _finished(self, response: ChatResponse) -> ChatResponse:
        """The whole answer, read as the request asked for."""
        form = self._request.response_format
        if form is not None and response.finish_reason != "tool_calls":
            try:
                response.parsed = form.parse(response.text)
            except ValueError as error:
                cut = ": the answer was cut off" if response.finish_reason == "length" else ""
                raise StructuredOutputError(
                    f"the answer is not what response_format asks for ({error}){cut}",
                    text=response.text,
                    partial=self._completed(response),
                ) from None
        self._final = self._completed(response)
        return self._final

    def _whole_reply(self) -> Course[ChatResponse]:
        yield from self._open()
        body = yield from self._body()
        chunk = self._settings.codec.decode(body)
        accumulator = Accumulator()
        accumulator.add(chunk)
        response = accumulator.response()
        response.raw = chunk.raw
        return self._finished(response)

    def _streamed_reply(self, *, deliver: bool = False) -> Course[ChatResponse]:
        progress = self.progress
        fold = Accumulator()
        if not progress.delivered:
            progress.fold = fold
        head = yield from self._open()
        decoder = self._settings.codec.stream_decoder(head.headers.get("content-type", ""))
        source = _Folding(decoder, fold, progress, deliver=deliver)
        if deliver:
            yield Deliver(source)
        while not source.done:
            for _ in source.chunks((yield READ)):
                pass
        if not source.at_end:
            yield FINISH
        return self._finished(fold.response())


class _Folding:
    """A decoder's chunks, each folded as it is taken. One at a time: those that nobody keeps die young."""

    __slots__ = ("_begun", "_decoder", "_deliver", "_fold", "_progress", "at_end", "done")

    def __init__(self, decoder: StreamDecoder, fold: Accumulator, progress: Progress, *, deliver: bool) -> None:
        self._decoder = decoder
        self._fold = fold
        self._progress = progress
        self._deliver = deliver
        self._begun = False
        self.done = False
        self.at_end = False

    def chunks(self, data: bytes) -> Iterator[Chunk]:
        chunks = self._decoder.feed(data) if data else self._decoder.finish()
        if not self._begun:
            for first in chunks:
                yield from self._begin()
                self._fold.add(first)
                yield first
                break
        fold = self._fold
        for chunk in chunks:
            fold.add(chunk)
            yield chunk
        self.at_end = not data
        self.done = self.at_end or self._decoder.done

    def _begin(self) -> Iterator[Chunk]:
        """Something has come: from now on, this attempt is the one that counts."""
        self._begun = True
        progress = self._progress
        if progress.fold is not self._fold:  # the caller has chunks of an attempt that broke off
            progress.fold = self._fold
            yield _RESTARTED
        progress.delivered = self._deliver


class FallbackCall:
    """The same call to one provider after another, until one answers. All of it is within one deadline."""

    def __init__(self, calls: list[Call]) -> None:
        self._calls = calls
        self._current = calls[0]

    def reply(self) -> Course[ChatResponse]:
        """The course of `chat`."""
        return (yield from self._first_answer(Call.reply))

    def stream(self) -> Course[ChatResponse]:
        """The course of `stream`. Once a chunk is out, another provider goes on only with `restart`."""
        return (yield from self._first_answer(Call.stream))

    def response(self) -> ChatResponse:
        """What has come of a stream so far."""
        return self._current.response()

    def _first_answer(self, course: Callable[[Call], Course[ChatResponse]]) -> Course[ChatResponse]:
        for call in self._calls[:-1]:
            self._current = call
            try:
                return (yield from course(call))
            except APIError as error:
                if call.is_final() or (isinstance(error, APITimeoutError) and error.phase == "total"):
                    raise
                call.progress.failures.append(error.with_traceback(None))
        self._current = self._calls[-1]
        return (yield from course(self._current))


class ModelListing(Attempts):
    """The question which models there are."""

    def __init__(self, settings: ClientSettings, clock: Clock) -> None:
        super().__init__(
            settings, clock, Context(api_key=settings.api_key, is_default_endpoint=settings.is_default_endpoint)
        )

    def names(self) -> Course[list[str]]:
        """The course of `models`: asks the service; where its wire has no such question, ends with the known names."""
        if not self._wire.path:
            return list(self._settings.provider.models)
        return (yield from self._attempts(self._listed))

    def _encode(self, context: Context) -> EncodedRequest:
        return self._settings.codec.encode_models(context) or EncodedRequest("", b"")

    def _listed(self) -> Course[list[str]]:
        yield from self._open()
        return self._settings.codec.decode_models((yield from self._body()))
