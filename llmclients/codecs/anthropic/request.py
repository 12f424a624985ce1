"""The payload of a request to Anthropic: options, thinking, tools and response formats, by what the model can do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from llmclients.codecs.anthropic.messages import message_payloads
from llmclients.codecs.anthropic.names import EFFORT_BUDGETS, JSON_TOOL
from llmclients.codecs.base import CodecOptions, given
from llmclients.errors import InvalidRequestError
from llmclients.types.request import POSITIVE, ChatRequest, Positive, TopK
from llmclients.types.schema_check import describe_misfits
from llmclients.types.schema_rules import ANTHROPIC

if TYPE_CHECKING:
    from llmclients.types.response_format import ResponseFormat
    from llmclients.types.tools import Tool

__all__ = ["AnthropicOptions", "closed_schema", "model_version", "request_payload"]

# --- what a model can do ---------------------------------------------------------------------------------------------

Version = tuple[int, int]

_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_NEWEST: Version = (99, 0)
_STRUCTURED_OUTPUT: Version = (4, 5)
_ADAPTIVE_THINKING: Version = (4, 6)
_THINKING_BY_DEFAULT: Version = (5, 0)


def model_version(model: str) -> Version | None:
    """The version of a Claude model, wherever the name has it; None for a model that is none.

    A Claude without a number is one of the newest: only they are named so.
    """
    name = model.lower()
    if found := _VERSION.search(name):
        return int(found[1]), int(found[2] or 0)
    return _NEWEST if "claude" in name else None


def _has(version: Version | None, feature: Version) -> bool:
    """Whether a model has what came with a version. A model of others is taken to have everything."""
    return version is None or version >= feature


# --- the options -----------------------------------------------------------------------------------------------------

MIN_BUDGET = 1024


class AnthropicOptions(CodecOptions):
    """What only this wire has.

    Args:
        thinking: tokens of thinking at most, 1024 or more; or `adaptive`, for models that decide themselves.
        thinking_display: whether newer models send a summary of their thinking, or nothing of it.
        top_k: how many of the likeliest tokens are sampled from.
        cache_control: how long the provider's cache keeps the prompt: 5 minutes or an hour.
        user_id: what the wire calls `user`.
        betas: the beta features to switch on.
    """

    thinking: Positive | Literal["adaptive"] | None = None
    thinking_display: Literal["summarized", "omitted"] | None = None
    top_k: Annotated[TopK, POSITIVE] | None = None
    cache_control: Literal["5m", "1h"] | None = None
    user_id: str | None = None
    betas: list[str] | None = None


# --- the payload -----------------------------------------------------------------------------------------------------


def request_payload(request: ChatRequest, model: str, options: AnthropicOptions) -> dict[str, Any]:
    """The body of a request, without `stream`.

    Raises:
        InvalidRequestError: no model of this wire could carry it.
    """
    version = model_version(model)
    thinking = _thinking(request, options, version)
    response_format = request.response_format
    has_tool_for_it = not request.tools and not _thinks(thinking.payload)
    output = response_format and _native_output(response_format, version, has_tool_for_it=has_tool_for_it)
    by_tool = response_format is not None and output is None
    if by_tool:
        _check_free_for_tool(request, thinking.payload)
    system, messages = message_payloads(request.messages)
    members: dict[str, Any] = {
        "model": model,
        "max_tokens": request.max_tokens or _default_max_tokens(version) + thinking.tokens,
        "messages": messages,
        "system": system,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": options.top_k,
        "stop_sequences": [request.stop] if isinstance(request.stop, str) else request.stop,
        "tools": [_tool(tool) for tool in request.tools] if request.tools else None,
        "tool_choice": _tool_choice(request),
        "thinking": thinking.payload,
        "output_config": None if thinking.effort is None else {"effort": thinking.effort},
        "metadata": _metadata(request.user, options.user_id),
        "service_tier": request.service_tier,
        "cache_control": options.cache_control and {"type": "ephemeral", "ttl": options.cache_control},
    }
    if response_format is not None and by_tool:
        members["tools"] = [_json_tool(response_format)]
        members["tool_choice"] = {"type": "tool", "name": JSON_TOOL, "disable_parallel_tool_use": True}
    elif output is not None:
        members["output_config"] = {**(members["output_config"] or {}), "format": output}
    return given(**members)


def _metadata(user: str | None, user_id: str | None) -> dict[str, Any] | None:
    if user is not None and user_id is not None:
        raise InvalidRequestError("user and user_id are the same thing on this wire: give one", argument="user_id")
    return None if user is None and user_id is None else {"user_id": user or user_id}


def _default_max_tokens(version: Version | None) -> int:
    """The limit where the caller sets none: the wire wants one. It is below every model's, and newer ones can think."""
    if version is None or version < (3, 5):
        return 4096
    return 16384 if version >= _ADAPTIVE_THINKING else 8192


class _Thinking(NamedTuple):
    """How the model is asked to think.

    Attributes:
        payload: the request's `thinking`; None: the model's default.
        tokens: what it may take beyond the answer's.
        effort: for the models that know one.
    """

    payload: dict[str, Any] | None = None
    tokens: int = 0
    effort: str | None = None


def _thinking(request: ChatRequest, options: AnthropicOptions, version: Version | None) -> _Thinking:
    """The thinking that an effort, a budget, or both ask for, in the way that the model knows."""
    effort, wanted = request.reasoning_effort, options.thinking
    display = {} if options.thinking_display is None else {"display": options.thinking_display}
    if effort == "none":
        if wanted is not None:
            raise InvalidRequestError("thinking and reasoning_effort='none' contradict each other", argument="thinking")
        return _Thinking({"type": "disabled"})
    if effort is None and wanted is None and not display:
        return _Thinking()
    if isinstance(wanted, int):
        if effort is not None and not _has(version, _ADAPTIVE_THINKING):
            raise InvalidRequestError(
                "thinking and reasoning_effort are the same thing on this model: give one", argument="thinking"
            )
        budget = _capped(wanted, request.max_tokens)
        return _Thinking({"type": "enabled", "budget_tokens": budget, **display}, budget, effort)
    if wanted == "adaptive" or _has(version, _ADAPTIVE_THINKING):
        return _Thinking({"type": "adaptive", **display}, EFFORT_BUDGETS.get(effort or "", 0), effort)
    if effort is None:
        raise InvalidRequestError("thinking_display needs thinking on this model", argument="thinking_display")
    if effort not in EFFORT_BUDGETS:
        raise InvalidRequestError(
            f"reasoning_effort: this model knows none, {', '.join(EFFORT_BUDGETS)}, not {effort!r}",
            argument="reasoning_effort",
        )
    budget = _capped(EFFORT_BUDGETS[effort], request.max_tokens)
    return _Thinking({"type": "enabled", "budget_tokens": budget, **display}, budget)


def _capped(budget: int, max_tokens: int | None) -> int:
    """A budget below `max_tokens`, which counts the thinking, too."""
    if budget < MIN_BUDGET:
        raise InvalidRequestError(f"thinking: the least is {MIN_BUDGET} tokens", argument="thinking")
    if max_tokens is not None and max_tokens <= MIN_BUDGET:
        raise InvalidRequestError(
            f"max_tokens: thinking takes {MIN_BUDGET} at least, and the answer needs some more", argument="max_tokens"
        )
    return budget if max_tokens is None else min(budget, max_tokens - 1)


# --- tools -----------------------------------------------------------------------------------------------------------


def _tool(tool: Tool) -> dict[str, Any]:
    if tool.name == JSON_TOOL:
        raise InvalidRequestError(f"tools: the name {JSON_TOOL} is reserved", argument="tools")
    payload: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        payload["description"] = tool.description
    payload["input_schema"] = tool.fitted_parameters(ANTHROPIC)
    if tool.strict is not None:
        payload["strict"] = tool.strict
    return payload


def _tool_choice(request: ChatRequest) -> dict[str, Any] | None:
    choice, one_only = request.tool_choice, request.parallel_tool_calls is False
    if choice is None and not one_only:
        return None
    if choice == "none":
        return {"type": "none"}
    choice_type = {None: "auto", "auto": "auto", "required": "any"}.get(choice)
    payload: dict[str, Any] = {"type": choice_type} if choice_type else {"type": "tool", "name": choice}
    if one_only:
        payload["disable_parallel_tool_use"] = True
    return payload


# --- structured output -----------------------------------------------------------------------------------------------


def _native_output(
    response_format: ResponseFormat, version: Version | None, *, has_tool_for_it: bool
) -> dict[str, Any] | None:
    """The format that the model is held to; None where JSON comes by a tool that the model must call.

    A tool takes any schema, and keeps to none: that is the way for what a format cannot be held to, such as a dict.

    Raises:
        InvalidRequestError: it can be had neither way.
    """
    reason = "this model has no JSON without a schema: give one"
    if response_format.json_schema is not None:
        if not _has(version, _STRUCTURED_OUTPUT):
            return None
        schema = closed_schema(response_format.type_schema_for(ANTHROPIC) or response_format.json_schema)
        found = describe_misfits(schema, ANTHROPIC)
        if found is None:
            return {"type": "json_schema", "schema": schema}
        reason = f"its schema cannot be strict, and this model takes no other: {found}"
        claimed = response_format.type_schema is None and response_format.strict
        if claimed or not has_tool_for_it:
            raise InvalidRequestError(f"response_format: {reason}", argument="response_format")
    if version is not None and version >= _THINKING_BY_DEFAULT:
        raise InvalidRequestError(f"response_format: {reason}", argument="response_format")
    return None


def _check_free_for_tool(request: ChatRequest, thinking: dict[str, Any] | None) -> None:
    if request.tools:
        raise InvalidRequestError(
            "response_format: on this model it takes the place of tools: ask without them", argument="response_format"
        )
    if _thinks(thinking):
        raise InvalidRequestError(
            "response_format: on this model it cannot be had together with thinking", argument="response_format"
        )


def _thinks(thinking: dict[str, Any] | None) -> bool:
    return thinking is not None and thinking["type"] != "disabled"


def _json_tool(response_format: ResponseFormat) -> dict[str, Any]:
    name, description, schema = response_format.name, response_format.description, response_format.json_schema
    about = f"{name}: {description}" if description else name
    schema = {"type": "object"} if schema is None else schema
    return {"name": JSON_TOOL, "description": f"Give the answer ({about})", "input_schema": schema}


_KEPT = {"$ref", "type", "title", "description", "enum", "const", "required", "additionalProperties"}
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}


def closed_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema within what the wire knows, as the official SDK writes it of a type.

    Where properties are named, there are no others; what the wire cannot hold the model to (`minimum`, `pattern`, …)
    goes into the description, and is checked when the answer is parsed.
    """
    closed: dict[str, Any] = {}
    described: dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("$defs", "definitions", "properties") and isinstance(value, dict):
            closed[key] = {name: _closed(one) for name, one in value.items()}
        elif key in ("anyOf", "oneOf", "allOf") and isinstance(value, list):
            closed["anyOf" if key == "oneOf" else key] = [_closed(one) for one in value]
        elif key == "items":
            closed[key] = _closed(value)
        elif key in _KEPT or (key == "minItems" and value in (0, 1)) or (key == "format" and value in _FORMATS):
            closed[key] = value
        else:
            described[key] = value
    if "$ref" in closed:  # whatever stands beside it has no effect
        return {key: value for key, value in closed.items() if key in ("$ref", "$defs", "definitions")}
    if "enum" in closed or "const" in closed:
        closed.pop("type", None)
    if closed.get("type") == "object" and "properties" in closed:
        closed.setdefault("additionalProperties", False)
    if described:
        text = "{" + ", ".join(f"{key}: {value}" for key, value in described.items()) + "}"
        closed["description"] = f"{closed['description']}\n\n{text}" if closed.get("description") else text
    return closed


def _closed(value: Any) -> Any:
    return closed_schema(value) if isinstance(value, dict) else value
