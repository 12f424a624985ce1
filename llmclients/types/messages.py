"""What goes in and what comes out: messages, requests, chunks, responses. The pydantic layer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import (
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    field_validator,
    model_serializer,
    model_validator,
)
from typing_extensions import Self

from llmclients.errors import APIResponseError, InvalidRequestError
from llmclients.types.base import Model, Text, is_plain_text
from llmclients.types.content import MediaPart, Part, TextPart, as_part

if TYPE_CHECKING:
    from llmclients.types.response_format import ResponseFormat
    from llmclients.types.tools import Tool
else:  # loaded by the first request that has one
    ResponseFormat = Tool = Any

__all__ = [
    "ChatRequest",
    "ChatResponse",
    "Chunk",
    "FinishReason",
    "Message",
    "MessageLike",
    "Messages",
    "Role",
    "TokenLogprob",
    "ToolCall",
    "ToolCallDelta",
    "Usage",
    "make_chunk",
    "make_text_chunk",
]

Role = Literal["system", "developer", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "error"]


# --- messages -------------------------------------------------------------------------------------------------------


class ToolCall(Model):
    """A call of a function that the model asks for.

    The nested form of chat completions, `{"id", "type", "function": {"name", "arguments"}}`, is read as well.

    Args:
        id: what the result refers to.
        name: the function's.
        arguments: JSON text as the model wrote it, or a mapping.

    Attributes:
        arguments_text: the arguments as JSON text, as the model wrote it: whole only if the answer is.
    """

    id: Text
    name: Text
    arguments_text: Text

    if TYPE_CHECKING:

        def __init__(self, id: str, name: str, arguments: str | Mapping[str, Any]) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        fields = dict(value)
        if isinstance(function := fields.get("function"), Mapping):
            del fields["function"]
            fields.pop("type", None)
            fields.update(function)
        if "arguments" in fields:
            fields["arguments_text"] = fields.pop("arguments")
        if isinstance(arguments := fields.get("arguments_text"), Mapping):
            fields["arguments_text"] = json.dumps(arguments, ensure_ascii=False)
        return fields

    @model_serializer
    def _as_it_is_given(self) -> dict[str, str]:
        return {"id": self.id, "name": self.name, "arguments": self.arguments_text}

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments, parsed anew by every access.

        Raises:
            APIResponseError: the text is not a JSON object: the model was cut off, or erred.
        """
        try:
            arguments = json.loads(self.arguments_text or "{}")
        except (ValueError, RecursionError) as error:
            raise APIResponseError(f"the arguments of the call of {self.name} are not JSON: {error}") from None
        if not isinstance(arguments, dict):
            raise APIResponseError(f"the arguments of the call of {self.name} are not a JSON object")
        return arguments

    @property
    def is_readable(self) -> bool:
        """Whether the arguments are a JSON object. Those of an answer that was cut off may not be."""
        try:
            return isinstance(self.arguments, dict)
        except APIResponseError:
            return False


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
        name: the author's name, where the wire has one; of a `tool` message, the function's.
        tool_calls: what an assistant message asked for.
        tool_call_id: in a `tool` message, the call it answers.
        is_error: in a `tool` message, that the call failed, where the wire can say so.
        reasoning: the reasoning behind an assistant message.
        echo: by codec, the assistant message as its wire had it, signatures and encrypted reasoning included. Sent back
            unchanged, in place of the rest, to a provider with that wire; set it to None when you change the message.

    Raises:
        InvalidRequestError: naming the field that is wrong.
    """

    role: Role
    content: Text | list[Part] | None = None
    name: Text | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: Text | None = None
    is_error: StrictBool | None = None
    reasoning: Text | None = None
    echo: dict[str, Any] | None = None

    @field_validator("content", mode="before")
    @classmethod
    def _parts(cls, content: Any) -> Any:
        if content is None or isinstance(content, str):
            return content
        if isinstance(content, list | tuple):
            return [as_part(part) for part in content]
        raise ValueError(f"must be text or a list of parts, not {type(content).__name__}")

    if TYPE_CHECKING:

        def __init__(
            self,
            role: Role,
            content: str | Sequence[Part | Mapping[str, Any]] | None = None,
            name: str | None = None,
            tool_calls: Sequence[ToolCall | Mapping[str, Any]] | None = None,
            tool_call_id: str | None = None,
            is_error: bool | None = None,
            reasoning: str | None = None,
            echo: dict[str, Any] | None = None,
        ) -> None: ...

    @property
    def text(self) -> str:
        """The text alone, parts joined without a separator."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content or ""

    @property
    def parts(self) -> list[Part]:
        """The content as parts, also where it is plain text. Empty text has none."""
        if isinstance(self.content, list):
            return self.content
        return [TextPart(text=self.content)] if self.content else []

    def __str__(self) -> str:
        return self.text


MessageLike: TypeAlias = str | Message | Mapping[str, Any]
Messages: TypeAlias = MessageLike | Sequence[MessageLike]


# --- the request ----------------------------------------------------------------------------------------------------

TOOL_CHOICES = frozenset({"auto", "none", "required"})

Number: TypeAlias = StrictInt | StrictFloat  # an int stays an int: it goes over the wire as the caller wrote it
Positive = Annotated[StrictInt, Field(ge=1)]


class ChatRequest(Model):
    """Messages and the options that providers share. None means: not set, the provider decides.

    Ranges are the provider's business and differ by model; here only what no provider could mean is refused.

    Args:
        tools: functions, pydantic models, or dicts with name, description and JSON Schema; kept as `Tool`.
        tool_choice: `auto`, `none`, `required`, or the name of the tool to call.
        response_format: a pydantic model or another type, a JSON Schema, or `"json"`; kept as `ResponseFormat`.
        reasoning_effort: the provider's own word, such as `low` or `high`.
        logprobs: whether to send the tokens' log probabilities.
        top_logprobs: of how many alternatives for each token.
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
    tools: list[Tool] | None = None
    tool_choice: Text | None = None
    parallel_tool_calls: StrictBool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Text | None = None
    logprobs: StrictBool | None = None
    top_logprobs: Annotated[StrictInt, Field(ge=0)] | None = None
    extra: dict[str, Any] | None = None

    @field_validator("tools", mode="before")
    @classmethod
    def _tools(cls, tools: Any) -> Any:
        if tools is None:
            return None
        from llmclients.types.tools import as_tools

        return as_tools(tools) or None

    @field_validator("tool_choice", mode="before")
    @classmethod
    def _choice(cls, choice: Any) -> Any:
        """The named form of chat completions, `{"type": "function", "function": {"name"}}`, is read as well."""
        if isinstance(choice, Mapping):
            inner = choice.get("function", choice)
            return inner.get("name", choice) if isinstance(inner, Mapping) else choice
        return choice

    @field_validator("response_format", mode="before")
    @classmethod
    def _format(cls, form: Any) -> Any:
        if form is None:
            return None
        from llmclients.types.response_format import as_response_format

        return as_response_format(form)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = {tool.name for tool in self.tools or ()}
        if self.tool_choice is not None and self.tool_choice not in TOOL_CHOICES and self.tool_choice not in names:
            raise ValueError(f"tool_choice: there is no tool {self.tool_choice!r} in tools")
        for option in ("tool_choice", "parallel_tool_calls"):
            if getattr(self, option) is not None and not names:
                raise ValueError(f"{option} needs tools")
        return self

    @classmethod
    def of(cls, messages: Messages, **options: Any) -> ChatRequest:
        """A request from what a caller may pass as `messages`: text, a message, or a list of them.

        The caller's own list and messages are never changed, nor kept.

        Raises:
            InvalidRequestError: no messages, an empty one, or one that is no message.
        """
        checked = as_messages(messages)
        if options.keys() == {"model"} and is_plain_text(options["model"]):  # a plain chat needs no validator
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
        elif is_plain_text(item):
            message = Message.model_construct(role="user", content=item)
        elif isinstance(item, str):
            message = Message("user", item)
        elif isinstance(item, Mapping):
            message = Message.model_validate(dict(item))
        else:
            raise InvalidRequestError(f"expected text, a Message or a dict, not {type(item).__name__}")
    except (InvalidRequestError, TypeError) as error:  # TypeError: a dict whose names are no strings
        raise InvalidRequestError(f"{where}: {error}", argument="messages") from None
    # An assistant, or a tool, may have had nothing to say; nobody else sends nothing.
    if message.content == "" and (message.role == "assistant" or message.tool_call_id is not None):
        return message
    if message.content is None and message.tool_calls:
        return message
    media = isinstance(message.content, list) and any(isinstance(part, MediaPart) for part in message.content)
    if not (message.text or media):
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


class TokenLogprob(Model):
    """A token's natural log probability; `top`: the likeliest tokens in its place, as far as they were asked for."""

    token: str
    logprob: float
    top: list[TokenLogprob] = Field(default_factory=list)


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
        logprobs: of the new text's tokens, where they were asked for.
        echo: what `Message.echo` is to hold, once it is complete.
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
    logprobs: Sequence[TokenLogprob] = ()
    echo: dict[str, Any] | None = None
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
        logprobs: of the text's tokens, where they were asked for.
        echo: what the provider wants back unchanged in the next turn; `message` has it.
        earlier: with `run_tools`, the calls and their results that came before this answer.
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
    parsed: Any = None
    raw: Any = None
    logprobs: list[TokenLogprob] | None = None
    echo: dict[str, Any] | None = None
    earlier: list[Message] = Field(default=[])

    @property
    def message(self) -> Message:
        """The answer as a message, to go on with: `messages + [response.message]`."""
        content = self.text or None if self.tool_calls else self.text
        return Message(
            "assistant", content, tool_calls=self.tool_calls or None, reasoning=self.reasoning, echo=self.echo
        )

    @property
    def messages(self) -> list[Message]:
        """All that the call adds to its conversation: what came `earlier`, and `message`."""
        return [*self.earlier, self.message]

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


_PLAIN = {**dict.fromkeys(Chunk.model_fields), "tool_calls": (), "logprobs": (), "restarted": False}


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
    echo: dict[str, Any] | None = None,
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
    members["echo"] = echo
    return chunk
