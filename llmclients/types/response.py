"""Chunks and responses: what a provider answers, piece by piece and whole."""

# Without `from __future__ import annotations`: the head of `types/base.py` says why.

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from pydantic import ConfigDict, Field

from llmclients.types.base import Model, make_model
from llmclients.types.choice import Choice, FinishReason, OtherPart, TokenLogprob, as_message
from llmclients.types.headers import NO_HEADERS
from llmclients.types.messages import Message, ToolCall, ToolResult
from llmclients.types.parsed import AnswerT, HasParsed, ParsedT
from llmclients.types.printing import Pairs
from llmclients.types.text_model import TextModel
from llmclients.types.usage import Usage, make_usage

__all__ = [
    "AnswerT",
    "ChatResponse",
    "Choice",
    "Chunk",
    "FinishReason",
    "OtherPart",
    "ParsedT",
    "PartialToolCall",
    "TokenLogprob",
    "ToolCallDelta",
    "Usage",
    "make_chunk",
    "make_result_chunk",
    "make_text_chunk",
    "make_usage",
    "name_response",
]


class ToolCallDelta(Model):
    """A piece of a tool call in a stream.

    Attributes:
        index: which call it is, from 0.
        id: the call's, in one of its pieces.
        name: the function's, in one of its pieces, and whole.
        arguments: the next part of the JSON text.
        provider_data: what `ToolCall.provider_data` is to hold; of several, the last one counts.
    """

    index: int = 0
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    provider_data: dict[str, Any] | None = None


class PartialToolCall(NamedTuple):
    """A tool call while it streams.

    Attributes:
        id: what the result will refer to; empty until it has come.
        name: the function's; empty until it has come.
        arguments: what has come of them, as plain JSON values; None before anything. Of arguments that turn out to be
            no JSON, what came before that.
    """

    id: str
    name: str
    arguments: Any


class Chunk(TextModel):
    """One piece of a streamed answer. `str(chunk)` is its new text, and `text + chunk` and the like mean that.

    Attributes:
        text: new text, often a word; may be empty.
        role: the author's role, where the wire says it.
        reasoning: new text of the model's reasoning, where the wire has it.
        tool_calls: pieces of tool calls.
        finish_reason: why the answer ended, in the library's words; the provider's own word stays in `raw`.
        usage: token counts, when the provider sends them; of several, the last one counts.
        model: the model that answers, as the provider names it.
        id: the provider's id of the answer.
        raw: the provider's own event, parsed; for a raw-text provider None.
        logprobs: of the new text's tokens, where they were asked for.
        provider_data: what `Message.provider_data` is to hold, once it is complete.
        restarted: the answer begins anew with the next chunk: discard what came before.
        other_parts: new parts that are not text, such as images; also in `raw`.
        other_choices: of an answer with several choices, the pieces of those besides the first, each with its `index`.
            All else in a chunk is the first choice's.
        index: of a piece in `other_choices`, which choice it belongs to.
        tool_result: with `run_tools`, what came of a call, and nothing else; the model's next turn follows.
    """

    model_config = ConfigDict(frozen=True)

    text: str = ""
    role: str | None = None
    reasoning: str | None = None
    tool_calls: Sequence[ToolCallDelta] = ()
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    model: str | None = None
    id: str | None = None
    raw: Any = None
    logprobs: Sequence[TokenLogprob] = ()
    provider_data: dict[str, Any] | None = None
    restarted: bool = False
    other_parts: Sequence[OtherPart] = ()
    other_choices: "Sequence[Chunk]" = ()
    index: int = 0
    tool_result: ToolResult | None = None

    def __hash__(self) -> int:
        return hash(self.text)

    def _instead(self) -> str:
        return "its new text is in `.text`"

    def _shown(self) -> Pairs:
        yield None, self.text
        yield from _set_members(
            self,
            *("role", "reasoning", "tool_calls", "tool_result", "other_parts", "finish_reason", "model", "usage"),
            "other_choices",
        )
        if self.index:
            yield "index", self.index
        if self.restarted:
            yield "restarted", True


class ChatResponse(HasParsed[ParsedT], TextModel):
    """A whole answer. `str(response)` is its text; `"Rome" in response`, `response == "Rome"` and the like mean that.

    In a notebook, and printed by rich, it is shown as Markdown.

    Attributes:
        text: the answer.
        reasoning: the model's reasoning, where the wire has it.
        tool_calls: the calls the model asks for.
        finish_reason: why it ended, in the library's words; None in an error's `.partial`, and where a reply has none.
        usage: token counts, or None when the provider sends none.
        model: the model that answered, as the provider names it, else the one asked for.
        provider: the provider's name.
        id: the provider's id of the answer.
        request_id: the provider's id of the request (a header).
        parsed: the answer as the `response_format` asked for, or None. To type checkers the answer to
            `response_format=Invoice` is a `ChatResponse[Invoice]`, and this an `Invoice`.
        raw: the provider's reply, parsed; of a stream, the event that carried the finish reason.
        logprobs: of the text's tokens, where they were asked for.
        provider_data: what the provider wants back unchanged in the next turn; `message` has it.
        intermediate_messages: with `run_tools`, the calls and their results that came before this answer.
        other_parts: what of the answer is not text, such as images. Of an answer without any text, the error's
            `partial` has them.
        other_choices: of several answers (`n`, or a provider that sends more than it was asked for), those besides this
            one. `choices` has all.
        headers: the reply's, such as what is left of a rate limit: names in lower case, found in any, secrets masked.
            Not in what `model_dump` gives.
    """

    text: str = ""
    reasoning: str | None = None
    tool_calls: list[ToolCall] = Field(default=[])  # a copy for each; to look through a factory takes 60 µs
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    model: str | None = None
    provider: str | None = None
    id: str | None = None
    request_id: str | None = None
    if TYPE_CHECKING:
        parsed: ParsedT = cast(Any, None)
    else:
        parsed: Any = None
    raw: Any = None
    logprobs: list[TokenLogprob] | None = None
    provider_data: dict[str, Any] | None = None
    intermediate_messages: list[Message] = Field(default=[])
    other_parts: list[OtherPart] = Field(default=[])
    other_choices: list[Choice] = Field(default=[])
    headers: Mapping[str, str] = Field(default=NO_HEADERS, exclude=True, repr=False)

    @property
    def message(self) -> Message:
        """The answer as a message, to go on with: `messages + [response.message]`."""
        return as_message(self.text, self.tool_calls, self.reasoning, self.provider_data)

    @property
    def choices(self) -> list[Choice[ParsedT]]:
        """All answers, this one first: one, unless several were asked for with `n`."""
        first = {name: getattr(self, name) for name in Choice.model_fields if name != "index"}
        return [make_model(Choice, index=0, **first), *self.other_choices]

    @property
    def messages(self) -> list[Message]:
        """All that the call adds to its conversation: `intermediate_messages`, and `message`."""
        return [*self.intermediate_messages, self.message]

    def _instead(self) -> str:
        return "its text is in `.text`; pieces, as they come, are what a client's stream() gives"

    def _shown(self) -> Pairs:
        yield None, self.text
        if not self.text:
            yield from _set_members(self, "reasoning")
        yield from _set_members(self, "tool_calls", "other_parts", "finish_reason", "provider", "model", "usage")
        yield from _set_members(self, "other_choices")

    def _repr_markdown_(self) -> str:
        """What a notebook shows: the text, and a small line with whom it is from, how it ended, and its tokens."""
        from llmclients.types.rendering import as_markdown

        return as_markdown(self)

    def __rich__(self) -> Any:
        """What rich prints: the same."""
        from llmclients.types.rendering import as_rich

        return as_rich(self)


def _set_members(answer: Chunk | ChatResponse, *names: str) -> Pairs:
    """The members that are set."""
    for name in names:
        value = getattr(answer, name)
        if isinstance(value, Usage):
            value = value._tokens
        if value:
            yield name, value


_NAMES = ("provider", "model", "request_id")


def name_response(
    response: ChatResponse, provider: str, model: str | None, request_id: str | None, headers: Mapping[str, str]
) -> None:
    """Tell a response whom it is from. By its dict: pydantic's `__setattr__` takes a microsecond for each."""
    members = response.__dict__
    members["provider"] = provider
    members["model"] = model
    members["request_id"] = request_id
    members["headers"] = headers  # no dump has it, so it need not count as set
    response.model_fields_set.update(_NAMES)


# --- the fast way to a chunk ----------------------------------------------------------------------------------------

_ALL_FIELDS = set(Chunk.model_fields)
_new = object.__new__


class _OpenChunk(Chunk):
    """A chunk under construction: its attributes are set as any object's, not through pydantic's `__setattr__`."""

    model_config = ConfigDict(defer_build=True)  # nothing is ever validated as one

    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__  # the interpreter has one slot for the two: only both make it fast


_PLAIN = {
    **dict.fromkeys(Chunk.model_fields),
    **dict.fromkeys(("tool_calls", "logprobs", "other_parts", "other_choices"), ()),
    "restarted": False,
    "index": 0,
}


def make_text_chunk(text: str, model: str | None, id: str | None, raw: Any) -> Chunk:
    """A `Chunk` of new text and nothing else, of values that a codec has already checked.

    Nearly every chunk of every stream is made here, and validation would cost more than the rest of its decoding.
    """
    members = _PLAIN.copy()
    members["text"] = text
    members["model"] = model
    members["id"] = id
    members["raw"] = raw
    chunk = _new(_OpenChunk)
    # The four things that pydantic's own constructor sets.
    chunk.__dict__ = members
    chunk.__pydantic_fields_set__ = _ALL_FIELDS
    chunk.__pydantic_extra__ = None
    chunk.__pydantic_private__ = None
    chunk.__class__ = Chunk  # type: ignore[assignment]
    return chunk


def make_chunk(
    text: str = "",
    role: str | None = None,
    reasoning: str | None = None,
    tool_calls: Sequence[ToolCallDelta] = (),
    finish_reason: FinishReason | None = None,
    usage: Usage | None = None,
    model: str | None = None,
    id: str | None = None,
    raw: Any = None,
    logprobs: Sequence[TokenLogprob] = (),
    provider_data: dict[str, Any] | None = None,
    other_parts: Sequence[OtherPart] = (),
    other_choices: Sequence[Chunk] = (),
) -> Chunk:
    """The same, with everything that a chunk can have."""
    chunk = make_text_chunk(text, model, id, raw)
    members = chunk.__dict__
    members["role"] = role
    members["reasoning"] = reasoning
    members["tool_calls"] = tool_calls
    members["finish_reason"] = finish_reason
    members["usage"] = usage
    members["logprobs"] = logprobs
    members["provider_data"] = provider_data
    members["other_parts"] = other_parts
    members["other_choices"] = other_choices
    return chunk


def make_result_chunk(result: ToolResult) -> Chunk:
    """The chunk that tells what came of a call."""
    chunk = make_text_chunk("", None, None, None)
    chunk.__dict__["tool_result"] = result
    return chunk
