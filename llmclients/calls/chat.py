"""`ChatCall`: the flow of one chat answer, whole or streamed, from one provider; and `prepare`, which makes calls."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from llmclients.calls.accumulator import Accumulator
from llmclients.calls.arguments import ChatArguments, OnComplete
from llmclients.calls.base import RNG, BaseCall, reading_reply
from llmclients.calls.flow import DRAIN, READ, CallState, Flow
from llmclients.codecs.base import CodecOptions, Context, EncodedRequest
from llmclients.config.client import ClientSettings
from llmclients.config.fallback import shared_options
from llmclients.errors import APIError, APIResponseError, InvalidRequestError, StructuredOutputError
from llmclients.transports.base import Clock, client_closed
from llmclients.types.choice import Choice
from llmclients.types.request import ChatRequest
from llmclients.types.response import ChatResponse, Chunk, name_response

if TYPE_CHECKING:
    from llmclients.calls.fallback import FallbackCall
    from llmclients.calls.think_tags import ThinkTags
    from llmclients.calls.tool_options import ToolOptions
    from llmclients.types.response_format import ResponseFormat

__all__ = ["Backend", "ChatCall", "Connections", "prepare"]

_RESTARTED = Chunk.model_construct(restarted=True)  # a validator for one chunk would be built at every start


class Backend(NamedTuple):
    """What a conversation needs of its client.

    Attributes:
        provider: the provider's name.
        new_state: makes what the provider's wire keeps over the turns of a new conversation.
        chat: gives the answer, or what is awaited for it; with tool options, that of the tool loop.
        stream: gives the stream; the same.
    """

    provider: str
    new_state: Callable[[], dict[str, Any]]
    chat: Callable[[ChatArguments, ToolOptions | None], Any]
    stream: Callable[[ChatArguments, OnComplete, ToolOptions | None], Any]


class Connections(Protocol):
    """What a call needs to know of the client's connections before it is sent."""

    clock: Clock
    closed: bool


def prepare(
    settings: ClientSettings,
    clock: Clock,
    arguments: ChatArguments,
    *,
    stream: bool,
    transport: Connections | None = None,
    row: bool = False,
) -> ChatCall | FallbackCall:
    """The call that the arguments mean. What is sent is fixed here, also to the providers to fall back on.

    Args:
        clock: the transport's.
        transport: what the driver sends by, for when it is to go back to that from a fallback client's.
        row: whether it is one of `bulk`, whose output has a place for one answer.

    Raises:
        ConfigurationError: one of them cannot carry the request, its client is closed, or a stream or a row is asked
            for several answers; nothing is sent to any.
    """
    messages, model, options, state, restart, overrides = arguments
    if overrides is not None:
        settings = overrides.applied(settings)
    request, codec_options = settings.request(messages, model, options)
    if (stream or row) and (request.n or 1) > 1:
        what, instead = ("a row", "give it as often as you want answers") if row else ("a stream", "use chat(…, n=…)")
        raise InvalidRequestError(f"{what} is of one answer, not of n={request.n}: {instead}", argument="n")
    shared_state = CallState()
    first = ChatCall(
        settings, clock, request, codec_options, stream=stream, restart=restart, wire_state=state, state=shared_state
    )
    if not settings.fallbacks:
        return first
    from llmclients.calls.fallback import FallbackCall  # few clients have one

    calls, carriers = [first], [transport]
    for other, client in settings.fallbacks:
        asked, unset = other.request(request.messages, None, shared_options(settings, options, other))
        carrier, its_clock = transport, clock
        if client is not None:
            carrier = client._transport
            if carrier.closed:
                raise client_closed(f"the client of {other.label} to fall back on")
            its_clock = carrier.clock
        calls.append(ChatCall(other, its_clock, asked, unset, stream=stream, restart=restart, state=shared_state))
        carriers.append(carrier)
    return FallbackCall(calls, carriers)


class ChatCall(BaseCall):
    """One chat call. What is sent is fixed when it is made, before anything is sent.

    Args:
        stream: whether the wire is asked for a stream.
        restart: whether an attempt may follow one of which the caller has chunks.
        wire_state: what the wire keeps over a conversation's turns.

    Raises:
        ConfigurationError: the provider's wire cannot carry the request.
    """

    runs_tools = False

    def __init__(
        self,
        settings: ClientSettings,
        clock: Clock,
        request: ChatRequest,
        codec_options: CodecOptions,
        *,
        stream: bool,
        restart: bool = False,
        wire_state: Mapping[str, Any] | None = None,
        state: CallState | None = None,
        rng: random.Random = RNG,
    ) -> None:
        self._request = request  # before the base's constructor, which encodes it
        self._restart = restart
        self._final: ChatResponse | None = None
        context = Context(
            model=request.model or "",
            stream=stream,
            api_key=settings.api_key,
            is_default_endpoint=settings.is_default_endpoint,
            options=codec_options,
            state=wire_state or {},
            unix_time=clock.time(),
            random=rng,
        )
        super().__init__(settings, clock, context, state, rng)
        if not stream:
            self._timeout = settings.chat_timeout

    def reply(self) -> Flow[ChatResponse]:
        """The flow of `chat`. Any break is tried again, as nothing has been handed out."""
        whole = self._settings.codec.whole_replies
        return self._with_retries(self._whole_reply if whole else lambda: self._streamed_reply(deliver=False))

    def stream(self) -> Flow[ChatResponse]:
        """The flow of `stream`, with the chunks among its steps. Once one is out, a break is the caller's to know."""
        return self._with_retries(lambda: self._streamed_reply(deliver=True))

    @property
    def accumulator(self) -> Accumulator:
        """What gathers the answer, of the attempt that counts."""
        return self.state.accumulator

    @property
    def response_format(self) -> ResponseFormat | None:
        """What the answer was asked to be."""
        return self._request.response_format

    @property
    def restarts(self) -> bool:
        """Whether the answer may begin anew after a chunk of it was handed out."""
        return self._restart

    def misfit(self, reason: str) -> StructuredOutputError:
        """The error of an answer of which can be told, before its end, that it is not what was asked for."""
        response = self.response()
        message = f"the answer is not what response_format asks for ({reason})"
        error = StructuredOutputError(message, text=response.text, partial=response)
        located = self._located(error, self.state.errors)
        assert isinstance(located, StructuredOutputError)
        return located

    def response(self) -> ChatResponse:
        """What has come of the answer so far."""
        return self._final or self._named(self.state.accumulator.response())

    def _chat_request(self) -> ChatRequest:
        return self._request

    def _encode(self, context: Context) -> EncodedRequest:
        return self._settings.codec.encode(self._request, context)

    def is_final(self) -> bool:
        return self.state.delivered and not self._restart

    def is_restart(self) -> bool:
        return self.state.delivered and self._restart

    def _partial(self) -> ChatResponse | None:
        return self.response() if self.state.accumulator.started else None

    def _named(self, response: ChatResponse) -> ChatResponse:
        """The response with whom it is from."""
        name_response(
            response,
            self._settings.provider.name,
            response.model or self._context.model or None,
            self._request_id,
            self._headers(),
        )
        return response

    def _finished(self, response: ChatResponse) -> ChatResponse:
        """The whole answer, read as the request asked for.

        Raises:
            StructuredOutputError: it is not what `response_format` asks for.
            APIResponseError: it has no text, but parts that are something else.
        """
        if response.other_parts and not (response.text or response.tool_calls):
            kinds = " and ".join(dict.fromkeys(part.kind for part in response.other_parts))
            raise APIResponseError(
                f"the answer has no text, but {kinds}: in `partial.other_parts` of this error, as the provider sent it",
                partial=self._named(response),
            )
        if self._request.response_format is not None:
            self._parse(response, self._request.response_format)
        self._final = self._named(response)
        return self._final

    def _parse(self, response: ChatResponse, response_format: ResponseFormat) -> None:
        """Set `parsed` of each choice that is an answer, also if one of them does not fit.

        Raises:
            StructuredOutputError: about the first one that does not.
        """
        answers: list[ChatResponse | Choice] = [response, *response.other_choices]
        misfits: list[tuple[ChatResponse | Choice, str]] = []
        for answer in answers:
            if answer.finish_reason != "tool_calls":
                try:
                    answer.parsed = response_format.parse(answer.text)
                except ValueError as error:
                    misfits.append((answer, str(error)))
        for answer, reason in misfits[:1]:
            which = f"choice {answer.index}" if isinstance(answer, Choice) else "the answer"
            cut = ": the answer was cut off" if answer.finish_reason == "length" else ""
            message = f"{which} is not what response_format asks for ({reason}){cut}"
            raise StructuredOutputError(message, text=answer.text, partial=self._named(response))

    def _whole_reply(self) -> Flow[ChatResponse]:
        yield from self._open()
        body = yield from self._body()
        codec, new_tags = self._settings.codec, self._new_think_tags()
        accumulator, tags = Accumulator(new_tags), new_tags()
        raw = None
        with reading_reply():
            if codec.is_stream(body):  # some gateways stream unasked
                decoder = codec.stream_decoder("")
                for data in (body, b""):
                    for chunk in () if decoder.done else decoder.feed(data) if data else decoder.finish():
                        accumulator.add(chunk if tags is None else tags.read(chunk))
            else:
                chunk = codec.decode(body)
                raw = accumulator.add(chunk if tags is None else tags.read(chunk, last=True)).raw
            for _ in _rest(accumulator, tags):
                pass
        return self._finished(accumulator.response(raw or None))

    def _streamed_reply(self, *, deliver: bool) -> Flow[ChatResponse]:
        """One attempt at the answer, read as a stream. With `deliver`, its chunks are steps.

        A chunk is decoded when it is asked for, added up when it is handed out, and not kept: most die young.
        """
        state = self.state
        new_tags = self._new_think_tags()
        accumulator, tags = Accumulator(new_tags), new_tags()
        if not state.delivered:
            state.accumulator = accumulator
        head = yield from self._open()
        with reading_reply(), _held_back(accumulator, tags):
            decoder = self._settings.codec.stream_decoder(head.headers.get("content-type", ""))
            begun = False
            data = b"-"
            while data and not decoder.done:
                data = yield READ
                for chunk in decoder.feed(data) if data else decoder.finish():
                    if not begun:  # from now on, this attempt is the one that counts
                        begun = True
                        if state.accumulator is not accumulator:  # the caller has chunks of one that broke off
                            state.accumulator = accumulator
                            yield _RESTARTED
                        state.delivered = deliver
                    chunk = accumulator.add(chunk if tags is None else tags.read(chunk))
                    if deliver:
                        yield chunk
            for chunk in _rest(accumulator, tags):
                if deliver:
                    yield chunk
        if data:
            yield DRAIN
        return self._finished(accumulator.response())

    def _new_think_tags(self) -> Callable[[], ThinkTags | None]:
        """Makes what reads a choice's `<think>` tags. Not a method: an accumulator that held its call were a circle."""
        asked = self._context.options.think_tags
        has_tags = self._settings.provider.think_tags if asked is None else asked
        if not has_tags:
            return _no_tags
        from llmclients.calls.think_tags import ThinkTags  # few models write any

        return partial(ThinkTags, omitted=asked is True)


def _no_tags() -> None:
    """Of a provider whose models write no tags."""


class _held_back:
    """Around the reading of a stream: if it breaks off, what was held back belongs to what had come."""

    __slots__ = ("_accumulator", "_tags")

    def __init__(self, accumulator: Accumulator, tags: ThinkTags | None) -> None:
        self._accumulator, self._tags = accumulator, tags

    def __enter__(self) -> None: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, APIError):
            for _ in _rest(self._accumulator, self._tags):
                pass


def _rest(accumulator: Accumulator, tags: ThinkTags | None) -> Iterator[Chunk]:
    """What was held back of an answer that has ended."""
    held = tags.rest() if tags is not None else None
    if held is not None:
        yield accumulator.add(held)
    half = accumulator.finish()
    if half is not None:
        yield half
