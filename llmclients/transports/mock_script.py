"""What a scripted transport's script is made of: replies, silences, faults; and the requests that it answers."""

from __future__ import annotations

import json as _json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llmclients.errors import APIConnectionError, APIError, StreamInterruptedError
from llmclients.transports.base import HTTPRequest

if TYPE_CHECKING:
    from llmclients.calls.base import CallView
    from llmclients.codecs.base import Codec
    from llmclients.types.messages import Message

__all__ = ["ConnectFault", "Cut", "Delay", "MockRequest", "Reply", "ScriptError", "ScriptExhausted", "Step"]


class ScriptError(AssertionError):
    """A script has a reply that cannot be given to who asks: the wire has no place for something in it."""


class ScriptExhausted(ScriptError):
    """A request came that the script has no reply for. The message has the failure behind it, if it is a retry."""


@dataclass(frozen=True)
class Delay:
    """A step of a reply: silence. More of it than the timeouts allow ends the exchange, as from a real server."""

    seconds: float


class Cut(StreamInterruptedError):
    """A step of a reply: the connection breaks off."""

    def __init__(self, message: str = "the answer broke off: connection reset by peer") -> None:
        super().__init__(message)


class ConnectFault(APIConnectionError):
    """In place of a reply: no connection."""

    def __init__(self, message: str = "cannot connect: connection refused") -> None:
        super().__init__(message)


Step = bytes | str | Delay | APIError


class MockRequest(HTTPRequest):
    """A request that came: as it went out (`method`, `url`, `headers`, `body`), and what a program asked for with it.

    The latter is in the library's own words, whatever the wire: `provider`, `model`, `messages`, `options`, `stream`.
    Two requests are equal if the same went out.
    """

    _call: Any = None

    @classmethod
    def from_request(cls, request: HTTPRequest) -> MockRequest:
        """The request as it came."""
        came = cls(*request._replace(call=None))
        came._call = request.call
        return came

    def __repr__(self) -> str:
        if self._call is None:
            return super().__repr__()
        name = f"{self.provider}/{self.model}" if self.model else self.provider
        return f"MockRequest({name!r}, {self.prompt!r}, {self.options!r})"

    @property
    def errors(self) -> Sequence[APIError]:
        """Why the call's attempts before this one failed; none of its first."""
        return () if self._call is None else self._view.errors

    @property
    def path(self) -> str:
        """The address without host and query."""
        return urlsplit(self.url).path

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return _json.loads(self.body)

    @property
    def provider(self) -> str:
        """The provider's name."""
        return self._view.provider

    @property
    def model(self) -> str:
        """The model; "" of a request for the list of models."""
        return self._view.context.model

    @property
    def messages(self) -> list[Message]:
        """The messages, the system text included; none of a request for the list of models."""
        request = self._view.request
        return [] if request is None else request.messages

    @property
    def prompt(self) -> str:
        """The text of the last message; "" where there is none."""
        return self.messages[-1].text if self.messages else ""

    @property
    def options(self) -> dict[str, Any]:
        """The options that the call has, the provider's own included, by name."""
        request, codec_options = self._view.request, self._view.context.options
        names = () if request is None else type(request).model_fields.keys() - {"messages", "model"}
        common = {name: getattr(request, name) for name in names}
        fields = type(codec_options).model_fields
        others = {
            name: getattr(codec_options, name)
            for name in fields
            if getattr(codec_options, name) != fields[name].default
        }
        return {name: value for name, value in {**common, **others}.items() if value is not None}

    @property
    def stream(self) -> bool:
        """Whether a stream was asked for."""
        return self._view.context.stream

    @property
    def codec(self) -> Codec:
        """The codec that has written the request, and reads the reply."""
        return self._view.codec

    @property
    def is_listing(self) -> bool:
        """Whether it asks which models there are."""
        return self._view.request is None

    @property
    def _view(self) -> CallView:
        if self._call is None:
            raise ScriptError(f"{self.method} {self.url} is no client's: nothing is known of it but its bytes")
        view: CallView = self._call.view()
        return view


class Reply:
    """One scripted response.

    Args:
        status: the HTTP status.
        body: the whole body, as one piece.
        chunks: the body's steps, in place of `body`: a piece of bytes or text is one `read`, a `Delay` is silence, an
            error such as `Cut()` is raised. The end of the steps is the clean end of the body.
        json: a value whose JSON is the body.
        headers: the response's headers.
        wait: seconds of silence before the response's head.
    """

    def __init__(
        self,
        status: int = 200,
        body: bytes | str = b"",
        *,
        chunks: Iterable[Step] | None = None,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        wait: float = 0.0,
    ) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        if json is not None:
            body = _json.dumps(json)
            self.headers.setdefault("content-type", "application/json")
        self.steps: tuple[Step, ...] = (body,) if chunks is None else tuple(chunks)
        self.wait = wait

    def to(self, request: MockRequest, number: int) -> Reply:
        """The reply as this request gets it, the transport's `number`th. One that is made of bytes is what it is.

        Raises:
            ScriptError: the request cannot get it.
        """
        return self
