"""Parses the members of a chat completion, each checked to be of its type.

The wire: docs/protocols/openai-chat.md, "OpenAI chat completions".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from llmclients.codecs.json_fields import get_int, get_object, get_optional_str, parse_logprob, unexpected_type
from llmclients.codecs.openai_chat.old_logprobs import parse_old_logprobs
from llmclients.errors import OverloadedError
from llmclients.types.limits import check_choice_count
from llmclients.types.response import FinishReason, OtherPart, TokenLogprob, Usage, make_usage

__all__ = [
    "first_choice",
    "get_message",
    "is_error",
    "other_choices",
    "other_parts",
    "parse_finish_reason",
    "parse_logprobs",
    "parse_text",
    "parse_usage",
    "says_something",
]

_FINISH_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "end_turn": "stop",  # this word, `max_tokens` and `tool_use` are Anthropic's
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_call": "tool_calls",
    "tool_use": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "model_context_window_exceeded": "length",
    "MAX_TOKENS": "length",  # this word and the next are Gemini's, which some gateways do not translate
    **dict.fromkeys(("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"), "content_filter"),
}
"""Any other is an `error`: an unknown ending must not pass for a good one. The server's own stays in `raw`."""

_READ_PARTS = ("text", "output_text", "thinking", "reference")
"""The types of a content's parts that are read, and Mistral's, which only points to a source."""

_INTERRUPTIONS = frozenset({"insufficient_system_resource"})
"""No finish at all: the server gave the answer up half-way, and may well complete it when it is asked again."""


def is_error(payload: dict[str, Any]) -> bool:
    """Whether a payload says that it is an error, in any of the ways that servers have.

    The ways: docs/protocols/openai-chat.md, "Errors".
    """
    if payload.get("error") or payload.get("error_message") or payload.get("object") == "error":
        return True
    return bool(payload.get("choices") is None and get_object(payload, "base_resp").get("status_code"))  # MiniMax's


def first_choice(payload: dict[str, Any], *, whole: bool = False) -> dict[str, Any] | None:
    """The choice with index 0, or without one. `other_choices` has the rest.

    Args:
        payload: the reply, or an event.
        whole: whether it is a reply: then the first one is it, if none has this index.
    """
    choices = payload.get("choices")
    if not choices:
        if choices is None or type(choices) is list:
            return None
        raise unexpected_type("choices", choices)
    if type(choices) is not list:
        raise unexpected_type("choices", choices)
    for choice in choices:
        if type(choice) is not dict:
            raise unexpected_type("choices[]", choice)
        index = choice.get("index")
        if not index or index == "0":
            return choice
    return choices[0] if whole else None


def other_choices(payload: dict[str, Any], first: dict[str, Any] | None) -> dict[int, dict[str, Any]]:
    """The choices besides the first, by their index: the one that they have, or else their place in the list.

    Raises:
        APIResponseError: one of them is no object, or there are too many.
    """
    found: dict[int, dict[str, Any]] = {}
    choices = payload.get("choices") or ()
    check_choice_count(len(choices))
    for place, choice in enumerate(choices):
        if type(choice) is not dict:
            raise unexpected_type("choices[]", choice)
        if choice is first:
            continue
        index = choice.get("index")
        if type(index) is str and index.isascii() and index.isdecimal() and len(index) < 10:
            index = int(index)
        if type(index) is not int or index < 1 or index in found:
            index = next(free for free in count(max(place, 1)) if free not in found)
        found[index] = choice
    return found


def says_something(message: dict[str, Any]) -> bool:
    """Whether a message or delta has more than its role."""
    return any(value for name, value in message.items() if name != "role")


def get_message(choice: dict[str, Any], *places: str) -> dict[str, Any] | None:
    """The message of a choice, or a piece of one, in the first of these members that has it; else in `text`.

    One with nothing in it gives way to another.

    Some servers have `message` in a stream's chunks, or `delta` in a whole reply; `text` is of older completions.

    Raises:
        APIResponseError: one of the places has something else.
    """
    found: dict[str, Any] | None = None
    for place in places:
        message = choice.get(place)
        if type(message) is dict:
            if found is None or says_something(message):
                found = message
            if says_something(found):
                return found
        elif message is not None:
            raise unexpected_type(f"choices[0].{place}", message)
    text = choice.get("text")
    return {"content": text} if type(text) is str and (text or found is None) else found


def parse_text(message: dict[str, Any]) -> tuple[str, str | None, bool]:
    """Text, reasoning, and whether the model declined (then the text is its refusal), of a message or delta.

    The text of an answer that is spoken is its transcript.
    """
    text, thoughts = message.get("content") or _transcript(message.get("audio")), None
    if type(text) is list:
        text, thoughts = _parse_parts(text)
    if type(text) is not str:
        raise unexpected_type("content", text)
    reasoning = thoughts
    for found in (message.get("reasoning_content"), message.get("reasoning")):
        if found and type(found) is str:
            reasoning = found
            break
    declined = message.get("refusal")
    if declined:
        if type(declined) is not str:
            raise unexpected_type("refusal", declined)
        return text + declined, reasoning, True
    return text, reasoning, False


def _parse_parts(content: list[Any]) -> tuple[str, str | None]:
    """The text and the reasoning of a content in parts. `other_parts` finds those of other kinds.

    Raises:
        APIResponseError: a part that is none.
    """
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content:
        if type(part) is not dict:
            raise unexpected_type("content[]", part)
        if part.get("type") in ("text", "output_text"):
            texts.append(_text(part.get("text"), "content[].text"))
        elif part.get("type") == "thinking":
            inner = part.get("thinking")
            thoughts.append(_parse_parts(inner)[0] if type(inner) is list else _text(inner, "content[].thinking"))
    return "".join(texts), "".join(thoughts) or None


def _transcript(audio: Any) -> str:
    return get_optional_str(audio, "transcript") or "" if type(audio) is dict else ""


def other_parts(message: Any) -> Sequence[OtherPart]:
    """What a message or delta has besides text: OpenAI's `audio`, OpenRouter's `images`, parts of the content.

    A piece of audio that has neither sound nor an id, but text or an expiry, is none.
    """
    if type(message) is not dict:
        return ()
    audio, images, content = message.get("audio"), message.get("images"), message.get("content")
    found: list[tuple[str, Any]] = []
    if type(audio) is dict and (audio.get("data") or audio.get("id")):
        found.append(("audio", audio))
    if type(images) is list:
        found += [("image", image) for image in images]
    if type(content) is list:
        kinds = [(part.get("type"), part) for part in content if type(part) is dict]
        found += [(str(kind or "a part without a type"), part) for kind, part in kinds if kind not in _READ_PARTS]
    return [OtherPart(kind=kind, raw=part) for kind, part in found] if found else ()


def parse_finish_reason(choice: dict[str, Any], *, called: bool, declined: bool) -> FinishReason | None:
    """The finish reason; None where the wire has none yet. Calls and refusals count for more than a `stop`."""
    value = choice.get("finish_reason")
    if value is None or value == "":
        return None
    if type(value) is not str:
        raise unexpected_type("finish_reason", value)
    if value in _INTERRUPTIONS:
        raise OverloadedError(f"the provider gave the answer up half-way: {value}", status_code=529, body=choice)
    reason = _FINISH_REASONS.get(value, "error")
    if reason == "stop" and declined:
        return "content_filter"
    if reason == "stop" and called:
        return "tool_calls"
    return reason


def parse_usage(payload: dict[str, Any]) -> Usage | None:
    """The token counts of a reply or an event, wherever the server has them; None where they are nowhere.

    The places: docs/protocols/shared.md, "Token counts".
    """
    usage = payload.get("usage")
    if type(usage) is not dict:
        usage = get_object(payload, "x_groq").get("usage")
    if type(usage) is not dict:
        choices = payload.get("choices")  # Moonshot has them in the choice
        first = choices[0] if type(choices) is list and choices else None
        usage = first.get("usage") if type(first) is dict else None
    if type(usage) is not dict:
        return None
    output, input = get_object(usage, "completion_tokens_details"), get_object(usage, "prompt_tokens_details")
    return make_usage(
        input_tokens=_first_count(usage, "prompt_tokens", usage, "input_tokens"),
        output_tokens=_first_count(usage, "completion_tokens", usage, "output_tokens"),
        total_tokens=get_int(usage, "total_tokens"),
        reasoning_tokens=get_int(output, "reasoning_tokens"),
        cached_tokens=_first_count(input, "cached_tokens", usage, "prompt_cache_hit_tokens", "cached_tokens"),
        cache_write_tokens=_first_count(input, "cache_write_tokens", usage, "cache_creation_input_tokens"),
    )


def _first_count(details: dict[str, Any], name: str, usage: dict[str, Any], *others: str) -> int | None:
    """A count that OpenAI has among the details, and others in the usage itself, by their own names."""
    count = get_int(details, name)
    for other in others:
        count = get_int(usage, other) if count is None else count
    return count


def parse_logprobs(logprobs: Any) -> list[TokenLogprob]:
    """The tokens of a choice's `logprobs`, also in the form of older completions. Those of a refusal stay in `raw`.

    Raises:
        APIResponseError: a token that is none.
    """
    content = logprobs.get("content") if type(logprobs) is dict else None
    if content is None:
        return parse_old_logprobs(logprobs) if type(logprobs) is dict else []
    if type(content) is not list:
        raise unexpected_type("logprobs.content", content)
    return [_token(entry, "logprobs.content[]", with_top=True) for entry in content]


def _token(entry: Any, where: str, *, with_top: bool = False) -> TokenLogprob:
    if type(entry) is not dict:
        raise unexpected_type(where, entry)
    top = entry.get("top_logprobs") if with_top else None
    if top is not None and type(top) is not list:
        raise unexpected_type("logprobs.content[].top_logprobs", top)
    return TokenLogprob(
        token=_text(entry.get("token"), "logprobs.content[].token"),
        logprob=parse_logprob(entry.get("logprob"), "logprobs.content[].logprob"),
        top=[_token(other, "logprobs.content[].top_logprobs[]") for other in top or ()],
    )


def _text(value: Any, where: str) -> str:
    if type(value) is not str:
        raise unexpected_type(where, value)
    return value
