"""The answer that the items of the Responses API make: each piece of it once, however often it comes (PROTOCOLS 10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from llmclients.codecs.json_fields import get_int, get_list, get_optional_str, unexpected_type
from llmclients.codecs.openai_chat.fields import is_logprob
from llmclients.types.response import (
    Chunk,
    FinishReason,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    make_chunk,
)

__all__ = ["CODEC_NAME", "ENDED", "Answer"]

CODEC_NAME = "openai-responses"
"""Under this name a message's `provider_data` has its items."""

ENDED = ("completed", "incomplete", "cancelled")
"""The statuses of an answer that will not go on, besides `failed`."""

_WHY_INCOMPLETE: Mapping[Any, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}


@dataclass(slots=True)
class _Call:
    """A call under way, and what of it has gone out."""

    index: int
    id: str = ""
    name: str = ""
    opened: bool = False
    begun: bool = False  # the arguments


@dataclass(slots=True)
class _Brought:
    """What one event brings."""

    text: str = ""
    reasoning: str = ""
    calls: list[ToolCallDelta] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)


class Answer:
    """What an answer has brought so far, so that what comes twice, in pieces and whole, goes out once."""

    def __init__(self) -> None:
        self._model: str | None = None
        self._id: str | None = None
        self._opened = False
        self._written: set[tuple[str, int | str | None, int]] = set()  # the parts of which something has come
        self._paragraph: object = None  # the part of the reasoning that the last piece of it belonged to
        self._refused = False
        self._calls: list[_Call] = []
        self._call_of: dict[int | str, _Call] = {}  # by all that an event may name it by
        self._items: list[dict[str, Any]] = []  # as they ended

    def begin(self, response: dict[str, Any]) -> None:
        self._model = get_optional_str(response, "model") or self._model
        self._id = get_optional_str(response, "id") or self._id

    def piece(self, what: str, payload: dict[str, Any], words: Any, *, whole: bool) -> Chunk | None:
        """A piece of a part, or all of it at its end."""
        part = payload.get("summary_index" if what == "summary_text" else "content_index")
        brought = _Brought()
        if whole and words is None:
            return None
        self._write(brought, what, (what, _key(payload, "item_id"), part if type(part) is int else 0), words, whole)
        if brought.text and payload.get("logprobs"):
            brought.logprobs = _logprobs(payload["logprobs"])
        return self._chunk(brought, payload)

    def added(self, payload: dict[str, Any]) -> Chunk | None:
        item = _item(payload)
        if item.get("type") != "function_call":
            return None
        brought = _Brought()
        # Arguments that it already has come again in the events after it.
        self._say(brought, self._named(item, payload.get("output_index")), item.get("name"), "")
        return self._chunk(brought, payload)

    def arguments(self, payload: dict[str, Any], words: Any, *, whole: bool) -> Chunk | None:
        """A piece of a call's arguments, or all of them at their end."""
        place, item_id = payload.get("output_index"), payload.get("item_id")
        known = (self._call_of.get(key) for key in (item_id, place) if _is_key(key))
        call = next(filter(None, known), None)
        if call is None:
            # Where events do not say their place, and the id is another each time, the last call goes on.
            call = self._calls[-1] if self._calls and not _is_key(place) else self._new_call(place, item_id)
        brought = _Brought()
        self._say(brought, call, payload.get("name"), "" if whole and call.begun else words)
        return self._chunk(brought, payload)

    def item_done(self, payload: dict[str, Any]) -> Chunk | None:
        item = _item(payload)
        self._items.append(item)
        brought = _Brought()
        self._take(brought, item, _key(payload, "item_id", item), payload.get("output_index"), frozenset())
        chunk = self._chunk(brought, payload)
        if chunk is None and item.get("encrypted_content"):  # nothing to read, and yet a piece of the answer
            return make_chunk(raw=payload)
        return chunk

    def end(self, response: dict[str, Any], status: Any, raw: dict[str, Any]) -> Chunk:
        """The last chunk: what has not come yet, and how it all ended."""
        self.begin(response)
        output = [_item({"item": item}) for item in get_list(response, "output")]
        brought = _Brought()
        kinds = frozenset(what for what, _, _ in self._written)
        for place, item in enumerate(output):
            self._take(brought, item, f"end {place}", None, kinds)
        items = output if len(output) > len(self._items) else self._items
        usage = response.get("usage")
        return make_chunk(
            brought.text,
            None if self._opened else "assistant",
            brought.reasoning or None,
            brought.calls,
            self._finish_reason(response, status),
            None if usage is None else _usage(usage),
            self._model,
            self._id,
            raw,
            brought.logprobs,
            _echo(items, stored=response.get("store") is True),
        )

    def _finish_reason(self, response: dict[str, Any], status: Any) -> FinishReason | None:
        if status in (None, "queued", "in_progress"):
            return None
        if status == "incomplete":
            details = response.get("incomplete_details")
            reason = details.get("reason") if isinstance(details, dict) else None
            return _WHY_INCOMPLETE.get(reason, "error") if isinstance(reason, str) else "error"
        if status != "completed":
            return "error"
        return "content_filter" if self._refused else "tool_calls" if self._calls else "stop"

    def _take(
        self, brought: _Brought, item: dict[str, Any], key: int | str | None, index: Any, besides: frozenset[str]
    ) -> None:
        """What of a whole item has not come yet, without the kinds of which something has."""
        if item.get("type") == "function_call":
            call = self._named(item, index)
            self._say(brought, call, item.get("name"), "" if call.begun else item.get("arguments"))
            return
        for name in ("summary", "content") if item.get("type") in ("message", "reasoning") else ():
            for place, part in enumerate(get_list(item, name)):
                if type(part) is not dict:
                    raise unexpected_type(f"{name}[]", part)
                what = part.get("type")
                if what not in ("output_text", "refusal", "summary_text", "reasoning_text") or what in besides:
                    continue
                words = part.get("refusal" if what == "refusal" else "text")
                new = self._write(brought, what, (what, key, place), words, True)
                if new and part.get("logprobs"):
                    brought.logprobs += _logprobs(part["logprobs"])

    def _write(
        self, brought: _Brought, what: str, place: tuple[str, int | str | None, int], words: Any, whole: bool
    ) -> bool:
        """Add a piece of a part; the whole of it only if no piece of it has come."""
        if type(words) is not str:
            raise unexpected_type(what, words)
        if not words or (whole and place in self._written):
            return False
        if what in ("summary_text", "reasoning_text"):
            if self._paragraph not in (None, place):
                brought.reasoning += "\n\n"
            self._paragraph = place
            brought.reasoning += words
        else:
            brought.text += words
            self._refused = self._refused or what == "refusal"
        self._written.add(place)
        return True

    def _new_call(self, *keys: Any) -> _Call:
        call = _Call(len(self._calls))
        self._calls.append(call)
        self._call_of.update((key, call) for key in keys if _is_key(key))
        return call

    def _named(self, item: dict[str, Any], index: Any) -> _Call:
        """The call of an item. A name of its own that has not come makes a new one, whatever else is the same."""
        ids = [key for key in (item.get("call_id"), item.get("id")) if isinstance(key, str) and key]
        call = next((self._call_of[key] for key in ids if key in self._call_of), None)
        if call is None and _is_key(index) and (there := self._call_of.get(index)) is not None and not there.id:
            call = there
        if call is None:
            call = self._new_call()
        self._call_of.update((key, call) for key in (*ids, index) if _is_key(key))
        call.id = call.id or (f"call_{call.index}" if not ids else ids[0])
        return call

    def _say(self, brought: _Brought, call: _Call, name: Any, words: Any) -> None:
        """Add what is new of a call."""
        if isinstance(words, dict):
            words = json.dumps(words, ensure_ascii=False)
        if not isinstance(name, str | None) or not isinstance(words, str | None):
            raise unexpected_type("function_call", name if isinstance(words, str | None) else words)
        is_first = bool(call.id) and not call.opened
        new_name = name if name and not call.name else None
        if is_first or new_name or words:
            call.opened = call.opened or is_first
            call.name = call.name or name or ""
            call.begun = call.begun or bool(words)
            delta = ToolCallDelta(
                index=call.index, id=call.id if is_first else None, name=new_name, arguments=words or ""
            )
            brought.calls.append(delta)

    def _chunk(self, brought: _Brought, raw: dict[str, Any]) -> Chunk | None:
        if not (brought.text or brought.reasoning or brought.calls):
            return None
        role, model, name = (None, None, None) if self._opened else ("assistant", self._model, self._id)
        self._opened = True
        return make_chunk(
            brought.text,
            role,
            brought.reasoning or None,
            brought.calls,
            None,
            None,
            model,
            name,
            raw,
            brought.logprobs,
        )


def _echo(items: list[dict[str, Any]], *, stored: bool) -> dict[str, Any] | None:
    """The items, where the provider wants them back and can read them: text and calls alone need no such thing."""
    wanted = False
    for item in items:
        kind = item.get("type")
        if kind == "reasoning":
            if not (item.get("encrypted_content") or item.get("content") or stored):
                return None  # a mere reference to what nobody has kept
            wanted = True
        elif kind == "message":
            wanted = wanted or item.get("phase") is not None
        else:
            wanted = wanted or kind != "function_call"
    return {CODEC_NAME: items} if wanted else None


# --- the members of a reply -----------------------------------------------------------------------------------------


def _is_key(value: Any) -> TypeGuard[int | str]:
    return type(value) is int or (type(value) is str and bool(value))


def _key(payload: dict[str, Any], name: str, item: Mapping[str, Any] | None = None) -> int | str | None:
    """What tells an item from the others: its place, which llama.cpp does not send, else its id."""
    for value in (payload.get("output_index"), payload.get(name), (item or {}).get("id")):
        if _is_key(value):
            return value
    return None


def _item(payload: dict[str, Any]) -> dict[str, Any]:
    item = payload.get("item")
    if type(item) is not dict:
        raise unexpected_type("item", item)
    return item


def _logprobs(entries: Any) -> list[TokenLogprob]:
    if type(entries) is not list:
        raise unexpected_type("logprobs", entries)
    return [_logprob(entry, get_list(entry, "top_logprobs") if type(entry) is dict else []) for entry in entries]


def _logprob(entry: Any, top: list[Any]) -> TokenLogprob:
    token, value = (entry.get("token"), entry.get("logprob")) if type(entry) is dict else (None, None)
    if type(token) is not str or not is_logprob(value):
        raise unexpected_type("logprobs[]", entry)
    return TokenLogprob(token=token, logprob=value, top=[_logprob(other, []) for other in top])


def _usage(usage: Any) -> Usage:
    if type(usage) is not dict:
        raise unexpected_type("usage", usage)
    given, made = usage.get("input_tokens_details"), usage.get("output_tokens_details")
    return Usage(
        input_tokens=get_int(usage, "input_tokens"),
        output_tokens=get_int(usage, "output_tokens"),
        total_tokens=get_int(usage, "total_tokens"),
        reasoning_tokens=get_int(made, "reasoning_tokens") if isinstance(made, dict) else None,
        cached_tokens=get_int(given, "cached_tokens") if isinstance(given, dict) else None,
    )
