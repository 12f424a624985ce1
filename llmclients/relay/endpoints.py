"""The relay's endpoints: each decodes a request in a wire's format, asks the upstream, and replies in that format.

How an answer goes out piece by piece. The reply's head, a 200, is sent with the first bytes that the encoder makes of a
chunk. So there are two ways to fail:

- before the head, as an error status, in `Endpoint._serve`, like any other failure;
- after it, as the wire's own error event, if the encoder has one (`fail`); where the wire has none, the connection is
  cut without the chunk that ends the body: uvicorn does so when an application returns before its reply is complete.

The bytes that end a good answer are made (`finish`) only after the upstream's stream has ended without an error, and is
closed: a client never sees a good end and then a break. Each piece is sent before the next one is asked for, so that a
slow client slows the upstream down, and little is held in memory.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from starlette.types import Receive, Scope, Send

from llmclients.errors import InvalidRequestError, LLMClientError, one_line
from llmclients.relay.access import check_access
from llmclients.relay.accounts import Accounts
from llmclients.relay.asgi import ASGIExchange, ClientDisconnected
from llmclients.relay.bodies import decoded_body
from llmclients.relay.codecs.base import RelayedCall, ReplyMeta, ServerCodec
from llmclients.relay.errors import Failure, RequestRejected
from llmclients.relay.log_text import MAX_LINE, exception_text
from llmclients.relay.operations import Operations
from llmclients.relay.routing import Router
from llmclients.relay.upstream import Leeway, Upstream

__all__ = ["ChatEndpoint", "CodecSelector", "Endpoint", "Relay", "warning_headers"]

_log = logging.getLogger("llmclients.relay")

_SMALL_BODY = 64 * 1024
_MAX_MODEL_NAME = 256

CodecSelector: TypeAlias = Callable[[ASGIExchange], ServerCodec]
"""Which wire a request is of: by its head, and once its body has been read, by that, too."""

_WARNING_HEADER = "x-llmclients-warning"
"""The header of a reply that says what of its request was left out, or is not exact."""
_MAX_WARNING = 1000  # characters


@dataclass(frozen=True, slots=True)
class Relay:
    """What all endpoints of one relay share.

    Attributes:
        upstream: who answers.
        accounts: whose requests are answered.
        max_request_bytes: the most bytes of one request's body, decoded.
        operations: the operator's side of it.
        lenient: whether what a wire's programs ask for always, and nobody behind the relay can do, is left out, with a
            warning.
    """

    upstream: Upstream | Router
    accounts: Accounts
    max_request_bytes: int
    operations: Operations
    lenient: bool


class Endpoint(ABC):
    """An address of the relay: an ASGI application of its own, because it has to notice when the client disconnects."""

    def __init__(self, relay: Relay, select_codec: CodecSelector) -> None:
        self._relay = relay
        self._select_codec = select_codec

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, whatever happens, and log how it ended."""
        exchange = ASGIExchange(scope, receive, send)
        record = exchange.record
        with self._relay.operations.request(record):
            try:
                record.outcome = await self._serve(exchange)
            except ClientDisconnected:
                record.outcome = exchange.closed_because or "the client went away"
            finally:
                exchange.cut()
                if exchange.account is not None:
                    exchange.account.end(record.model, record.usage)

    async def _serve(self, exchange: ASGIExchange) -> str:
        """Reply, be it with an error. How it ended, in the relay's own words.

        Raises:
            ClientDisconnected: there is nobody to reply to.
        """
        limit = self._relay.max_request_bytes
        codec = self._select_codec(exchange)
        exchange.record.wire = codec.name
        try:
            self._relay.operations.check_open()
            account = check_access(exchange.method, codec.plain_headers(exchange.headers), self._relay.accounts)
            account.begin()
            exchange.account, exchange.record.key = account, account.name
            body = await decoded_body(await exchange.body(limit), exchange.headers, limit)
            exchange.record.body_bytes = len(body)
            exchange.content = body
            codec = self._select_codec(exchange)
            exchange.record.wire = codec.name
            await exchange.cancel_on_disconnect(self._reply(exchange, codec, body))
        except ClientDisconnected:
            raise
        except Exception as error:  # noqa: BLE001 - `_failure` logs what nobody expected
            exchange.record.failed(error)
            if exchange.status:  # the answer broke off, and the wire has no error event: leave the reply incomplete
                return "broken off"
            failure = _failure(error)
            request_id = ((codec.request_id_header, failure.request_id),) if failure.request_id else ()
            headers = (*failure.headers, *request_id)
            await exchange.reply(failure.status, "application/json", codec.encode_error(failure), headers)
            return ""
        return "broken off" if exchange.record.error else "complete"

    def _name_model(self, exchange: ASGIExchange, model: str) -> None:
        """The request is for this model: the log, and the limits of keys, get to know it.

        Raises:
            InvalidRequestError: no model has a name so long, and each piece of an answer would have it again.
        """
        if len(model) > _MAX_MODEL_NAME:
            raise InvalidRequestError(f"model is longer than {_MAX_MODEL_NAME} characters", argument="model")
        exchange.record.model = model

    @abstractmethod
    async def _reply(self, exchange: ASGIExchange, codec: ServerCodec, body: bytes) -> None:
        """Read the request in the wire's format, and reply in it.

        Raises:
            Exception: with `exchange.status` 0 as an error status; else the reply broke off.
        """


class ChatEndpoint(Endpoint):
    """A chat call, whole or streamed."""

    async def _reply(self, exchange: ASGIExchange, codec: ServerCodec, body: bytes) -> None:
        # The loop serves others meanwhile.
        call = codec.decode(body) if len(body) <= _SMALL_BODY else await asyncio.to_thread(codec.decode, body)
        if model := exchange.path_params.get("model"):
            call = replace(call, model=model)
        self._name_model(exchange, call.model or "")
        if call.ready is not None:
            await exchange.reply(200, codec.reply_type, call.ready)
            return
        if exchange.account is not None:
            exchange.account.check_model(call.model)
        id_ = codec.id_prefix + secrets.token_hex(12)
        meta = ReplyMeta(id_, int(time.time()), call.model or "", call.mirrored, call.tools)
        if call.stream:
            with self._relay.operations.stream():
                await self._stream(exchange, codec, call, meta)
        else:
            leeway = Leeway(self._relay.lenient)
            response = await self._relay.upstream.chat(call, leeway)
            exchange.record.answered(response)
            headers = ((codec.request_id_header, id_), *_warned(codec, leeway))
            await exchange.reply(200, codec.reply_type, codec.encode(response, meta), headers)

    async def _stream(self, exchange: ASGIExchange, codec: ServerCodec, call: RelayedCall, meta: ReplyMeta) -> None:
        """Reply piece by piece; the module's docstring says how."""
        headers = [(codec.request_id_header, meta.id), ("cache-control", "no-cache"), ("x-accel-buffering", "no")]
        encoder = codec.stream_encoder(call, meta)
        leeway = Leeway(self._relay.lenient)
        try:
            async with self._relay.upstream.stream(call, leeway) as stream:
                headers += _warned(codec, leeway)
                try:
                    async for chunk in stream:
                        data = encoder.feed(chunk)
                        if data and not exchange.status:
                            await exchange.start(200, codec.stream_type, headers)
                        if data:
                            await exchange.write(data)
                finally:  # also of one that broke off
                    exchange.record.answered(stream.response)
            end = encoder.finish()
        except Exception as error:
            exchange.record.failed(error)
            error_event = encoder.fail(_failure(error)) if exchange.status else None
            if error_event is None:
                raise
            end = error_event
        if not exchange.status:
            await exchange.start(200, codec.stream_type, headers)
        await exchange.write(end, last=True)


def _warned(codec: ServerCodec, leeway: Leeway) -> Sequence[tuple[str, str]]:
    """The header for what became of a call; the log is told, too."""
    if leeway.warnings:
        _log.warning("%s: %s", codec.name, one_line("; ".join(leeway.warnings), MAX_LINE))
    return warning_headers(leeway.warnings)


def warning_headers(warnings: Sequence[str]) -> Sequence[tuple[str, str]]:
    """The header that says them, in ASCII and on one line; none where there are none."""
    text = one_line("; ".join(warnings), _MAX_WARNING).encode("ascii", "backslashreplace").decode()
    return ((_WARNING_HEADER, text),) if text else ()


def _failure(error: Exception) -> Failure:
    """What the client is told of an error; what nobody expected is told to the log."""
    if isinstance(error, RequestRejected):
        return error.failure
    if not isinstance(error, LLMClientError):
        _log.error("the relay failed: %s", exception_text(error))
    return Failure.from_error(error)
