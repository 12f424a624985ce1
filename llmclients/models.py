"""What goes in and what comes out: messages, requests, chunks, responses. The pydantic layer.

A model's errors are the library's own: constructing or loading one raises `InvalidRequestError`, never pydantic's
`ValidationError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    VERSION,
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from llmclients.errors import InvalidRequestError

__all__ = [
    "ChatRequest",
    "ChatResponse",
    "Chunk",
    "FinishReason",
    "Message",
    "MessageLike",
    "Messages",
    "Role",
    "TextPart",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "make_chunk",
]

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]


# Building all validators takes a program's start longer than its first chat, which needs none of them. Before pydantic
# 2.14 they are built at once: it could not serialize what was not built yet, nor build it for two threads at a time.
_BUILT_ON_FIRST_USE = tuple(map(int, VERSION.split(".")[:2])) >= (2, 14)


class Model(BaseModel):
    """A pydantic model that raises `InvalidRequestError`, naming the field, where pydantic would raise its own."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, defer_build=_BUILT_ON_FIRST_USE
    )

    def __init__(self, *values: Any, **fields: Any) -> None:
        # Positional values fill the fields in their order; pydantic itself calls this with keywords only.
        names = tuple(type(self).model_fields)
        if len(values) > len(names):
            raise TypeError(f"{type(self).__name__} takes at most {len(names)} values, not {len(values)}")
        try:
            super().__init__(**dict(zip(names, values, strict=False)), **fields)
        except ValidationError as error:
            raise _invalid(type(self).__name__, error) from None

    @classmethod
    def model_validate(cls, *args: Any, **kwargs: Any) -> Self:
        try:
            return super().model_validate(*args, **kwargs)
        except ValidationError as error:
            raise _invalid(cls.__name__, error) from None

    @classmethod
    def model_validate_json(cls, *args: Any, **kwargs: Any) -> Self:
        try:
            return super().model_validate_json(*args, **kwargs)
        except ValidationError as error:
            raise _invalid(cls.__name__, error) from None


_BRANCHES = frozenset({"str", "int", "float"})


def _invalid(what: str, error: ValidationError) -> InvalidRequestError:
    """Pydantic's findings in one line. Values are not repeated: they may be long, or secret."""
    findings = []
    for finding in error.errors(include_url=False, include_context=False, include_input=False):
        # A union reports every branch it tried; the branches' names in the location mean nothing to a caller.
        steps = [str(step) for step in finding["loc"]]
        path = ".".join(step for step in steps if step.isdigit() or (step.isidentifier() and step not in _BRANCHES))
        message = finding["msg"].removeprefix("Value error, ")
        text = f"{path}: {message}" if path else message
        if text not in findings:
            findings.append(text)
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
    argument = str(first[0]) if first else None
    return InvalidRequestError(f"{what}: {'; '.join(findings[:5])}", argument=argument)


# --- messages -------------------------------------------------------------------------------------------------------


def _encodable(text: str) -> str:
    """A Python string may hold lone surrogates; UTF-8, and so every wire, cannot."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text has a lone surrogate at position {error.start}: no UTF-8 can carry it") from None
    return text


def _is_text(value: Any) -> bool:
    """Whether it is a `Text` at first sight, without a validator."""
    return type(value) is str and value.isascii()


Text = Annotated[StrictStr, AfterValidator(_encodable)]


class TextPart(Model):
    """A piece of text in a message that has several parts."""

    type: Literal["text"] = "text"
    text: Text

    if TYPE_CHECKING:

        def __init__(self, *, text: str, type: Literal["text"] = "text") -> None: ...


class ToolCall(Model):
    """A call of a function that the model asks for. `arguments` is the JSON text as the model wrote it.

    The nested form of chat completions, `{"id", "type", "function": {"name", "arguments"}}`, is read as well.
    """

    id: Text
    name: Text
    arguments: Text

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("function"), Mapping):
            others = {name: item for name, item in value.items() if name not in ("function", "type")}
            return {**others, **value["function"]}
        return value


class ToolCallDelta(Model):
    """A piece of a tool call in a stream: `arguments` is the next part of the JSON text."""

    index: int = 0
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Message(Model):
    """One message of a chat.

    Args:
        role: `system`, `developer`, `user`, `assistant` or `tool`.
        content: text, or a list of parts; None only for an assistant message that consists of tool calls.
        name: the author's name, where the wire has one.
        tool_calls: what an assistant message asked for.
        tool_call_id: in a `tool` message, the call it answers.

    Raises:
        InvalidRequestError: naming the field that is wrong.
    """

    role: Role
    content: Text | list[TextPart] | None = None
    name: Text | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: Text | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _only_text(cls, content: Any) -> Any:
        if content is None or isinstance(content, str):
            return content
        if not isinstance(content, list | tuple):
            raise ValueError(f"must be text or a list of parts, not {type(content).__name__}")
        for part in content:
            kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
            if kind != "text":
                raise ValueError(f"a part of type {kind!r} cannot be sent: only text parts can")
            if not isinstance(part, Mapping | TextPart):
                raise ValueError(f"a part must be a TextPart or a dict, not {type(part).__name__}")
        return list(content)

    if TYPE_CHECKING:

        def __init__(
            self,
            role: Role,
            content: str | Sequence[TextPart | Mapping[str, Any]] | None = None,
            name: str | None = None,
            tool_calls: Sequence[ToolCall | Mapping[str, Any]] | None = None,
            tool_call_id: str | None = None,
        ) -> None: ...

    @property
    def text(self) -> str:
        """The text alone, parts joined without a separator."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""

    def __str__(self) -> str:
        return self.text


MessageLike: TypeAlias = str | Message | Mapping[str, Any]
Messages: TypeAlias = MessageLike | Sequence[MessageLike]


# --- the request ----------------------------------------------------------------------------------------------------

Number: TypeAlias = StrictInt | StrictFloat  # an int stays an int: it goes over the wire as the caller wrote it
Positive = Annotated[StrictInt, Field(ge=1)]


class ChatRequest(Model):
    """Messages and the options that providers share. None means: not set, the provider decides.

    Ranges are the provider's business and differ by model; here only what no provider could mean is refused.

    Args:
        extra: members merged into the provider's payload last: they replace or add, as they are.

    Raises:
        InvalidRequestError: naming the field that is wrong.
    """

    messages: Annotated[list[Message], Field(min_length=1)]
    model: Text | None = None
    temperature: Annotated[Number, Field(ge=0)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    max_tokens: Positive | None = None
    stop: Text | list[Text] | None = None
    seed: StrictInt | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    tools: list[Any] | None = None
    tool_choice: Any = None
    response_format: Any = None
    reasoning_effort: Text | None = None
    extra: dict[str, Any] | None = None

    @classmethod
    def of(cls, messages: Messages, **options: Any) -> ChatRequest:
        """A request from what a caller may pass as `messages`: text, a message, or a list of them.

        The caller's own list and messages are never changed, nor kept.

        Raises:
            InvalidRequestError: no messages, an empty one, or one that is no message.
        """
        checked = as_messages(messages)
        if options.keys() == {"model"} and _is_text(options["model"]):  # a plain chat needs no validator
            return cls.model_construct(messages=checked, **options)
        return cls(messages=checked, **options)


def as_messages(messages: Messages) -> list[Message]:
    """The caller's messages as a new list of `Message`, each fit to be sent.

    Raises:
        InvalidRequestError: as `ChatRequest.of`.
    """
    items: Sequence[Any]
    if isinstance(messages, str | Message | Mapping):
        items = [messages]
    elif isinstance(messages, Sequence) and not isinstance(messages, bytes | bytearray):
        items = messages
    else:
        raise InvalidRequestError(
            f"messages must be text, a message or a list of them, not {type(messages).__name__}", argument="messages"
        )
    if not items:
        raise InvalidRequestError("messages is empty: there is nothing to send", argument="messages")
    return [_as_message(item, f"messages[{index}]") for index, item in enumerate(items)]


def _as_message(item: Any, where: str) -> Message:
    try:
        if isinstance(item, Message):
            message = item.model_copy(deep=True)
        elif _is_text(item):
            message = Message.model_construct(role="user", content=item)
        elif isinstance(item, str):
            message = Message("user", item)
        elif isinstance(item, Mapping):
            message = Message.model_validate(dict(item))
        else:
            raise InvalidRequestError(f"expected text, a Message or a dict, not {type(item).__name__}")
    except (InvalidRequestError, TypeError) as error:  # TypeError: a dict whose names are no strings
        raise InvalidRequestError(f"{where}: {error}", argument="messages") from None
    # An assistant may have had nothing to say; nobody else sends nothing.
    if (message.content is None and message.tool_calls) or (message.content == "" and message.role == "assistant"):
        return message
    if not message.text:
        raise InvalidRequestError(f"{where}: the {message.role} message has no content", argument="messages")
    return message


# --- the answer -----------------------------------------------------------------------------------------------------


class Usage(Model):
    """Token counts as the provider reports them; None where it does not. Never an estimate."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None


class Chunk(Model):
    """One piece of a streamed answer. `str(chunk)` is its new text.

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
        restarted: the answer begins anew with the next chunk: discard what came before.
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
    restarted: bool = False

    def __str__(self) -> str:
        return self.text


class ChatResponse(Model):
    """A whole answer. `str(response)` is its text.

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
        parsed: the answer as the `response_format` asked for, or None.
        raw: the provider's reply, parsed; of a stream, the event that carried the finish reason.
    """

    text: str = ""
    reasoning: str | None = None
    tool_calls: list[ToolCall] = []
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    model: str | None = None
    provider: str | None = None
    id: str | None = None
    request_id: str | None = None
    parsed: Any = None
    raw: Any = None

    @property
    def message(self) -> Message:
        """The answer as a message, to go on with: `messages + [response.message]`."""
        if self.tool_calls:
            return Message("assistant", self.text or None, tool_calls=self.tool_calls)
        return Message("assistant", self.text)

    def __str__(self) -> str:
        return self.text


# --- the fast way to a chunk ----------------------------------------------------------------------------------------

_ALL_FIELDS = set(Chunk.model_fields)
_new = object.__new__


class _OpenChunk(Chunk):
    """A chunk under construction: its attributes are set as any object's, not through pydantic's `__setattr__`."""

    model_config = ConfigDict(defer_build=True)  # nothing is ever validated as one

    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__  # the interpreter has one slot for the two: only both make it fast


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
) -> Chunk:
    """A `Chunk` of values that a codec has already checked, without validating them again.

    Every chunk of every stream is made here, and validation would cost more than the rest of its decoding.
    """
    chunk = _new(_OpenChunk)
    # The four things that pydantic's own constructor sets.
    chunk.__dict__ = {
        "text": text,
        "role": role,
        "reasoning": reasoning,
        "tool_calls": tool_calls,
        "finish_reason": finish_reason,
        "usage": usage,
        "model": model,
        "id": id,
        "raw": raw,
        "restarted": False,
    }
    chunk.__pydantic_fields_set__ = _ALL_FIELDS
    chunk.__pydantic_extra__ = None
    chunk.__pydantic_private__ = None
    chunk.__class__ = Chunk  # type: ignore[assignment]
    return chunk
