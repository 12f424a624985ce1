"""The content blocks of one Anthropic answer, whole or put together from deltas, and the answer's token counts."""

# Theory of operation.
#
# An answer is a list of content blocks: text, thinking, calls of tools, and types yet to come. A whole reply has them
# complete. A stream has each one thrice: it starts (`content_block_start`: its index, and the block, nearly always with
# nothing in it), it gets deltas, it stops. Both ways end here: a block of a whole reply is one that gets no deltas. So
# every block has an `_entry`, what it started with, and `_added`, the texts of its deltas.
#
# Two things are made of the blocks:
#
# 1. The chunks' text, reasoning and tool calls. `reply.py` makes them, delta by delta. What it asks here is to which
#    call a delta belongs, and what a block started with.
# 2. `provider_data`: the whole content as the provider sent it, for the next turn. It is made once, with the finish
#    reason, and only if some block is opaque, that is, if text and calls written anew would lose something: signed
#    thinking, or a tool that runs at the provider. The order of the blocks and the borders between them are known
#    only here, and the one opaque block may be the last: that is why each block keeps the text of its deltas, although
#    the accumulator of the call has the same text and the same arguments.
#
# What always holds:
#
# - An index stands for the block that last started with it; without one, the last block is meant. A delta of a block
#   that never started is an error. A call that starts again with its index and id is the same block, told twice.
# - `call_index` counts the calls of the caller's tools only, in the order in which they start. It never changes.
# - The input of a call that starts is a place-holder, `{}`. Its deltas are the JSON text that takes its place; what of
#   it they tell twice is told once (`CallArguments`). Some servers send the input with the start, and no delta: then
#   `end` hands it out, once.
# - A call of `JSON_TOOL` is no call for the caller: its input is the answer's text.
# - Text and thinking go on after what they started with: their deltas are added to it.
# - Thinking is signed by its last delta. Unsigned, it was cut off, and the provider would reject it: it stays out.
# - `provider_data` is all or nothing. Where a piece cannot be placed (an unknown delta) or read (an input that was
#   cut off), there is none: half of a content is rejected, or worse, accepted.
#
# A `Blocks` belongs to one decoder, and so to one answer. Nothing here is locked: one thread at a time.

from __future__ import annotations

import json
from typing import Any

from pydantic_core import from_json

from llmclients.codecs.anthropic.names import CODEC_NAME, JSON_TOOL
from llmclients.codecs.call_arguments import CallArguments
from llmclients.codecs.json_fields import get_int, get_object, get_optional_str, get_str, unexpected_type
from llmclients.errors import APIResponseError
from llmclients.types.halves import joined
from llmclients.types.limits import check_call_count
from llmclients.types.response import OtherPart, Usage, make_usage

__all__ = ["Block", "Blocks", "TokenCounts"]

_CONTENT = {"text": "text", "thinking": "thinking", "tool_use": "input", "server_tool_use": "input"}
"""The member of each type of block that deltas add to."""

_NO_CONTENT = frozenset(
    {
        *("text", "thinking", "redacted_thinking"),
        *("tool_use", "server_tool_use", "mcp_tool_use", "mcp_tool_listing", "compaction", "fallback"),
    }
)
"""The types of block that are read, or tell how the answer came about. Any other is a part of the answer."""
_CALL_MEMBERS = frozenset({"type", "id", "name", "input", "index"})

_MAX_PIECES = 4096
"""Until they are joined: a long answer takes the memory of its text, not that of its pieces."""


class Block:
    """One content block.

    Args:
        entry: the block as the wire has it.
        call_index: the index that it has if it is a call.

    Attributes:
        type: its type, in the provider's words.
        is_call: whether it calls a tool of the caller's.
        is_answer: whether it calls the tool whose input is the answer.
        call_index: which call it is, from 0.
        id: the call's id; "" if it is none.
        name: the called tool's; "" if it is none.

    Raises:
        APIResponseError: `entry` is no block.
    """

    def __init__(self, entry: Any, call_index: int) -> None:
        if type(entry) is not dict:
            raise unexpected_type("a content block", entry)
        block_type = entry.get("type")
        if type(block_type) is not str:
            raise unexpected_type("a content block's type", block_type)
        self.type = block_type
        self.is_answer = block_type == "tool_use" and entry.get("name") == JSON_TOOL
        self.is_call = block_type == "tool_use" and not self.is_answer
        self.call_index = call_index
        self.id = get_optional_str(entry, "id") or f"llmclients_{call_index}" if self.is_call else ""
        self.name = get_str(entry, "name") if self.is_call else ""
        self._entry = entry
        self._added: list[str] = []
        self._arguments = CallArguments() if self.is_call else None
        self._citations: list[Any] | None = None
        self._ended = False

    # --- what it started with: in a whole reply, all of it ----------------------------------------------------------

    @property
    def initial_text(self) -> str:
        """What it adds to the answer's text."""
        if self.is_answer:
            return self.initial_input or "{}"
        return get_str(self._entry, "text") if self.type == "text" else ""

    @property
    def initial_thinking(self) -> str:
        """What it adds to the reasoning."""
        return get_optional_str(self._entry, "thinking") or "" if self.type == "thinking" else ""

    @property
    def other_parts(self) -> tuple[OtherPart, ...]:
        """The block itself, if it is neither text nor reasoning nor a step of some tool."""
        if self.type in _NO_CONTENT or self.type.endswith("_tool_result"):
            return ()
        return (OtherPart(kind=self.type, raw=self._entry),)

    @property
    def initial_input(self) -> str:
        """The input of a call, as JSON text; "" for an empty one, which may be a place-holder."""
        value = self._entry.get("input")
        if not value:
            return ""
        if type(value) is str:
            return value
        if type(value) is not dict:
            raise unexpected_type("a tool call's input", value)
        return json.dumps(value, ensure_ascii=False)

    # --- its deltas -------------------------------------------------------------------------------------------------

    def add_input(self, piece: str) -> str:
        """What a delta adds to the input: the piece, as far as it is new.

        Raises:
            APIResponseError: it does not go together with what came before.
        """
        new = piece if self._arguments is None else self._arguments.add(piece)
        if new is None:
            raise APIResponseError(f"the input of a call of {self.name} comes twice, and is not the same")
        self.add(new)
        return new

    def add(self, text: str) -> None:
        """What a delta adds to the text, the thinking or the input."""
        self._added.append(text)
        if len(self._added) == _MAX_PIECES:
            self._added[:] = ["".join(self._added)]

    def sign(self, signature: str) -> None:
        """The signature of the thinking has come."""
        self._entry = self._entry | {"signature": signature}

    def cite(self, citation: Any) -> None:
        """One more citation of the text has come."""
        if self._citations is None:
            before = self._entry.get("citations")
            self._citations = list(before) if type(before) is list else []
            self._entry = self._entry | {"citations": self._citations}
        self._citations.append(citation)

    def end(self) -> str:
        """The block is complete. Returns what a call started with, if no delta took its place; "" the second time.

        Raises:
            APIResponseError: its input began again, and that did not end.
        """
        if self._ended or self.type != "tool_use":
            return ""
        self._ended = True
        held = "" if self._arguments is None else self._arguments.end()
        if not any(self._added) and not held:
            return self.initial_text if self.is_answer else self.initial_input
        self.add(held)
        return held

    # --- going back -------------------------------------------------------------------------------------------------

    @property
    def is_unsigned(self) -> bool:
        """Whether it is thinking that was cut off before its signature: the provider would reject it."""
        return self.type == "thinking" and not self._entry.get("signature")

    @property
    def is_opaque(self) -> bool:
        """Whether the provider wants it back as it is: text and calls can be written anew, and so can open thinking.

        But not a call with members that are not known here: they go back as they came.
        """
        if self.type == "tool_use":
            return any(value is not None for name, value in self._entry.items() if name not in _CALL_MEMBERS)
        return self.type != "text" and not self.is_unsigned

    def whole(self) -> dict[str, Any]:
        """The block as a whole reply would have it.

        Raises:
            ValueError: its deltas make no input, or add to nothing that is known.
        """
        added = joined("".join(self._added))
        if not added:
            return dict(self._entry)
        member = _CONTENT.get(self.type) or ("input" if "input" in self._entry else None)
        if member is None:
            raise ValueError("a delta of an unknown member")
        if member == "input":
            value = from_json(added)
            if type(value) is not dict:
                raise ValueError("not an object")
            return self._entry | {member: value}
        return self._entry | {member: (get_optional_str(self._entry, member) or "") + added}


class Blocks:
    """The content blocks of one answer, by their index."""

    def __init__(self) -> None:
        self._by_index: dict[Any, Block] = {}
        self._started: list[tuple[int, Block]] = []
        self._calls = 0
        self._is_whole = True

    def start(self, index: Any, entry: Any) -> Block | None:
        """A new block; None for one that has started already.

        Raises:
            APIResponseError: it is none.
        """
        if index is None:
            index = len(self._started)
        if type(index) is not int:
            raise unexpected_type("a content block's index", index)
        before = self._by_index.get(index)
        block = Block(entry, self._calls)
        if before is not None and block.is_call and block.id and (before.id, before.name) == (block.id, block.name):
            return None
        self._by_index[index] = block
        self._started.append((index, block))
        self._calls += block.is_call
        check_call_count(self._calls)
        return block

    def at(self, index: Any) -> Block:
        """The block that has started with this index.

        Raises:
            APIResponseError: none has.
        """
        try:
            return self._by_index[index] if index is not None or not self._started else self._started[-1][1]
        except (KeyError, TypeError):
            raise APIResponseError(f"a delta of content block {index!r}, which never started") from None

    def amend(self, block: Block, delta: dict[str, Any]) -> None:
        """A delta of a block that adds no text to it."""
        delta_type = delta.get("type")
        if delta_type == "signature_delta":
            block.sign(get_optional_str(delta, "signature") or "")
        elif delta_type == "citations_delta":
            block.cite(delta.get("citation"))
        else:  # of a type yet unknown: what it belongs to cannot be sent back whole
            self._is_whole = False

    @property
    def has_calls(self) -> bool:
        """Whether there are calls of the caller's tools."""
        return self._calls > 0

    @property
    def has_answer(self) -> bool:
        """Whether the answer came as a tool's input."""
        return any(block.is_answer for _, block in self._started)

    def provider_data(self) -> dict[str, Any] | None:
        """The whole content, if there is something in it that the provider wants back, and nothing of it is lost."""
        is_wanted = not self.has_answer and any(block.is_opaque for _, block in self._started)
        if not is_wanted or not self._is_whole:
            return None
        try:
            blocks = self._started
            if len(self._by_index) == len(blocks):  # no index was used twice: they tell the order
                blocks = sorted(blocks, key=lambda started: started[0])
            whole = [block.whole() for _, block in blocks if not block.is_unsigned]
        except ValueError:  # an input that was cut off
            return None
        return {CODEC_NAME: whole}


class TokenCounts:
    """The token counts of one answer. Each is a total: a newer one replaces an older one, and one left out stays."""

    def __init__(self) -> None:
        self._counts: dict[str, Any] = {}

    def take(self, usage: Any) -> Usage | None:
        """What they come to with these; None where there are none at all."""
        if type(usage) is dict:
            self._counts.update((name, value) for name, value in usage.items() if value is not None)
        counts = self._counts
        if not counts:
            return None
        uncached, output_tokens = get_int(counts, "input_tokens"), get_int(counts, "output_tokens")
        cached, written = get_int(counts, "cache_read_input_tokens"), get_int(counts, "cache_creation_input_tokens")
        details = get_object(counts, "output_tokens_details")
        input_tokens = None if uncached is None else uncached + (cached or 0) + (written or 0)
        return make_usage(
            input_tokens,
            output_tokens,
            None if input_tokens is None or output_tokens is None else input_tokens + output_tokens,
            get_int(details, "thinking_tokens"),
            cached,
            written,
        )
