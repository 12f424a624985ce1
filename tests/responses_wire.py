"""Generated answers of the Responses API: as a reply, as the events of a stream, and what they come to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

TEXTS = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from('\u2028\u2029\x85\r\n🌊👩‍🚀河:{}[]"\\')), max_size=8
)
IDS = st.text("abcdefgh0123456789_", min_size=1, max_size=8)
PIECES = st.lists(TEXTS, max_size=4)


def event(kind: str, *, line_end: str = "\n", ascii_only: bool = False, **members: Any) -> str:
    data = json.dumps({"type": kind, **members}, ensure_ascii=ascii_only)
    return f"event: {kind}{line_end}data: {data}{line_end * 2}"


@dataclass
class Answer:
    """An answer's items, each with the pieces that its parts came in."""

    items: list[dict[str, Any]]
    pieces: list[list[list[str]]]
    status: str
    usage: dict[str, Any] | None

    @property
    def response(self) -> dict[str, Any]:
        """The whole reply."""
        reason = {"reason": "max_output_tokens"} if self.status == "incomplete" else None
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1767225600,
            "status": self.status,
            "error": None,
            "incomplete_details": reason,
            "instructions": None,
            "metadata": {},
            "model": "m",
            "output": self.items,
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": self.usage,
        }

    @property
    def expected(self) -> dict[str, Any]:
        """What a response has besides its defaults and `raw`."""
        parts = [part for item in self.items if item["type"] == "message" for part in item["content"]]
        thoughts = [part["text"] for item in self.items if item["type"] == "reasoning" for part in item["summary"]]
        calls = [item for item in self.items if item["type"] == "function_call"]
        refused = any(part.get("refusal") for part in parts)
        made: dict[str, Any] = {
            "text": "".join(part.get("text", "") + part.get("refusal", "") for part in parts),
            "reasoning": "\n\n".join(filter(None, thoughts)),
            "tool_calls": [
                {"id": call["call_id"], "name": call["name"], "arguments": call["arguments"] or "{}"} for call in calls
            ],
        }
        made = {name: value for name, value in made.items() if value}
        if any(item["type"] == "reasoning" for item in self.items):
            made["provider_data"] = {"openai-responses": self.items}
        if self.usage is not None:
            details = self.usage["input_tokens_details"] | self.usage["output_tokens_details"]
            made["usage"] = {name: value for name, value in (self.usage | details).items() if type(value) is int}
        good = "content_filter" if refused else "tool_calls" if calls else "stop"
        return made | {"model": "m", "id": "resp_1", "finish_reason": good if self.status == "completed" else "length"}

    def events(self, how: str = "all") -> Iterator[tuple[str, dict[str, Any]]]:
        """The stream's events. `how`: `all`, or only the `done` ones, or the `items`, or the `end`."""
        response = self.response
        yield "response.created", {"response": response | {"status": "in_progress", "output": [], "usage": None}}
        yield "response.in_progress", {"response": response | {"status": "in_progress", "output": [], "usage": None}}
        for index, (item, pieces) in enumerate(zip(self.items, self.pieces, strict=True)):
            if how == "end":
                continue
            place = {"item_id": item["id"], "output_index": index}
            if how != "items":
                yield "response.output_item.added", {"output_index": index, "item": _begun(item)}
                for kind, members in _inside(item, pieces):
                    if how == "all" or not kind.endswith(".delta"):
                        yield kind, place | members
            yield "response.output_item.done", {"output_index": index, "item": item}
        yield f"response.{self.status}", {"response": response}


def _begun(item: dict[str, Any]) -> dict[str, Any]:
    empty = {"arguments": ""} if item["type"] == "function_call" else {"summary": [], "content": []}
    return {**item, **{name: value for name, value in empty.items() if name in item}, "status": "in_progress"}


def _inside(item: dict[str, Any], pieces: list[list[str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    if item["type"] == "function_call":
        for piece in pieces[0]:
            yield "response.function_call_arguments.delta", {"delta": piece}
        yield "response.function_call_arguments.done", {"arguments": item["arguments"], "name": item["name"]}
        return
    for index, (part, words) in enumerate(zip(item.get("content") or item.get("summary") or [], pieces, strict=True)):
        if item["type"] == "reasoning":
            where, name, member, opened = (
                {"summary_index": index},
                "reasoning_summary_text",
                "text",
                "reasoning_summary_",
            )
        elif part["type"] == "refusal":
            where, name, member, opened = {"content_index": index}, "refusal", "refusal", "content_"
        else:
            where, name, member, opened = {"content_index": index}, "output_text", "text", "content_"
        more = {"logprobs": []} if name == "output_text" else {}
        yield f"response.{opened}part.added", {**where, "part": {**part, member: ""}}
        for piece in words:
            yield f"response.{name}.delta", {**where, **more, "delta": piece}
        yield f"response.{name}.done", {**where, **more, member: part[member]}
        yield f"response.{opened}part.done", {**where, "part": part}


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    items: list[dict[str, Any]] = []
    pieces: list[list[list[str]]] = []
    call_ids = draw(st.lists(IDS, max_size=4, unique=True))
    for index, kind in enumerate(
        draw(st.lists(st.sampled_from(["message", "reasoning", "function_call"]), max_size=4))
    ):
        if kind == "message":
            words = draw(st.lists(PIECES, max_size=3))
            content = [
                {"type": "refusal", "refusal": "".join(part)}
                if draw(st.integers(0, 5)) == 0
                else {"type": "output_text", "text": "".join(part), "annotations": []}
                for part in words
            ]
            item = {"type": kind, "id": f"msg_{index}", "status": "completed", "role": "assistant", "content": content}
        elif kind == "reasoning":
            words = draw(st.lists(PIECES, max_size=3))
            summary = [{"type": "summary_text", "text": "".join(part)} for part in words]
            item = {"type": kind, "id": f"rs_{index}", "summary": summary, "encrypted_content": "gAAA=="}
        elif call_ids:
            words = [draw(PIECES)]
            item = {"type": kind, "id": f"fc_{index}", "call_id": call_ids.pop(), "name": draw(IDS)}
            item |= {"arguments": "".join(words[0]), "status": "completed"}
        else:
            continue
        items.append(item)
        pieces.append(words)
    counts = st.integers(0, 10**6)
    usage = {
        "input_tokens": draw(counts),
        "input_tokens_details": {"cached_tokens": draw(counts)},
        "output_tokens": draw(counts),
        "output_tokens_details": {"reasoning_tokens": draw(counts)},
        "total_tokens": draw(counts),
    }
    return Answer(items, pieces, draw(st.sampled_from(["completed", "completed", "incomplete"])), usage)
