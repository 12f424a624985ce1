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
    """How freely the model picks its words; with 0 it takes the likeliest."""
    top_p: float | None
    """Sample from the likeliest tokens that have this probability together, 0 to 1."""
    max_tokens: int | None
    """The most tokens of the answer."""
    stop: str | Sequence[str] | None
    """Texts before which the answer ends."""
    seed: int | None
    """The same seed gives the same answer, as far as the provider can."""
    presence_penalty: float | None
    """Makes tokens that have occurred less likely; below 0, likelier."""
    frequency_penalty: float | None
    """Makes tokens less likely, the more often they have occurred; below 0, likelier."""
    tools: Sequence[ToolLike] | None
    """What the model may call, as functions, pydantic models, or dicts with name, description and JSON Schema."""
    tool_choice: Literal["auto", "none", "required"] | str | Mapping[str, Any] | None
    """Whether the model calls tools, `auto`, `none` or `required`, or the name of the one to call."""
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
    """The answer as JSON, by a type such as a pydantic model or `list[int]`, a JSON Schema of an object, or `json`."""
    reasoning_effort: str | None
    """How much the model reasons, in the provider's own word, such as `low` or `high`."""
    logprobs: bool | None
    """Whether to send the tokens' log probabilities."""
    top_logprobs: int | None
    """Of how many alternatives for each token to send them."""
    n: int | None
    """How many answers to give, all of them in the response's `choices`; a stream takes one only."""
    logit_bias: Mapping[int | str, float] | None
    """By token id, what is added to that token's chance, from -100 to 100."""
    user: str | None
    """An opaque id of the caller's user, by which the provider can tell abuse."""
    metadata: Mapping[str, str] | None
    """Texts by name, which the provider keeps with the request."""
    service_tier: str | None
    """The provider's own word for how urgent the request is, such as `flex` or `priority`."""
    verbosity: str | None
    """How long answers are, `low`, `medium` or `high`."""
    prompt_cache_key: str | None
    """What requests with the same beginning have in common, so that the provider's cache is hit."""
    extra: Mapping[str, Any] | None
    """Members merged into the provider's payload last; they replace or add, as they are."""

    think_tags: bool | None
    """Whether `<think>` tags in front of the text hold reasoning; None for what is known of the provider's models."""
    top_k: int | None
    """How many of the likeliest tokens are sampled from (Anthropic, Gemini, Cohere, Ollama)."""
    thinking_budget: int | None
    """Tokens of thinking at most, in place of `reasoning_effort` (Gemini, Cohere)."""
    user_id: str | int | None
    """An opaque id of the caller's user, a text; or the chat's number (Anthropic; yqcloud-legacy)."""

    thinking: int | Literal["adaptive"] | None
    """Tokens of thinking at most, 1024 or more; `adaptive` for models that decide themselves (Anthropic)."""
    thinking_display: Literal["summarized", "omitted"] | None
    """Whether newer models send a summary of their thinking, or nothing of it (Anthropic)."""
    cache_control: Literal["5m", "1h"] | None
    """How long the provider's cache keeps the prompt, 5 minutes or an hour (Anthropic)."""
    betas: Sequence[str] | None
    """The beta features to switch on (Anthropic)."""

    include_thoughts: bool | None
    """Whether to send a summary of the thoughts, as `reasoning` (Gemini)."""
    safety_settings: Sequence[Mapping[str, Any]] | None
    """For each category to change, a dict with `category` and `threshold` (Gemini)."""
    cached_content: str | None
    """The name of a cached content, `cachedContents/…`, that precedes the messages (Gemini)."""
    generation_config: Mapping[str, Any] | None
    """Further members of the wire's `generationConfig`, over what the other options make (Gemini)."""

    safety_mode: Literal["CONTEXTUAL", "STRICT", "OFF"] | None
    """Which safety instruction the model gets (Cohere)."""

    num_ctx: int | None
    """Tokens of context that the model is loaded with (Ollama)."""
    keep_alive: float | str | None
    """How long the model stays loaded, in seconds or a text such as `5m`; negative for good (Ollama)."""

    store: bool
    """Let the provider keep the answer (OpenAI Responses)."""
    previous_response_id: str | None
    """The id of a stored answer to go on from; only the messages after it are sent (OpenAI Responses)."""
    encrypted_reasoning: bool | None
    """Whether to send the reasoning encrypted, for the next turn to send it back (OpenAI Responses)."""
    summary: str | None
    """A summary of the reasoning to read, `auto`, `concise` or `detailed` (OpenAI Responses)."""
    truncation: str | None
    """`auto` drops the oldest items of what is too long, `disabled` makes it an error (OpenAI Responses)."""

    api_version: str | None
    """A date for the older address of that version; `v1` or `preview` for the newer one (Azure)."""

    allow_fallback: bool
    """Let the service answer with another model when the one asked for is busy (ylokh)."""
    network: bool
    """Let the service search the web (yqcloud)."""
    without_context: bool
    """Ask the service to ignore earlier turns (yqcloud)."""
    system_message: str
    """The service's own system text (yqcloud-legacy)."""
