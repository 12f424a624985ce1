"""Deduplicates the Responses API's items: each piece of an answer once, however often it is told.

The wire: docs/protocols/openai-responses.md, "OpenAI Responses".
"""

# Theory of operation
#
# An answer is a list of items: messages, reasoning, calls. The wire tells it up to four times over. A text arrives as
# deltas, again whole in the `.done` event of its part, again in `output_item.done`, and again in the last event
# (`response.completed`, or `.incomplete`), which has all items. Servers leave out some of these: some send no deltas,
# some nothing but the last event. So nothing may be ignored, and nothing may go out twice.
#
# The rule is that pieces are trusted, and wholes fill in: a whole goes out only if nothing of it has. What "of it"
# means depends on where the whole comes from:
#
# - A part's `.done` event, and an item in `output_item.done`: a *part* is a text of one type at one place of one item,
#   and `_written` has the parts of which something has gone out, `_types_by_item` their types. The item is told by its
#   `output_index`, or by its id where a server (llama.cpp) sends no index.
# - The last event: its items need not be at the places that the events before it gave them, nor have the same ids. So
#   here a type of text is left out altogether if anything of this type has gone out.
# - Calls have names of their own: see `tool_calls`.
#
# - Parts that are not text (images, audio) are parts like these, of a type of their own: `part KIND`.
#
# What an item is decides what its texts are: whatever the parts of a reasoning item are called, they are reasoning.
# `_item_types` has the type of each item that has begun, by its id and by its place.
#
# Other state: `_begun`, for the role, the model and the id go out with the first chunk alone; `_reasoning_part`, for an
# empty line goes between two parts of the reasoning; `_declined` and the calls, which decide the finish reason; and
# `_items`, the items as they ended, for `provider_data`.
#
# An `Answer` serves one reply, in one thread. Its decoder calls one method for each event, in their order, `end` last,
# and hands out the chunk that it returns. Only further pieces of the part of the last text it hands out by itself: that
# part is in `_written` already.

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmclients.codecs.json_fields import get_list, get_object, get_optional_str, unexpected_type
from llmclients.codecs.openai_responses.fields import get_dict, parse_logprobs, parse_usage
from llmclients.codecs.openai_responses.item_types import are_wanted, asks_for_more, kind_of_item
from llmclients.codecs.openai_responses.tool_calls import ToolCalls, is_key
from llmclients.types.response import (
    Chunk,
    FinishReason,
    OtherPart,
    TokenLogprob,
    ToolCallDelta,
    make_chunk,
)

__all__ = ["CODEC_NAME", "ENDED", "Answer"]

CODEC_NAME = "openai-responses"
"""The codec's name, and so the key of `provider_data` under which a message has its items."""

ENDED = ("completed", "incomplete", "cancelled")
"""The statuses of an answer that will not go on, besides `failed`."""

_WHY_INCOMPLETE: Mapping[Any, FinishReason] = {
    "max_output_tokens": "length",
    "max_tokens": "length",
    "content_filter": "content_filter",
}
_TEXT_TYPES = {
    "output_text": "output_text",
    "text": "output_text",
    "refusal": "refusal",
    "summary_text": "summary_text",
    "reasoning_text": "reasoning_text",
}
"""The types of the parts of a message, as they are read here. Of a part of any other type the text is not known."""
_REASONING = ("summary_text", "reasoning_text")
_Part = tuple[str, int | str | None, int]
"""A text's type, its item, and its place in it."""


@dataclass(slots=True)
class _Delta:
    """What one event adds to the answer."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallDelta] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    other_parts: list[OtherPart] = field(default_factory=list)


class Answer:
    """One answer, told in events. Each method takes an event, and returns the chunk of what is new in it, if any is."""

    def __init__(self) -> None:
        self._model: str | None = None
        self._id: str | None = None
        self._begun = False
        self._written: set[_Part] = set()
        self._types_by_item: dict[int | str | None, set[str]] = {}
        self._reasoning_part: _Part | None = None
        self._declined = False
        self._calls = ToolCalls()
        self._items: list[dict[str, Any]] = []
        self._item_types: dict[int | str, Any] = {}

    def begin(self, response: dict[str, Any]) -> None:
        """The answer as it begins, without anything in it."""
        self._model = get_optional_str(response, "model") or self._model
        self._id = get_optional_str(response, "id") or self._id

    def add_text(self, text_type: str, event: dict[str, Any], text: Any, *, whole: bool) -> Chunk | None:
        """A piece of a text, or all of it at its end."""
        if whole and text is None:
            return None
        if text_type == "output_text" and self._is_reasoning(event):
            text_type = "reasoning_text"
        place = event.get("summary_index" if text_type == "summary_text" else "content_index")
        part = text_type, _item_key(event, event.get("item_id")), place if type(place) is int else 0
        delta = _Delta()
        self._write(delta, part, text, whole=whole)
        if delta.text and event.get("logprobs"):
            delta.logprobs = parse_logprobs(event["logprobs"])
        return self._chunk(delta, event)

    def add_part(self, kind: str, event: dict[str, Any]) -> Chunk | None:
        """A piece of a part that is not text."""
        self._written.add((f"part {kind}", None, 0))
        return self._chunk(_Delta(other_parts=[OtherPart(kind=kind, raw=event)]), event)

    def end_part(self, event: dict[str, Any]) -> Chunk | None:
        """A part of a message as it ended. One of another type comes with its item."""
        part, place, delta = event.get("part"), event.get("content_index"), _Delta()
        if type(part) is dict and part.get("type") in ("output_text", "refusal") and not self._is_reasoning(event):
            key = _item_key(event, event.get("item_id"))
            self._write_part(delta, part, key, place if type(place) is int else 0, frozenset())
        return self._chunk(delta, event)

    def add_arguments(self, event: dict[str, Any], arguments: Any, *, whole: bool) -> Chunk | None:
        """A piece of a call's arguments, or all of them at their end."""
        return self._call_chunk(self._calls.add_arguments(event, arguments, whole=whole), event)

    def begin_item(self, event: dict[str, Any]) -> Chunk | None:
        """An item begins."""
        item = get_dict(event, "item")
        keys = filter(is_key, (event.get("output_index"), item.get("id")))
        self._item_types.update(dict.fromkeys(keys, item.get("type")))
        if item.get("type") != "function_call":
            return None
        return self._call_chunk(self._calls.begin(item, event.get("output_index")), event)

    def end_item(self, event: dict[str, Any]) -> Chunk | None:
        """An item as it ended."""
        item = get_dict(event, "item")
        self._items.append(item)
        delta = _Delta()
        key = _item_key(event, event.get("item_id"), item.get("id"))
        self._write_item(delta, item, key, event.get("output_index"))
        chunk = self._chunk(delta, event)
        if chunk is None and item.get("encrypted_content"):  # nothing to read, and yet a piece of the answer
            return make_chunk(raw=event)
        return chunk

    def end(self, response: dict[str, Any], status: Any, raw: dict[str, Any]) -> Chunk:
        """The whole answer: the last chunk, with what has not come yet, and how it all ended.

        Args:
            response: the answer.
            status: its status, one of `ENDED`; another, or None, for an answer that has not ended.
            raw: the event, or the reply, for the chunk.
        """
        self.begin(response)
        output = list(get_list(response, "output"))
        delta = _Delta()
        written_types = frozenset(text_type for text_type, _, _ in self._written)
        for place, item in enumerate(output):
            if type(item) is not dict:
                raise unexpected_type("item", item)
            if item.get("type") != "function_call":
                self._write_item(delta, item, f"end {place}", None, written_types)
        if not output and not written_types and type(response.get("output_text")) is str:
            self._write(delta, ("output_text", "end", 0), response["output_text"], whole=True)
        delta.tool_calls += self._calls.end_all([item for item in output if item.get("type") == "function_call"])
        items = output if len(output) > len(self._items) else self._items
        return make_chunk(
            delta.text,
            None if self._begun else "assistant",
            delta.reasoning or None,
            delta.tool_calls,
            self._finish_reason(response, status, items),
            parse_usage(response.get("usage")),
            self._model,
            self._id,
            raw,
            delta.logprobs,
            {CODEC_NAME: items} if are_wanted(items, stored=response.get("store") is True) else None,
            delta.other_parts,
        )

    def _is_reasoning(self, event: dict[str, Any]) -> bool:
        """Whether an event belongs to a reasoning item. Where nothing else tells, its id begins as OpenAI's do."""
        for key in (event.get("item_id"), event.get("output_index")):
            if is_key(key) and key in self._item_types:
                return bool(self._item_types[key] == "reasoning")
        return str(event.get("item_id")).startswith("rs_")

    def _finish_reason(self, response: dict[str, Any], status: Any, items: list[dict[str, Any]]) -> FinishReason | None:
        if not isinstance(status, str | None):
            return "error"
        if status == "incomplete":
            reason = get_optional_str(get_object(response, "incomplete_details"), "reason")
            return _WHY_INCOMPLETE.get(reason, "error")  # also where the server does not say why
        if status == "completed" and self._declined:
            return "content_filter"
        if status in ("completed", None) and (self._calls or asks_for_more(items)):
            return "tool_calls"
        return {"completed": "stop", "queued": None, "in_progress": None, None: None}.get(status, "error")

    def _write_item(
        self,
        delta: _Delta,
        item: dict[str, Any],
        key: int | str | None,
        output_index: Any,
        written_types: frozenset[str] = frozenset(),
    ) -> None:
        """Add what of a whole item has not come yet, without the types of text of which something has."""
        if item.get("type") == "function_call":
            call = self._calls.end(item, output_index)
            if call is not None:
                delta.tool_calls.append(call)
            return
        if item.get("type") == "reasoning":
            self._write_reasoning(delta, item, key, written_types)
        elif item.get("type") == "message":
            content = item.get("content")
            parts = [{"type": "text", "text": content}] if type(content) is str else get_list(item, "content")
            for place, part in enumerate(parts):
                self._write_part(delta, part, key, place, written_types)
        elif (kind := kind_of_item(item)) and f"part {kind}" not in written_types:
            self._write_other(delta, (f"part {kind}", key, 0), kind, item)

    def _write_part(
        self, delta: _Delta, part: Any, key: int | str | None, place: int, written_types: frozenset[str]
    ) -> None:
        """Add a part of a message, if it has not come yet."""
        if type(part) is not dict:
            raise unexpected_type("content[]", part)
        part_type = get_optional_str(part, "type") or "a part without a type"
        text_type = _TEXT_TYPES.get(part_type)
        if text_type is None:
            kind = part_type.removeprefix("output_")
            if part.get("transcript") and "transcript" not in written_types:
                self._write(delta, ("transcript", key, place), part["transcript"], whole=True)
            if f"part {kind}" not in written_types:
                self._write_other(delta, (f"part {kind}", key, place), kind, part)
        elif text_type not in written_types:
            text = part.get("refusal" if text_type == "refusal" else "text")
            is_new = self._write(delta, (text_type, key, place), text, whole=True)
            if is_new and part.get("logprobs"):
                delta.logprobs += parse_logprobs(part["logprobs"])

    def _write_reasoning(
        self, delta: _Delta, item: dict[str, Any], key: int | str | None, written_types: frozenset[str]
    ) -> None:
        """Add the texts of a reasoning item that have not come yet, whatever their type. What is no text has none."""
        id = item.get("id")
        written_here = self._types_by_item.get(key, set()) | written_types
        if is_key(id):
            written_here |= self._types_by_item.get(id, set())
        for member, usual_type in (("summary", "summary_text"), ("content", "reasoning_text")):
            parts = item.get(member)
            for place, part in enumerate(parts if type(parts) is list else ()):
                part = part if type(part) is dict else {}
                text_type, text = get_optional_str(part, "type"), get_optional_str(part, "text")
                if text is None or text_type in written_types:
                    continue
                if text_type not in _REASONING:
                    # Its pieces, if there were any, had the usual name, or that of the summary.
                    if written_here.intersection(_REASONING):
                        continue
                    text_type = usual_type
                self._write(delta, (text_type, key, place), text, whole=True)

    def _write_other(self, delta: _Delta, part: _Part, kind: str, raw: dict[str, Any]) -> None:
        """Add a part that is not text, if it has not come yet."""
        if part not in self._written:
            self._written.add(part)
            delta.other_parts.append(OtherPart(kind=kind, raw=raw))

    def _write(self, delta: _Delta, part: _Part, text: Any, *, whole: bool) -> bool:
        """Add a piece of a part, or the whole of it only if no piece of it has come; whether it was added."""
        if type(text) is not str:
            if part[0] in _REASONING:
                return False
            raise unexpected_type(part[0], text)
        if not text or (whole and part in self._written):
            return False
        if part[0] in _REASONING:
            if self._reasoning_part not in (None, part):
                delta.reasoning += "\n\n"
            self._reasoning_part = part
            delta.reasoning += text
        else:
            delta.text += text
            self._declined = self._declined or part[0] == "refusal"
        self._written.add(part)
        self._types_by_item.setdefault(part[1], set()).add(part[0])
        return True

    def _call_chunk(self, call: ToolCallDelta | None, raw: dict[str, Any]) -> Chunk | None:
        return None if call is None else self._chunk(_Delta(tool_calls=[call]), raw)

    def _chunk(self, delta: _Delta, raw: dict[str, Any]) -> Chunk | None:
        if not (delta.text or delta.reasoning or delta.tool_calls or delta.other_parts):
            return None
        role, model, id = (None, None, None) if self._begun else ("assistant", self._model, self._id)
        self._begun = True
        reasoning = delta.reasoning or None
        return make_chunk(
            delta.text,
            role,
            reasoning,
            delta.tool_calls,
            model=model,
            id=id,
            raw=raw,
            logprobs=delta.logprobs,
            other_parts=delta.other_parts,
        )


def _item_key(event: dict[str, Any], *ids: Any) -> int | str | None:
    """What tells an item from the others: its place, which llama.cpp does not send, else its id."""
    return next(filter(is_key, (event.get("output_index"), *ids)), None)
