"""`ChatArguments`: what a caller asks of a call, gathered from a public method's arguments; and what is wrong there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar, cast

from llmclients.calls.overrides import Overrides
from llmclients.calls.tracebacks import without_our_frames
from llmclients.config.client import ClientOptions
from llmclients.config.fallback import REQUEST_FIELDS
from llmclients.errors import ConfigurationError, InvalidRequestError
from llmclients.types.base import is_plain_text, make_model
from llmclients.types.messages import Message, Messages, as_messages
from llmclients.types.response import ChatResponse

if TYPE_CHECKING:
    from llmclients.calls.tool_options import ToolOptions

__all__ = [
    "ChatArguments",
    "OnComplete",
    "call_arguments",
    "callers_mistake",
    "checks_messages",
    "tool_options",
    "with_system",
]


class _Required:
    """Stands for messages that were not given."""

    def __repr__(self) -> str:
        return "<required>"


_REQUIRED: Any = _Required()
MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def checks_messages(method: MethodT) -> MethodT:
    """A method that may be called without its messages, to say by `callers_mistake` what was given in their place.

    Python would say it before the method runs. For type checkers they are required. It stays the same function: the
    traceback of a mistake has one frame of ours.
    """
    cast(FunctionType, method).__defaults__ = (_REQUIRED,)
    return method


class ChatArguments(NamedTuple):
    """What a caller asks for, on its way from a client's method to its call.

    Attributes:
        messages: the client's own copies, checked.
        model: the model of this call, or None for the client's.
        options: fields of `ChatRequest`, and the provider's own options, as they were given.
        state: what the wire keeps over a conversation's turns; empty outside one.
        restart: whether a stream goes on after a break.
        overrides: what the call says in place of the client; None: nothing.
    """

    messages: list[Message]
    model: str | None = None
    options: Mapping[str, Any] = {}
    state: Mapping[str, Any] = {}
    restart: bool = False
    overrides: Overrides | None = None


OnComplete: TypeAlias = Callable[[ChatResponse], None]
"""Called with the whole answer when a stream has come to its end."""


def tool_options(
    run_tools: bool = False,
    max_turns: int = 8,
    on_tool_call: Any = None,
    on_tool_result: Any = None,
    raise_tool_errors: bool = False,
) -> ToolOptions | None:
    """How the tool loop is to run; None where none is.

    Raises:
        InvalidRequestError: one of them cannot be, or says something about a loop that was not asked for.
    """
    if run_tools is False and (max_turns, on_tool_call, on_tool_result, raise_tool_errors) == (8, None, None, False):
        return None
    from llmclients.calls.tool_options import ToolOptions

    return ToolOptions.checked(run_tools, max_turns, on_tool_call, on_tool_result, raise_tool_errors)


def call_arguments(
    messages: Messages,
    model: str | None,
    options: Mapping[str, Any],
    system: str | None,
    overrides: Overrides | None,
    restart: bool = False,
) -> ChatArguments:
    """A call's arguments, its messages copied and checked.

    Raises:
        InvalidRequestError: messages that cannot be sent, or a system text that cannot stand before them.
    """
    checked = as_messages(messages)
    if system is not None:
        checked = with_system(system, checked)
    return ChatArguments(checked, model, options, restart=restart, overrides=overrides)


def with_system(system: str, messages: list[Message]) -> list[Message]:
    """The messages behind a system text.

    Raises:
        InvalidRequestError: it is no text; or there is a system message already, and nobody can tell which one counts.
    """
    if not isinstance(system, str):
        raise InvalidRequestError(f"system must be text, not {type(system).__name__}", argument="system")
    if not system:
        raise InvalidRequestError("system is empty: leave it out", argument="system")
    if messages[0].role in ("system", "developer"):
        raise InvalidRequestError(
            f"messages begin with a {messages[0].role} message: give that or system=, not both", argument="system"
        )
    if is_plain_text(system):
        return [make_model(Message, role="system", content=system), *messages]
    try:
        return [Message("system", system), *messages]
    except InvalidRequestError as error:
        raise InvalidRequestError(f"system: {error}", argument="system") from None


def callers_mistake(
    error: ConfigurationError, messages: Any, options: Mapping[str, Any], method: Literal["call", "map"] = "call"
) -> ConfigurationError:
    """The error for the public method to raise that was called with these arguments, and has caught `error`."""
    if messages is _REQUIRED:
        from llmclients.config.hints import hint_for  # which only mistakes need

        hints = (hint_for(name, method, REQUEST_FIELDS, ClientOptions.__annotations__) for name in options)
        hint = next(filter(None, hints), None) or hint_for("prompt", method, (), ())
        missing = "prompts" if method == "map" else "messages"
        error = ConfigurationError(f"there are no {missing}{hint}", argument=missing)
        error.__suppress_context__ = True
    return without_our_frames(error)
