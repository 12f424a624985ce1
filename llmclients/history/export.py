"""A conversation as something else: messages to send, JSON Lines, Markdown."""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from llmclients.history.media import Blob, load_part
from llmclients.history.records import StoredConversation, StoredTurn
from llmclients.types.messages import Message, ToolCall

__all__ = ["as_jsonl", "as_markdown", "as_sent"]


class _Source(Protocol):
    def all_turns(self, conversation: StoredConversation) -> list[StoredTurn]: ...
    def blob(self, name: str) -> Blob: ...


def as_sent(system: str | None, turns: Sequence[StoredTurn], blob: Callable[[str], Blob]) -> list[Message]:
    """The turns of a branch as messages that a provider takes."""
    answered = {turn.tool_call_id for turn in turns}
    found = [] if not system else [Message("system", system)]
    for turn in turns:
        content: Any = [load_part(part, blob) for part in turn.parts] or turn.text
        if turn.role != "assistant":
            fields = {"name": turn.name, "tool_call_id": turn.tool_call_id, "is_error": turn.is_error}
            found.append(Message(turn.role, content, **fields))  # type: ignore[arg-type]
            continue
        calls = [ToolCall(**call) for call in turn.tool_calls if call["id"] in answered]
        is_whole = turn.state == "complete" and len(calls) == len(turn.tool_calls)
        if turn.text or calls or (turn.state == "complete" and not turn.tool_calls):
            found.append(
                Message(
                    "assistant",
                    content if content or not calls else None,
                    tool_calls=calls or None,
                    reasoning=turn.reasoning,
                    provider_data=dict(turn.provider_data) if is_whole and turn.provider_data else None,
                )
            )
    return found


def as_jsonl(source: _Source, conversations: Iterable[StoredConversation]) -> Iterator[str]:
    """A line for each conversation, and after it one for each of its turns."""
    for conversation in conversations:
        yield _line({"type": "conversation", **conversation.to_dict()})
        for turn in source.all_turns(conversation):
            fields = turn.to_dict()
            fields.pop("siblings", None)
            if turn.parts:
                fields["parts"] = [_with_data(part, source) for part in turn.parts]
            yield _line({"type": "turn", **fields})


def _with_data(part: Any, source: _Source) -> dict[str, Any]:
    if "blob" not in part:
        return dict(part)
    return {**part, "data": base64.b64encode(source.blob(part["blob"]).data).decode()}


def _line(fields: dict[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False)


def as_markdown(conversation: StoredConversation, turns: Iterable[StoredTurn]) -> str:
    """A page with a heading for each turn."""
    about = [time.strftime("%Y-%m-%d %H:%M", time.localtime(conversation.created))]
    about += filter(None, (conversation.provider, conversation.model))
    blocks = [f"# {conversation.title or 'Untitled'}", " · ".join(about)]
    if conversation.system:
        blocks += ["## System", conversation.system]
    for turn in turns:
        blocks += [f"## {_heading(turn)}", *_body(turn)]
    return "\n\n".join(blocks) + "\n"


def _heading(turn: StoredTurn) -> str:
    author = " ".join(filter(None, (turn.role.capitalize(), turn.name)))
    return f"{author} ({turn.model or turn.provider})" if turn.model or turn.provider else author


def _body(turn: StoredTurn) -> Iterator[str]:
    if turn.reasoning:
        yield "\n".join(f"> {line}".rstrip() for line in turn.reasoning.splitlines())
    if turn.text:
        yield _fenced(turn.text, "") if turn.role == "tool" else turn.text
    for part in turn.parts:
        if part["type"] != "text":
            size = f", {part['bytes']} bytes" if "bytes" in part else ""
            shown = part.get("url") or part.get("name") or f"{part.get('media_type')}{size}"
            yield f"*{part['type']}: {shown}*"
    for call in turn.tool_calls:
        yield f"Calls `{call['name']}`:"
        yield _fenced(call["arguments"], "json")
    if turn.error is not None:
        yield f"*Broke off: {turn.error.kind}: {turn.error.message}*"


def _fenced(text: str, language: str) -> str:
    """The text between fences that are longer than any in it."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
