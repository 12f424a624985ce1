"""A streamed answer as one block after another: reasoning, text, calls. For the wires that have such blocks."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from llmclients.errors import APIResponseError
from llmclients.relay.codecs.base import Stamp
from llmclients.types.response import Chunk, FinishReason, TokenLogprob, ToolCallDelta, Usage

__all__ = ["Block", "BlockEncoder", "CallBeginning", "Kind"]

Kind = Literal["reasoning", "text", "call", "opaque"]
"""`opaque`: what only the wire's own server has, passed on as it is."""


@dataclass(slots=True)
class Block:
    """One block.

    Attributes:
        index: its place in the answer.
        call_id: of a call, the id that its result refers to.
        name: of a call, the function's.
        item_id: the id of the block itself, where the wire has one.
        pieces: what has come of it; of a call, of its arguments.
        logprobs: of the text's tokens.
    """

    kind: Kind
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
class CallBeginning:
    """What has come of a call that has not begun on the wire: that wants its id and its name first."""

    index: int
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)

    def take(self, delta: ToolCallDelta) -> bool:
        """Take the next piece. Whether the call can begin."""
        self.id = self.id or delta.id or ""
        self.name = self.name or delta.name or ""
        self.pieces.append(delta.arguments)
        return bool(self.id and self.name)

    def whole(self) -> ToolCallDelta:
        """All of it, as one piece."""
        return ToolCallDelta(
            index=self.index, id=self.id or f"call_{self.index}", name=self.name, arguments="".join(self.pieces)
        )


class BlockEncoder(ABC):
    """Puts what chunks bring into blocks, of which one is open at a time.

    Providers may send several calls at once, their pieces mixed. Then the later ones wait for the end of the answer, as
    nothing tells earlier whether one is whole.
    """

    def __init__(self, stamp: Stamp) -> None:
        self.stamp = stamp
        self.model = stamp.model
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        self.provider_data: dict[str, Any] = {}
        self.blocks: list[Block] = []
        self._begun = False
        self._open: Block | None = None
        self._open_call: int | None = None
        self._ended_calls: set[int] = set()
        self._waiting: dict[int, CallBeginning] = {}
        self._mixed = False

    # --- what the wire says -----------------------------------------------------------------------------------------

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
        """What to say before a chunk's text, reasoning and calls, where the backing provider speaks this wire, too.

        Its own event is in `raw`.
        """
        return b""

    def after(self, chunk: Chunk) -> bytes:
        """What to say after them."""
        return b""

    # --- chunks in ----------------------------------------------------------------------------------------------------

    def feed(self, chunk: Chunk) -> bytes:
        self.finish_reason = chunk.finish_reason or self.finish_reason
        self.usage = chunk.usage or self.usage
        data = b""
        if not self._begun:
            self.model = chunk.model or self.model
            self._begun = True
            data = self.head()
        if chunk.provider_data is not None:
            self.provider_data = chunk.provider_data
        if own := type(chunk.raw) is dict:
            data += self.before(chunk)
        if chunk.reasoning:
            data += self._say("reasoning", chunk.reasoning, (), chunk)
        if chunk.text:
            data += self._say("text", chunk.text, chunk.logprobs, chunk)
        for delta in chunk.tool_calls:
            data += self._call(delta, chunk)
        return data + self.after(chunk) if own else data

    def finish(self) -> bytes:
        data = b"" if self._begun else self.head()
        cut = self.finish_reason in ("length", "content_filter", "error")
        data += self.close(cut=cut and not self._waiting)
        for index in list(self._waiting):
            data += self._begin_call(index, None)
            data += self.close(cut=cut and not self._waiting)
        return data + self.tail()

    def open(self, kind: Kind, chunk: Chunk | None, call_id: str = "", name: str = "") -> bytes:
        """Begin a block, after ending the open one."""
        data = self.close()
        self._open = Block(kind, len(self.blocks), call_id, name)
        self.blocks.append(self._open)
        return data + self.begin(self._open, chunk)

    def close(self, *, cut: bool = False) -> bytes:
        """End the open block, if there is one."""
        block, self._open = self._open, None
        if self._open_call is not None:
            self._ended_calls.add(self._open_call)
            self._open_call = None
        return b"" if block is None else self.end(block, cut=cut)

    def is_open(self, kind: Kind) -> bool:
        return self._open is not None and self._open.kind == kind

    def _say(self, kind: Kind, text: str, logprobs: Sequence[TokenLogprob], chunk: Chunk | None) -> bytes:
        """More of a block of this kind."""
        data = b"" if self.is_open(kind) else self.open(kind, chunk)
        assert self._open is not None
        self._open.pieces.append(text)
        self._open.logprobs.extend(logprobs)
        return data + self.piece(self._open, text, logprobs)

    def _call(self, delta: ToolCallDelta, chunk: Chunk) -> bytes:
        """More of a call."""
        if delta.index == self._open_call:
            return self._say("call", delta.arguments, (), chunk) if delta.arguments else b""
        if delta.index in self._ended_calls:
            if delta.arguments:
                raise APIResponseError("a call goes on after its end in the backing answer")
            return b""
        known = self._waiting.setdefault(delta.index, CallBeginning(delta.index)).take(delta)
        if self._mixed or not known:
            return b""
        if self._open_call is not None and not self._is_whole():
            self._mixed = True
            return b""
        return self._begin_call(delta.index, chunk)

    def _begin_call(self, index: int, chunk: Chunk | None) -> bytes:
        call = self._waiting.pop(index).whole()
        data = self.open("call", chunk, call.id or "", call.name or "")
        self._open_call = index
        return data + self._say("call", call.arguments, (), chunk) if call.arguments else data

    def _is_whole(self) -> bool:
        """Whether the arguments of the open call are complete."""
        assert self._open is not None
        try:
            json.loads(self._open.text)
        except (ValueError, RecursionError):
            return False
        return True
