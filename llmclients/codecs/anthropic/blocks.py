"""Anthropic Messages in: an answer's content blocks, whole or put together from deltas, and its token counts."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

from llmclients.codecs.anthropic.request import JSON_TOOL
from llmclients.codecs.json_fields import get_int, get_list, get_str, unexpected_type
from llmclients.errors import APIResponseError
from llmclients.types.response import Usage

__all__ = ["Block", "Blocks", "TokenCounts"]

_CONTENT = {"text": "text", "thinking": "thinking", "tool_use": "input", "server_tool_use": "input"}
"""The member of each type of block that deltas add to."""

_MOST_PIECES = 4096
"""Until they are joined: a long answer takes the memory of its text, not that of its pieces."""


class Block:
    """One content block.

    Attributes:
        kind: its type.
        is_call: whether it calls a tool of the caller's.
        is_answer: whether it calls the tool whose input is the answer.
        call_index: which call it is, from 0.
    """

    def __init__(self, entry: Any, calls_before: int) -> None:
        if type(entry) is not dict:
            raise unexpected_type("a content block", entry)
        kind = entry.get("type")
        if type(kind) is not str:
            raise unexpected_type("a content block's type", kind)
        self.kind = kind
        self.is_answer = kind == "tool_use" and entry.get("name") == JSON_TOOL
        self.is_call = kind == "tool_use" and not self.is_answer
        self.call_index = calls_before
        self.id = get_str(entry, "id") if self.is_call else ""
        self.name = get_str(entry, "name") if self.is_call else ""
        self._entry = entry
        self._added: list[str] = []
        self._ended = False

    def add(self, text: str) -> None:
        """What a delta adds to the text, the thinking or the input."""
        self._added.append(text)
        if len(self._added) == _MOST_PIECES:
            self._added[:] = ["".join(self._added)]

    @property
    def thinking(self) -> str:
        """The thinking that a block starts with."""
        return get_str(self._entry, "thinking") if self.kind == "thinking" else ""

    def whole_text(self) -> str:
        """What a block that has come whole adds to the answer's text."""
        if self.is_answer:
            return self.whole_input() or "{}"
        return get_str(self._entry, "text") if self.kind == "text" else ""

    def whole_input(self) -> str:
        """The input that came with the start, as JSON text; "" for an empty one."""
        value = self._entry.get("input")
        if not value:
            return ""
        if type(value) is str:
            return value
        if type(value) is not dict:
            raise unexpected_type("a tool call's input", value)
        return json.dumps(value, ensure_ascii=False)

    def end(self) -> str:
        """No more deltas come. Returns what a call, or the answer's own, started with, if no delta brought more."""
        if self._ended or any(self._added) or self.kind != "tool_use":
            return ""
        self._ended = True
        return self.whole_text() if self.is_answer else self.whole_input()

    def set(self, **members: Any) -> None:
        self._entry = self._entry | members

    def cite(self, citation: Any) -> None:
        self.set(citations=[*get_list(self._entry, "citations"), citation])

    @property
    def opaque(self) -> bool:
        """Whether the provider wants it back as it is: text and calls can be written anew, and so can open thinking."""
        return self.kind not in ("text", "tool_use") and not self.is_unsigned

    @property
    def is_unsigned(self) -> bool:
        """Whether it is thinking that was cut off before its signature: the provider would refuse it."""
        return self.kind == "thinking" and not self._entry.get("signature")

    def whole(self) -> dict[str, Any]:
        """The block as the wire would have it in a whole reply. Raises ValueError where its input is no object."""
        added = "".join(self._added)
        if not added:
            return dict(self._entry)
        member = _CONTENT.get(self.kind) or ("input" if "input" in self._entry else None)
        if member is None:
            raise ValueError("pieces of nobody knows what")
        if member == "input":
            value = from_json(added)
            if type(value) is not dict:
                raise ValueError("not an object")
            return self._entry | {member: value}
        return self._entry | {member: get_str(self._entry, member) + added}


class Blocks:
    """The content blocks of one answer, by their index."""

    def __init__(self) -> None:
        self._by_index: dict[Any, Block] = {}
        self._calls = 0
        self._whole = True

    def start(self, index: Any, entry: Any) -> Block:
        """A new block.

        Raises:
            APIResponseError: it is none.
        """
        if type(index) is not int:
            raise unexpected_type("a content block's index", index)
        block = self._by_index[index] = Block(entry, self._calls)
        self._calls += block.is_call
        return block

    def at(self, index: Any) -> Block:
        """The block that has started with this index.

        Raises:
            APIResponseError: none has.
        """
        try:
            return self._by_index[index]
        except (KeyError, TypeError):
            raise APIResponseError(f"a delta of content block {index!r}, which never started") from None

    def amend(self, block: Block, delta: dict[str, Any]) -> None:
        """A delta that adds no text."""
        kind = delta.get("type")
        if kind == "signature_delta":
            block.set(signature=get_str(delta, "signature"))
        elif kind == "citations_delta":
            block.cite(delta.get("citation"))
        else:  # of a kind yet unknown: what it belongs to cannot be sent back whole
            self._whole = False

    @property
    def answered(self) -> bool:
        """Whether the answer came as a tool's input."""
        return any(block.is_answer for block in self._by_index.values())

    @property
    def opaque(self) -> bool:
        """Whether there is something that the provider wants back as it is."""
        return not self.answered and any(block.opaque for block in self._by_index.values())

    def provider_data(self) -> list[dict[str, Any]] | None:
        """The whole content, if there is something in it that the provider wants back, and nothing of it is lost."""
        if not self.opaque or not self._whole:
            return None
        try:
            return [block.whole() for _, block in sorted(self._by_index.items()) if not block.is_unsigned]
        except ValueError:  # an input that was cut off
            return None


class TokenCounts:
    """The token counts of one answer. Each is a total: a newer one replaces an older one, and one left out stays."""

    def __init__(self) -> None:
        self._counts: dict[str, Any] = {}

    def take(self, usage: Any) -> Usage | None:
        """What they come to with these; None where there are none at all."""
        if usage is not None:
            if type(usage) is not dict:
                raise unexpected_type("usage", usage)
            self._counts.update((name, value) for name, value in usage.items() if value is not None)
        if not self._counts:
            return None
        fresh, output = get_int(self._counts, "input_tokens"), get_int(self._counts, "output_tokens")
        cached, written = (
            get_int(self._counts, "cache_read_input_tokens"),
            get_int(self._counts, "cache_creation_input_tokens"),
        )
        details = self._counts.get("output_tokens_details")
        read = None if fresh is None else fresh + (cached or 0) + (written or 0)
        return Usage(
            input_tokens=read,
            output_tokens=output,
            total_tokens=None if read is None or output is None else read + output,
            reasoning_tokens=get_int(details, "thinking_tokens") if isinstance(details, dict) else None,
            cached_tokens=cached,
        )
