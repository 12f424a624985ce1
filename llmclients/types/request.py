"""`ChatRequest`: messages and the options that providers share."""

# Without `from __future__ import annotations`: the head of `types/base.py` says why.

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

from pydantic import Field, StrictBool, StrictFloat, StrictInt, field_validator, model_validator
from typing_extensions import Self

from llmclients.types.base import Model, Text, is_plain_text, make_model
from llmclients.types.messages import Message, Messages, as_messages

if TYPE_CHECKING:
    from llmclients.types.response_format import ResponseFormat
    from llmclients.types.tools import Tool
else:  # loaded by the first request that has one
    ResponseFormat = Tool = Any

__all__ = ["POSITIVE", "TOOL_CHOICES", "ChatRequest", "Number", "Positive", "ThinkingBudget", "TopK"]

TOOL_CHOICES = frozenset({"auto", "none", "required"})

Number: TypeAlias = StrictInt | StrictFloat  # an int stays an int: it goes over the wire as the caller wrote it
POSITIVE = Field(ge=1)
Positive = Annotated[StrictInt, POSITIVE]

# Options that several wires have, but not all. A codec may narrow their range: `Annotated[TopK, POSITIVE]`.
TopK: TypeAlias = StrictInt
"""How many of the likeliest tokens are sampled from."""
ThinkingBudget: TypeAlias = StrictInt
"""Tokens of thinking at most, in place of `reasoning_effort`."""


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
        n: how many answers to give: all are in the response's `choices`. A stream takes one only.
        logit_bias: by token id, what is added to that token's chance, from -100 to 100.
        user: an opaque id of the caller's user, by which the provider tells abuse.
        metadata: texts by name, which the provider keeps with the request.
        service_tier: the provider's own word for how urgent the request is, such as `flex` or `priority`.
        verbosity: how long the answer is, in the provider's own word, such as `low` or `high`.
        prompt_cache_key: what requests with the same beginning have in common, so that the provider's cache is hit.
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
    n: Positive | None = None
    logit_bias: dict[Text, Number] | None = None
    user: Text | None = None
    metadata: dict[Text, Text] | None = None
    service_tier: Text | None = None
    verbosity: Text | None = None
    prompt_cache_key: Text | None = None
    extra: dict[str, Any] | None = None

    @field_validator("logit_bias", mode="before")
    @classmethod
    def _bias(cls, bias: Any) -> Any:
        """Ids of tokens are numbers; in JSON, whose names are texts, they are texts."""
        if not isinstance(bias, Mapping):
            return bias
        return {str(token) if type(token) is int else token: value for token, value in bias.items()}

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
    def _format(cls, response_format: Any) -> Any:
        if response_format is None:
            return None
        from llmclients.types.response_format import as_response_format

        return as_response_format(response_format)

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
    def from_messages(cls, messages: Messages, **options: Any) -> Self:
        """A request from what a caller may pass as `messages`: text, a message, or a list of them.

        The caller's own list and messages are never changed, nor kept.

        Raises:
            InvalidRequestError: no messages, an empty one, or one that is no message.
        """
        return cls.from_checked(as_messages(messages), **options)

    @classmethod
    def from_checked(cls, messages: list[Message], **options: Any) -> Self:
        """A request of messages that `as_messages` has made: they are not copied again.

        Raises:
            InvalidRequestError: naming the option that is wrong.
        """
        if options.keys() == {"model"} and is_plain_text(options["model"]):  # a plain chat needs no validator
            return make_model(cls, messages=messages, **options)
        return cls(messages=messages, **options)
