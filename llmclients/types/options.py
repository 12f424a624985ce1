"""`ChatOptions`: the options of a call as a `TypedDict`, for editors and type checkers."""

# `ChatRequest` and the codecs' options are pydantic models: they check what a caller gives, when it is given. Nobody
# can read them where a call is written, as `chat(messages, **options)` takes whatever the provider's wire has. So every
# option that a built-in wire has is here once more, with the type that a caller may give and a line of help, which
# editors show. Calls do not use it, nor load this module. tests/types/test_options.py compares it with the models.
#
# The answer's type follows from `response_format`: `chat(**options: Unpack[ChatOptions[T]]) -> ChatResponse[T]`.
# Overloads could say None where no format is asked for. But with them a checker answers each misspelt option with all
# the options of all overloads; with one signature it says "did you mean". So T is Any where it is not known.

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import UnionType
from typing import Any, Generic, Literal, Protocol, TypeAlias

from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict

from llmclients.types.response import AnswerT
from llmclients.types.response_format import ResponseFormat
from llmclients.types.tools import Tool

__all__ = ["ChatOptions", "ToolLike"]

ToolLike: TypeAlias = Tool | type[BaseModel] | Callable[..., Any] | Mapping[str, Any]
"""What a tool may be given as."""


class _TypeExpression(Protocol):
    """All that mypy knows of `Literal[…]` and the like as values. They are no `type`, so `parsed` is Any."""

    def __getitem__(self, parameters: Any, /) -> object: ...
    def __or__(self, other: Any, /) -> object: ...


class ChatOptions(TypedDict, Generic[AnswerT], total=False):
    """Every option of a call that a built-in provider has. None means: not set, the provider decides.

    An option that the call's provider does not have is refused before anything is sent. Options that several calls
    share are such a dict: `brief: ChatOptions = {"max_tokens": 50}`, then `client.chat("Hello!", **brief)`. With a
    `ChatOptions[T]` the answer's `parsed` is a T.
    """

    temperature: float | None
    """How freely the model picks its words: 0 for the likeliest."""
    top_p: float | None
    """Sample from the likeliest tokens that have this probability together, 0 to 1."""
    max_tokens: int | None
    """The most tokens of the answer."""
    stop: str | Sequence[str] | None
    """Texts before which the answer ends."""
    seed: int | None
    """The same seed gives the same answer, as far as the provider can."""
    presence_penalty: float | None
    """Makes tokens that have occurred less likely; below 0: likelier."""
    frequency_penalty: float | None
    """Makes tokens less likely, the more often they have occurred; below 0: likelier."""
    tools: Sequence[ToolLike] | None
    """What the model may call: functions, pydantic models, or dicts with name, description and JSON Schema."""
    tool_choice: Literal["auto", "none", "required"] | str | Mapping[str, Any] | None
    """Whether the model calls tools: `auto`, `none`, `required`, or the name of the one to call."""
    parallel_tool_calls: bool | None
    """Whether the model may ask for several calls at once."""
    response_format: (
        type[AnswerT]
        | TypeAdapter[AnswerT]
        | UnionType
        | _TypeExpression
        | ResponseFormat
        | Mapping[str, Any]
        | Literal["json", "json_object", "text"]
        | None
    )
    """The answer as JSON: a type, such as a pydantic model or `list[int]`; a JSON Schema of an object; or `"json"`."""
    reasoning_effort: str | None
    """How much the model reasons, in the provider's own word, such as `low` or `high`."""
    logprobs: bool | None
    """Whether to send the tokens' log probabilities."""
    top_logprobs: int | None
    """Of how many alternatives for each token to send them."""
    extra: Mapping[str, Any] | None
    """Members merged into the provider's payload last: they replace or add, as they are."""

    think_tags: bool | None
    """Every wire: whether `<think>` tags in front of the text hold reasoning; None: as the provider is known to."""
    top_k: int | None
    """Anthropic, Gemini, Cohere, Ollama: how many of the likeliest tokens are sampled from."""
    thinking_budget: int | None
    """Gemini, Cohere: tokens of thinking at most, in place of `reasoning_effort`. Gemini: 0: none, -1: dynamic."""
    user_id: str | int | None
    """Anthropic, yqcloud-legacy: an opaque id of the caller's user, a text; the chat's number."""

    thinking: int | Literal["adaptive"] | None
    """Anthropic: tokens of thinking at most, 1024 or more; or `adaptive`, for models that decide themselves."""
    thinking_display: Literal["summarized", "omitted"] | None
    """Anthropic: whether newer models send a summary of their thinking, or nothing of it."""
    cache_control: Literal["5m", "1h"] | None
    """Anthropic: how long the provider's cache keeps the prompt: 5 minutes or an hour."""
    betas: Sequence[str] | None
    """Anthropic: the beta features to switch on."""

    include_thoughts: bool | None
    """Gemini: whether to send a summary of the thoughts, as `reasoning`."""
    safety_settings: Sequence[Mapping[str, Any]] | None
    """Gemini: `{"category": "HARM_CATEGORY_…", "threshold": "BLOCK_…"}` for each category to change."""
    cached_content: str | None
    """Gemini: the name of a cached content, `cachedContents/…`, that precedes the messages."""
    generation_config: Mapping[str, Any] | None
    """Gemini: further members of the wire's `generationConfig`, over what the other options make."""

    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF"] | None
    """Cohere: which safety instruction the model gets."""

    num_ctx: int | None
    """Ollama: tokens of context that the model is loaded with."""
    keep_alive: float | str | None
    """Ollama: how long the model stays loaded: seconds, or a text such as `5m`; negative: for good."""

    store: bool
    """OpenAI Responses: let the provider keep the answer."""
    previous_response_id: str | None
    """OpenAI Responses: the id of a stored answer to go on from; only the messages after it are sent."""
    encrypted_reasoning: bool | None
    """OpenAI Responses: whether to send the reasoning encrypted, for the next turn to send it back."""
    summary: str | None
    """OpenAI Responses: a summary of the reasoning to read: `auto`, `concise` or `detailed`."""
    verbosity: str | None
    """OpenAI Responses: how long answers are: `low`, `medium` or `high`."""
    truncation: str | None
    """OpenAI Responses: `auto` drops the oldest items of what is too long, `disabled` makes it an error."""

    api_version: str | None
    """Azure: a date takes the older address of that version; `v1` and `preview` are versions of the newer one."""

    allow_fallback: bool
    """ylokh: let the service answer with another model when the one asked for is busy."""
    network: bool
    """yqcloud: let the service search the web."""
    without_context: bool
    """yqcloud: ask the service to ignore earlier turns."""
    system_message: str
    """yqcloud-legacy: the service's own system text."""
