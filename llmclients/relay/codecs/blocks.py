"""`BlockEncoder`: a streamed answer as one content block after another, for the wires that have such blocks.

Chunks come as the upstream sends them: reasoning, text and the pieces of several tool calls, in any order, and mixed.
The wires of Anthropic Messages and OpenAI Responses want one block after another: each has a start, deltas, and an end,
and only one is open at any time. What a subclass writes for each of these is its wire's; when, is decided here:

- Reasoning or text of another type than the open block's ends that block, and starts one.
- A call starts as soon as its id and its name are known (`PendingCall` keeps what comes before), and if no other call
  is open, or the open one is whole: its arguments so far are complete JSON.
- If the open call is not whole, the upstream sends several calls at once, their pieces mixed (`_mixed`). From then on
  no further call starts until the answer ends, as nothing tells earlier whether one is whole. The open one goes on at
  once.
- A piece for a call whose block has ended is an error: the wire cannot open a block again.

`feed` and `finish` are called by one task, `finish` once, last. After an error nothing more is called but `fail`.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from llmclients.errors import APIResponseError
from llmclients.relay.codecs.base import ReplyMeta
from llmclients.types.choice import weightier_reason
from llmclients.types.response import Chunk, FinishReason, TokenLogprob, ToolCallDelta, Usage

__all__ = ["Block", "BlockEncoder", "BlockType", "PendingCall"]

BlockType = Literal["reasoning", "text", "call", "opaque"]
"""`opaque`: what only the wire's own server has, passed on as it is."""


@dataclass(slots=True)
class Block:
    """One block.

    Attributes:
        type: what is in it.
        index: its place in the answer, from 0.
        call_id: of a call, the id that its result refers to.
        name: of a call, the function's.
        item_id: the id of the block itself, where the wire has one.
        pieces: what has come of it; of a call, of its arguments.
        logprobs: of the text's tokens.
    """

    type: BlockType
    index: int
    call_id: str = ""
    name: str = ""
    item_id: str = ""
    pieces: list[str] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(slots=True)
class PendingCall:
    """What has come of a call that has not begun on the wire: that wants its id and its name first."""

    index: int
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    provider_data: dict[str, Any] | None = None

    def add(self, delta: ToolCallDelta) -> bool:
        """Add the next piece. Whether the call can begin."""
        self.provider_data = delta.provider_data or self.provider_data
        self.id = self.id or delta.id or ""
        self.name = self.name or delta.name or ""
        self.pieces.append(delta.arguments)
        return bool(self.id and self.name)

    def whole(self) -> ToolCallDelta:
        """All of it, as one delta. A call that has never got an id gets one here."""
        return ToolCallDelta(
            index=self.index,
            id=self.id or f"call_{self.index}",
            name=self.name,
            arguments="".join(self.pieces),
            provider_data=self.provider_data,
        )


class BlockEncoder(ABC):
    """Puts what chunks bring into blocks, of which one is open at a time.

    Attributes:
        meta: what the reply has besides the answer.
        model: the model that answers, as far as it is known.
        finish_reason: the weightiest one that a chunk had.
        usage: the last token counts that a chunk had.
        provider_data: the last that a chunk had.
        blocks: all that have begun.
    """

    def __init__(self, meta: ReplyMeta) -> None:
        self.meta = meta
        self.model = meta.model
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        self.provider_data: dict[str, Any] = {}
        self.blocks: list[Block] = []
        self._begun = False
        self._open: Block | None = None
        self._open_call: int | None = None
        self._ended_calls: set[int] = set()
        self._pending_calls: dict[int, PendingCall] = {}
        self._mixed = False

    # --- what the wire writes -----------------------------------------------------------------------------------------

    @abstractmethod
    def head(self) -> bytes:
        """What comes before the first block."""

    @abstractmethod
    def begin(self, block: Block, chunk: Chunk | None) -> bytes:
        """A block begins; `chunk` is what begins it."""

    @abstractmethod
    def piece(self, block: Block, text: str, logprobs: Sequence[TokenLogprob]) -> bytes:
        """More of the open block."""

    @abstractmethod
    def end(self, block: Block, *, cut: bool) -> bytes:
        """A block ends. `cut`: because the answer does, before it was whole."""

    @abstractmethod
    def tail(self) -> bytes:
        """What comes after the last block."""

    def before(self, chunk: Chunk) -> bytes:
        """What comes before a chunk's text, reasoning and calls.

        Called where the chunk has the upstream's own event, of whatever wire: its `raw` is a dict. If that wire is this
        one, what the library has no fields for can pass on.
        """
        return b""

    def after(self, chunk: Chunk) -> bytes:
        """What comes after them. Called like `before`."""
        return b""

    # --- chunks in ----------------------------------------------------------------------------------------------------

    def feed(self, chunk: Chunk) -> bytes:
        self.finish_reason = weightier_reason(self.finish_reason, chunk.finish_reason)
        self.usage = chunk.usage or self.usage
        data = b""
        if not self._begun:
            self.model = chunk.model or self.model
            self._begun = True
            data = self.head()
        if chunk.provider_data is not None:
            self.provider_data = chunk.provider_data
        if has_event := type(chunk.raw) is dict:
            data += self.before(chunk)
        if chunk.reasoning:
            data += self._add("reasoning", chunk.reasoning, (), chunk)
        if chunk.text:
            data += self._add("text", chunk.text, chunk.logprobs, chunk)
        if chunk.tool_calls:
            data += b"".join([self._add_call(delta, chunk) for delta in chunk.tool_calls])
        return data + self.after(chunk) if has_event else data

    def finish(self) -> bytes:
        events = [] if self._begun else [self.head()]
        cut = self.finish_reason in ("length", "content_filter", "error")
        events.append(self.close(cut=cut and not self._pending_calls))
        for index in list(self._pending_calls):
            events.append(self._begin_call(index, None))
            events.append(self.close(cut=cut and not self._pending_calls))
        events.append(self.tail())
        return b"".join(events)

    def open(self, type_: BlockType, chunk: Chunk | None, call_id: str = "", name: str = "") -> bytes:
        """Begin a block, after ending the open one."""
        data = self.close()
        self._open = Block(type_, len(self.blocks), call_id, name)
        self.blocks.append(self._open)
        return data + self.begin(self._open, chunk)

    def close(self, *, cut: bool = False) -> bytes:
        """End the open block, if there is one."""
        block, self._open = self._open, None
        if self._open_call is not None:
            self._ended_calls.add(self._open_call)
            self._open_call = None
        return b"" if block is None else self.end(block, cut=cut)

    def is_open(self, type_: BlockType) -> bool:
        """Whether the open block is of this type."""
        return self._open is not None and self._open.type == type_

    def _add(self, type_: BlockType, text: str, logprobs: Sequence[TokenLogprob], chunk: Chunk | None) -> bytes:
        """More of a block of this type."""
        data = b"" if self.is_open(type_) else self.open(type_, chunk)
        assert self._open is not None
        self._open.pieces.append(text)
        self._open.logprobs.extend(logprobs)
        return data + self.piece(self._open, text, logprobs)

    def _add_call(self, delta: ToolCallDelta, chunk: Chunk) -> bytes:
        """More of a call."""
        if delta.index == self._open_call:
            return self._add("call", delta.arguments, (), chunk) if delta.arguments else b""
        if delta.index in self._ended_calls:
            if delta.arguments:
                raise APIResponseError("a call goes on after its end in the upstream answer")
            return b""
        can_begin = self._pending_calls.setdefault(delta.index, PendingCall(delta.index)).add(delta)
        if self._mixed or not can_begin:
            return b""
        if self._open_call is not None and not self._is_whole():
            self._mixed = True
            return b""
        return self._begin_call(delta.index, chunk)

    def _begin_call(self, index: int, chunk: Chunk | None) -> bytes:
        call = self._pending_calls.pop(index).whole()
        data = self.open("call", chunk, call.id or "", call.name or "")
        self._open_call = index
        return data + self._add("call", call.arguments, (), chunk) if call.arguments else data

    def _is_whole(self) -> bool:
        """Whether the arguments of the open call are complete."""
        assert self._open is not None
        try:
            json.loads(self._open.text)
        except (ValueError, RecursionError):
            return False
        return True
