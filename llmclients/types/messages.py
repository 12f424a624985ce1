"""Messages and the tool calls in them, and what a caller may write in their place."""

# Without `from __future__ import annotations`: the head of `types/base.py` says why.

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import Field, StrictBool, field_validator, model_serializer, model_validator
from typing_extensions import Self, TypedDict

from llmclients.errors import APIResponseError, InvalidRequestError
from llmclients.types.base import Model, Text, is_plain_text, make_model
from llmclients.types.content import MediaPart, Part, TextPart, as_part, is_part
from llmclients.types.limits import has_too_many_values
from llmclients.types.printing import Pairs
from llmclients.types.strict_json import load_strict_json
from llmclients.types.text_model import TextModel

__all__ = ["Message", "MessageDict", "MessageLike", "Messages", "Role", "ToolCall", "ToolResult", "as_messages"]

Role = Literal["system", "developer", "user", "assistant", "tool"]


class ToolCall(Model):
    """A call of a function that the model asks for.

    The nested form of chat completions, `{"id", "type", "function": {"name", "arguments"}}`, is read as well; its other
    members become `provider_data`, for a provider with that wire.

    Args:
        id: what the result refers to.
        name: the function's.
        arguments: JSON text as the model wrote it, or a mapping.
        provider_data: by codec, members of the call that its wire has and the library does not know, such as a
            signature. They go back unchanged to a provider with that wire.

    Attributes:
        arguments_text: the arguments as JSON text, as the model wrote it: whole only if the answer is.
    """

    id: Text
    name: Text
    arguments_text: Text
    provider_data: dict[str, Any] | None = None

    if TYPE_CHECKING:

        def __init__(
            self, id: str, name: str, arguments: str | Mapping[str, Any], provider_data: dict[str, Any] | None = None
        ) -> None: ...

    @model_validator(mode="before")
    @classmethod
    def _flat(cls, value: Any) -> Any:
        return _call_fields(value) if isinstance(value, Mapping) else value

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Another call, with changes: `arguments` may be among them, as for the constructor."""
        if update and "arguments" in update:  # pydantic would set an attribute that nobody reads
            update = _call_fields(update)
        return super().model_copy(update=update, deep=deep)

    def _shown(self) -> Pairs:
        yield from (("id", self.id), ("name", self.name), ("arguments", self.arguments_text))

    @model_serializer
    def _as_it_is_given(self) -> dict[str, Any]:
        given = {"id": self.id, "name": self.name, "arguments": self.arguments_text}
        return given if self.provider_data is None else {**given, "provider_data": self.provider_data}

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments, parsed anew by every access. `null` is none.

        Raises:
            APIResponseError: the text is not a JSON object: the model was cut off, or erred. Or it has millions of
                values.
        """
        if has_too_many_values(self.arguments_text):
            raise APIResponseError(f"the arguments of the call of {self.name} have too many values")
        try:
            arguments = load_strict_json(self.arguments_text.strip() or "{}")
        except ValueError as error:
            raise APIResponseError(f"the arguments of the call of {self.name} are not JSON: {error}") from None
        if arguments is None:  # as models write that there are none
            return {}
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


def _call_fields(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a call of what a caller gives, the arguments as text."""
    fields = dict(given)
    if isinstance(fields.get("function"), Mapping):
        fields = _from_chat_completions(fields)
    if "arguments" in fields:
        fields["arguments_text"] = fields.pop("arguments")
    if isinstance(arguments := fields.get("arguments_text"), Mapping):
        fields["arguments_text"] = json.dumps(arguments, ensure_ascii=False)
    return fields


class ToolResult(Model):
    """What came of a call that `run_tools` has made: a chunk's `tool_result`, and what `on_tool_result` sees.

    Attributes:
        id: the call's.
        name: the function's.
        content: what the model is told: text, or a list of parts.
        is_error: whether the call failed, or was denied.
        call: the call as it was made, with the arguments that `on_tool_call` may have changed.
        error: the exception that the function raised; never saved.
    """

    id: Text
    name: Text
    content: Text | list[Part] = ""
    is_error: StrictBool = False
    call: ToolCall | None = None
    error: Any = Field(default=None, exclude=True, repr=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            id: str,
            name: str,
            content: str | list[Part] = "",
            is_error: bool = False,
            call: ToolCall | None = None,
            error: Exception | None = None,
        ) -> None: ...

    @property
    def text(self) -> str:
        """The text alone, parts joined without a separator."""
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content if isinstance(part, TextPart))
        return self.content


def _from_chat_completions(call: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a call in the nested form."""
    fields, members, inner = dict[str, Any](), dict[str, Any](), dict[str, Any]()
    for name, value in call["function"].items():
        (fields if name in ("name", "arguments") else inner)[name] = value
    for name, value in call.items():
        if name in ("id", "provider_data"):
            fields[name] = value
        elif name not in ("function", "index") and (name, value) != ("type", "function") and value is not None:
            members[name] = value
    if inner := {name: value for name, value in inner.items() if value is not None}:
        members["function"] = inner
    if members and fields.get("provider_data") is None:
        fields["provider_data"] = {"openai": members}
    return fields


class Message(TextModel):
    """One message of a chat. `str(message)` is its text, and `"Rome" in message` and the like mean that.

    Args:
        role: `system`, `developer`, `user`, `assistant` or `tool`.
        content: text, or a list of parts and texts; None only for an assistant message that consists of tool calls.
        name: the author's name, where the wire has one; of a `tool` message, the function's.
        tool_calls: what an assistant message asked for.
        tool_call_id: in a `tool` message, the call it answers.
        is_error: in a `tool` message, that the call failed, where the wire can say so.
        reasoning: the reasoning behind an assistant message.
        provider_data: by codec, the assistant message as its wire had it, signatures and encrypted reasoning included.
            Sent back unchanged, in place of the rest, to a provider with that wire; set it to None when you change the
            message.

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
    provider_data: dict[str, Any] | None = None

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
            content: str | Sequence[str | Part | Mapping[str, Any]] | None = None,
            name: str | None = None,
            tool_calls: Sequence[ToolCall | Mapping[str, Any]] | None = None,
            tool_call_id: str | None = None,
            is_error: bool | None = None,
            reasoning: str | None = None,
            provider_data: dict[str, Any] | None = None,
        ) -> None: ...

    def _instead(self) -> str:
        return "its text is in `.text`, its parts are in `.parts`"

    def _shown(self) -> Pairs:
        yield None, self.role
        yield None, self.content
        for name in ("name", "tool_calls", "tool_call_id", "is_error"):
            if (value := getattr(self, name)) is not None:
                yield name, value

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


class _WithRole(TypedDict):
    role: Role


class MessageDict(_WithRole, total=False):
    """A message as a dict: what `Message` takes, by name. A list of them is declared as `list[MessageDict]`."""

    content: str | Sequence[str | Part | Mapping[str, Any]] | None
    name: str | None
    tool_calls: Sequence[ToolCall | Mapping[str, Any]] | None
    tool_call_id: str | None
    is_error: bool | None
    reasoning: str | None
    provider_data: dict[str, Any] | None


MessageLike: TypeAlias = str | Message | MessageDict
Messages: TypeAlias = MessageLike | Sequence[MessageLike]


def as_messages(messages: Messages | Sequence[Mapping[str, Any]]) -> list[Message]:
    """The caller's messages, or what else may be such, as a new list of `Message`, each fit to be sent.

    Raises:
        InvalidRequestError: no messages, an empty one, or one that is no message.
    """
    items: Sequence[Any]
    if isinstance(messages, str | Message | Mapping):
        items = [messages]
    elif isinstance(messages, Sequence) and not isinstance(messages, bytes | bytearray):
        items = messages
    else:
        raise InvalidRequestError(
            f"messages must be text, a message or a list of them, not {type(messages).__name__}{_of_text(messages)}",
            argument="messages",
        )
    if not items:
        raise InvalidRequestError("messages is empty: there is nothing to send", argument="messages")
    return [_as_message(item, f"messages[{index}]") for index, item in enumerate(items)]


def _of_text(value: Any) -> str:
    """A hint for a response, a choice or a chunk in a message's place."""
    if not isinstance(value, TextModel):
        return ""
    return ": its message is .message" if hasattr(type(value), "message") else ": its text is .text"


def _as_message(item: Any, where: str) -> Message:
    try:
        if isinstance(item, Message):
            message = item.model_copy(deep=True)
        elif is_plain_text(item):
            message = make_model(Message, role="user", content=item)
        elif isinstance(item, str):
            message = Message("user", item)
        elif isinstance(item, Mapping):
            message = Message.model_validate(dict(item))
        else:
            hint = f": for parts, Message('user', ['…', {type(item).__name__}(…)])" if is_part(item) else _of_text(item)
            raise InvalidRequestError(f"expected text, a Message or a dict, not {type(item).__name__}{hint}")
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
