"""`Reply`: one scripted reply, in words that every wire can say (`Reply.text("Hi")`), or as bytes (`Reply(body=…)`)."""

from __future__ import annotations

import dataclasses
import json as _json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from llmclients.errors import APIError
from llmclients.testing.answer import Answer, Counts, Piece
from llmclients.testing.wires.base import encode_json
from llmclients.testing.wires.choice import answer_steps, writer_for
from llmclients.transports.mock import Delay, MockRequest, ScriptError
from llmclients.transports.mock import Reply as BytesReply
from llmclients.types.messages import ToolCall
from llmclients.types.response import FinishReason

__all__ = ["Reply"]


class Reply(BytesReply):
    """One scripted reply.

    The constructor makes one of bytes, which every request gets as they are. The methods make one in words: it is
    written for the client that asks, in its provider's wire, whole or as a stream.

    Args:
        status: the HTTP status.
        body: the whole body, as one piece.
        chunks: the body's steps, in place of `body`: a piece of bytes or text is one `read`, a `Delay` is silence, an
            error such as `Cut()` is raised. The end of the steps is the clean end of the body.
        json: a value whose JSON is the body.
        headers: the response's headers.
        wait: seconds of silence before the response's head.
    """

    @classmethod
    def text(
        cls,
        text: str,
        *,
        reasoning: str = "",
        finish_reason: FinishReason | None = None,
        usage: Counts = "words",
        model: str = "",
        wait: float = 0.0,
    ) -> Reply:
        """An answer of text. A client that asks for a stream gets it in one piece.

        Args:
            reasoning: what the model has thought.
            finish_reason: why it ends, in the library's words; default: `stop`.
            usage: the token counts; None: it has none. By default words are counted, on wires that have token counts.
            model: the model that answers; by default the one that was asked.
            wait: seconds of silence before the response's head.
        """
        return _Answering(Answer((text,), (), reasoning, finish_reason, usage, model), wait)

    @classmethod
    def choices(cls, *texts: str, usage: Counts = "words", model: str = "", wait: float = 0.0) -> Reply:
        """Several answers, for a client that asks with `n`: not for a stream. For the rest, see `text`."""
        if not texts:
            raise TypeError("give at least one text, such as Reply.choices('Red', 'Blue')")
        return _Answering(Answer(texts[:1], usage=usage, model=model, other_texts=texts[1:]), wait)

    @classmethod
    def stream(
        cls,
        *pieces: Piece,
        reasoning: str = "",
        finish_reason: FinishReason | None = None,
        usage: Counts = "words",
        model: str = "",
        wait: float = 0.0,
    ) -> Reply:
        """An answer whose text comes in pieces, with silence (`Delay(5)`) between, or a break (`Cut()`) after them.

        A client that asks for no stream gets the whole of it, or half of its bytes before the break. For the rest, see
        `text`.

        Raises:
            TypeError: a piece is none of these.
        """
        for piece in pieces:
            if not isinstance(piece, str | Delay | APIError):
                raise TypeError(f"a piece is text, a Delay or an error such as Cut(), not {type(piece).__name__}")
        return _Answering(Answer(pieces, (), reasoning, finish_reason, usage, model), wait)

    @classmethod
    def tool_call(cls, name: str, /, **arguments: Any) -> Reply:
        """An answer that asks for one call of a tool, with these arguments."""
        return cls.tool_calls((name, arguments))

    @classmethod
    def tool_calls(
        cls,
        *calls: ToolCall | tuple[str, Mapping[str, Any]],
        text: str = "",
        reasoning: str = "",
        usage: Counts = "words",
        model: str = "",
        wait: float = 0.0,
    ) -> Reply:
        """An answer that asks for several calls: `("weather", {"city": "Oslo"})`, or a `ToolCall`, which has an id.

        Args:
            text: what the model says before. For the rest, see `Reply.text`.
        """
        if not calls:
            raise TypeError("give at least one call, such as ('weather', {'city': 'Oslo'})")
        made = tuple(call if isinstance(call, ToolCall) else ToolCall("", *call) for call in calls)
        return _Answering(Answer((text,) if text else (), made, reasoning, None, usage, model), wait)

    @classmethod
    def parsed(cls, value: Any, *, usage: Counts = "words", model: str = "", wait: float = 0.0) -> Reply:
        """An answer whose text is the JSON of a pydantic model, a dataclass or plain values: for `response_format`.

        Raises:
            TypeError: JSON cannot carry the value.
        """
        return cls.text(_json.dumps(value, ensure_ascii=False, default=_plain), usage=usage, model=model, wait=wait)

    @classmethod
    def error(
        cls,
        status: int,
        message: str = "",
        *,
        retry_after: float | None = None,
        headers: Mapping[str, str] | None = None,
        wait: float = 0.0,
    ) -> Reply:
        """An error status, with a body as the provider has it.

        Args:
            status: the HTTP status, 400 to 599.
            message: what the provider says of it; default: the status's own words.
            retry_after: seconds that it asks to wait, in the header `Retry-After`.
            headers: further headers.
            wait: seconds of silence before the response's head.

        Raises:
            ValueError: the status is none of an error.
        """
        if not isinstance(status, int) or not 400 <= status <= 599:
            raise ValueError(f"the status of an error is 400 to 599, not {status!r}")
        asked = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        return _Failing(status, message or _phrase(status), {**asked, **(headers or {})}, wait)

    @classmethod
    def models(cls, *names: str) -> Reply:
        """The answer to `client.models()`."""
        return _Listing(names)


class _Answering(Reply):
    """An answer, written for who asks."""

    def __init__(self, answer: Answer, wait: float) -> None:
        super().__init__(wait=wait)
        self._answer = answer

    def to(self, request: MockRequest, number: int) -> BytesReply:
        content_type, steps = answer_steps(self._answer, request, number)
        return BytesReply(chunks=steps, headers={"content-type": content_type}, wait=self.wait)


class _Failing(Reply):
    """An error status, with a body for who asks."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str], wait: float) -> None:
        super().__init__(status, headers=headers, wait=wait)
        self._message = message

    def to(self, request: MockRequest, number: int) -> BytesReply:
        body = writer_for(request).error(self.status, self._message)
        return BytesReply(self.status, json=body, headers=self.headers, wait=self.wait)


class _Listing(Reply):
    """A list of models, for who asks for one."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self._names = list(names)

    def to(self, request: MockRequest, number: int) -> BytesReply:
        if not request.is_listing:
            raise ScriptError("the client asks for an answer, and the script has a list of models")
        return BytesReply(
            body=encode_json(writer_for(request).models(self._names)), headers={"content-type": "application/json"}
        )


def _plain(value: Any) -> Any:
    """A value that JSON has no form for, in one that it has."""
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"JSON cannot carry a {type(value).__name__}")


def _phrase(status: int) -> str:
    """The status in words; those that HTTP does not have are a provider's own."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Overloaded" if status == 529 else "The provider failed"
