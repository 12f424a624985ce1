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
#   and `_written` has the parts of which something has gone out. The item is told by its `output_index`, or by its id
#   where a server (llama.cpp) sends no index.
# - The last event: its items need not be at the places that the events before it gave them, nor have the same ids. So
#   here a type of text is left out altogether if anything of this type has gone out.
# - Calls have names of their own: see `tool_calls`.
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

from llmclients.codecs.json_fields import get_list, get_optional_str, unexpected_type
from llmclients.codecs.openai_responses.fields import get_dict, parse_logprobs, parse_usage
from llmclients.codecs.openai_responses.tool_calls import ToolCalls, is_key
from llmclients.types.response import Chunk, FinishReason, TokenLogprob, ToolCallDelta, make_chunk

__all__ = ["CODEC_NAME", "ENDED", "Answer"]

CODEC_NAME = "openai-responses"
"""The codec's name, and so the key of `provider_data` under which a message has its items."""

ENDED = ("completed", "incomplete", "cancelled")
"""The statuses of an answer that will not go on, besides `failed`."""

_WHY_INCOMPLETE: Mapping[Any, FinishReason] = {"max_output_tokens": "length", "content_filter": "content_filter"}
_CALL_MEMBERS = frozenset({"type", "id", "call_id", "name", "arguments", "status", "parsed_arguments", "index"})
"""Those of a call that can be written anew: one with others goes back as it came."""

_TEXT_TYPES = ("output_text", "refusal", "summary_text", "reasoning_text")

_Part = tuple[str, int | str | None, int]
"""A text's type, its item, and its place in it."""


@dataclass(slots=True)
class _Delta:
    """What one event adds to the answer."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallDelta] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)


class Answer:
    """One answer, told in events. Each method takes an event, and returns the chunk of what is new in it, if any is."""

    def __init__(self) -> None:
        self._model: str | None = None
        self._id: str | None = None
        self._begun = False
        self._written: set[_Part] = set()
        self._reasoning_part: _Part | None = None
        self._declined = False
        self._calls = ToolCalls()
        self._items: list[dict[str, Any]] = []

    def begin(self, response: dict[str, Any]) -> None:
        """The answer as it begins, without anything in it."""
        self._model = get_optional_str(response, "model") or self._model
        self._id = get_optional_str(response, "id") or self._id

    def add_text(self, text_type: str, event: dict[str, Any], text: Any, *, whole: bool) -> Chunk | None:
        """A piece of a text, or all of it at its end."""
        if whole and text is None:
            return None
        place = event.get("summary_index" if text_type == "summary_text" else "content_index")
        part = text_type, _item_key(event, event.get("item_id")), place if type(place) is int else 0
        delta = _Delta()
        self._write(delta, part, text, whole=whole)
        if delta.text and event.get("logprobs"):
            delta.logprobs = parse_logprobs(event["logprobs"])
        return self._chunk(delta, event)

    def add_arguments(self, event: dict[str, Any], arguments: Any, *, whole: bool) -> Chunk | None:
        """A piece of a call's arguments, or all of them at their end."""
        return self._call_chunk(self._calls.add_arguments(event, arguments, whole=whole), event)

    def begin_item(self, event: dict[str, Any]) -> Chunk | None:
        """An item begins."""
        item = get_dict(event, "item")
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
        delta.tool_calls += self._calls.end_all([item for item in output if item.get("type") == "function_call"])
        items = output if len(output) > len(self._items) else self._items
        return make_chunk(
            delta.text,
            None if self._begun else "assistant",
            delta.reasoning or None,
            delta.tool_calls,
            self._finish_reason(response, status),
            parse_usage(response.get("usage")),
            self._model,
            self._id,
            raw,
            delta.logprobs,
            _provider_data(items, stored=response.get("store") is True),
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
        return "content_filter" if self._declined else "tool_calls" if self._calls else "stop"

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
        for member in ("summary", "content") if item.get("type") in ("message", "reasoning") else ():
            for place, part in enumerate(get_list(item, member)):
                if type(part) is not dict:
                    raise unexpected_type(f"{member}[]", part)
                text_type = part.get("type")
                if text_type not in _TEXT_TYPES or text_type in written_types:
                    continue
                text = part.get("refusal" if text_type == "refusal" else "text")
                is_new = self._write(delta, (text_type, key, place), text, whole=True)
                if is_new and part.get("logprobs"):
                    delta.logprobs += parse_logprobs(part["logprobs"])

    def _write(self, delta: _Delta, part: _Part, text: Any, *, whole: bool) -> bool:
        """Add a piece of a part, or the whole of it only if no piece of it has come; whether it was added."""
        if type(text) is not str:
            raise unexpected_type(part[0], text)
        if not text or (whole and part in self._written):
            return False
        if part[0] in ("summary_text", "reasoning_text"):
            if self._reasoning_part not in (None, part):
                delta.reasoning += "\n\n"
            self._reasoning_part = part
            delta.reasoning += text
        else:
            delta.text += text
            self._declined = self._declined or part[0] == "refusal"
        self._written.add(part)
        return True

    def _call_chunk(self, call: ToolCallDelta | None, raw: dict[str, Any]) -> Chunk | None:
        return None if call is None else self._chunk(_Delta(tool_calls=[call]), raw)

    def _chunk(self, delta: _Delta, raw: dict[str, Any]) -> Chunk | None:
        if not (delta.text or delta.reasoning or delta.tool_calls):
            return None
        role, model, id = (None, None, None) if self._begun else ("assistant", self._model, self._id)
        self._begun = True
        reasoning = delta.reasoning or None
        return make_chunk(delta.text, role, reasoning, delta.tool_calls, None, None, model, id, raw, delta.logprobs)


def _item_key(event: dict[str, Any], *ids: Any) -> int | str | None:
    """What tells an item from the others: its place, which llama.cpp does not send, else its id."""
    return next(filter(is_key, (event.get("output_index"), *ids)), None)


def _provider_data(items: list[dict[str, Any]], *, stored: bool) -> dict[str, Any] | None:
    """The items, where the provider wants them back and can read them: text and calls alone need no such thing."""
    wanted = False
    for item in items:
        item_type = item.get("type")
        if item_type == "reasoning":
            if not (item.get("encrypted_content") or item.get("content") or stored):
                return None  # a mere reference to what nobody has kept
            wanted = True
        elif item_type == "message":
            wanted = wanted or item.get("phase") is not None
        else:
            wanted = wanted or item_type != "function_call" or not item.keys() <= _CALL_MEMBERS
    return {CODEC_NAME: items} if wanted else None
