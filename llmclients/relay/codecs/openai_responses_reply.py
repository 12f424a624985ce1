"""The Responses API from the server's side: answers and streams out (PROTOCOLS 10.2 to 10.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from llmclients.relay.codecs.base import Stamp, dump
from llmclients.relay.codecs.blocks import Block, BlockEncoder
from llmclients.relay.codecs.openai_chat import error_payload
from llmclients.relay.errors import Failure
from llmclients.types.response import ChatResponse, Chunk, FinishReason, TokenLogprob, Usage

__all__ = ["ECHO", "ResponseEncoder", "is_opaque", "reply_body"]

ECHO = "openai-responses"
"""Under this name a message's `provider_data` has its items as this wire has them."""

_WHY_INCOMPLETE: dict[FinishReason | None, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
_PREFIXES = {"reasoning": "rs", "text": "msg", "call": "fc"}


# --- a whole answer -------------------------------------------------------------------------------------------------


def reply_body(response: ChatResponse, stamp: Stamp) -> bytes:
    """A whole answer."""
    blocks: list[Block] = []
    if response.reasoning:
        blocks.append(Block("reasoning", 0, pieces=[response.reasoning]))
    if response.text:
        blocks.append(Block("text", 0, pieces=[response.text], logprobs=response.logprobs or []))
    blocks += [
        Block("call", 0, call_id=call.id, name=call.name, pieces=[call.arguments_text]) for call in response.tool_calls
    ]
    for index, block in enumerate(blocks):
        block.item_id = _item_id(stamp, block, index)
    status = _status(response.finish_reason)
    echoed = (response.provider_data or {}).get(ECHO)
    output = echoed if is_opaque(echoed) else _items(blocks, status)
    return dump(_response(stamp, response.model or stamp.model, response.finish_reason, output, response.usage))


def is_opaque(items: Any) -> TypeGuard[list[dict[str, Any]]]:
    """Whether the wire's own server wants these items back as they are, and can read them.

    Reasoning that is not encrypted is a mere reference to what it has kept, or another provider's.
    """
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return False
    reasoning = [item for item in items if item.get("type") == "reasoning"]
    if not all(item.get("encrypted_content") for item in reasoning):
        return False
    return bool(reasoning) or any(item.get("phase") is not None for item in items)


def _status(reason: FinishReason | None) -> str:
    if reason == "error":
        return "failed"
    return "incomplete" if reason in _WHY_INCOMPLETE else "completed"


def _response(
    stamp: Stamp, model: str, reason: FinishReason | None, output: list[Any], usage: Usage | None
) -> dict[str, Any]:
    """The object for an answer that has ended."""
    status = _status(reason)
    details = {"reason": _WHY_INCOMPLETE[reason]} if status == "incomplete" else None
    error = {"code": "server_error", "message": "the backing answer ended in an error"} if status == "failed" else None
    return _head(stamp, model, status) | {
        "error": error,
        "incomplete_details": details,
        "output": output,
        "usage": None if usage is None else usage_payload(usage),
    }


def _head(stamp: Stamp, model: str, status: str) -> dict[str, Any]:
    asked: Mapping[str, Any] = stamp.repeated
    return {
        "id": stamp.id,
        "object": "response",
        "created_at": stamp.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": asked.get("instructions"),
        "max_output_tokens": asked.get("max_output_tokens"),
        "metadata": asked.get("metadata", {}),
        "model": model,
        "output": [],
        "parallel_tool_calls": asked.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None} | asked.get("reasoning", {}),
        "store": False,  # whatever was asked for: the relay keeps nothing
        "temperature": asked.get("temperature"),
        "text": {"format": {"type": "text"}} | asked.get("text", {}),
        "tool_choice": asked.get("tool_choice", "auto"),
        "tools": asked.get("tools", []),
        "top_p": asked.get("top_p"),
        "truncation": asked.get("truncation", "disabled"),
        "usage": None,
    }


def _item_id(stamp: Stamp, block: Block, index: int) -> str:
    return f"{_PREFIXES[block.kind]}_{stamp.id.partition('_')[2]}{index:02d}"


def _items(blocks: Sequence[Block], status: str) -> list[dict[str, Any]]:
    """All items of an answer with this status: if it was cut, the last one was."""
    last = None if status == "completed" or not blocks else blocks[-1]
    return [_item(block, "incomplete" if block is last else "completed") for block in blocks]


def _item(block: Block, status: str) -> dict[str, Any]:
    """A block as the item it has become; without pieces, as it begins."""
    item: dict[str, Any] = {"id": block.item_id, "type": "message", "status": status}
    if block.kind == "reasoning":
        return item | {"type": "reasoning", "summary": [_summary(block.text)] if block.pieces else []}
    if block.kind == "call":
        call = {"call_id": block.call_id, "name": block.name, "arguments": block.text}
        return item | {"type": "function_call", **call}
    return item | {"role": "assistant", "content": [_text_part(block)] if block.pieces else []}


def _summary(text: str) -> dict[str, Any]:
    return {"type": "summary_text", "text": text}


def _text_part(block: Block) -> dict[str, Any]:
    return {"type": "output_text", "text": block.text, "annotations": [], "logprobs": _logprobs(block.logprobs)}


def _logprobs(entries: Sequence[TokenLogprob]) -> list[dict[str, Any]]:
    return [_logprob(entry) | {"top_logprobs": [_logprob(other) for other in entry.top]} for entry in entries]


def _logprob(entry: TokenLogprob) -> dict[str, Any]:
    # A token that is a part of a character has no text, and its bytes are not known.
    found = [] if "\ufffd" in entry.token else list(entry.token.encode())
    return {"token": entry.token, "logprob": entry.logprob, "bytes": found}


def usage_payload(usage: Usage) -> dict[str, Any]:
    """The counts. One that the provider does not tell is 0: the wire wants a number."""
    given, made = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": given + made if usage.total_tokens is None else usage.total_tokens,
    }


# --- a stream -------------------------------------------------------------------------------------------------------


class ResponseEncoder(BlockEncoder):
    """A stream of events, numbered from 0.

    Where the backing provider speaks this wire, too, an item has the id that it has there, and the last event has the
    items as they were there, encrypted reasoning included.
    """

    def __init__(self, stamp: Stamp) -> None:
        super().__init__(stamp)
        self._number = 0
        self._ids: set[str] = set()
        self._own_item: dict[str, Any] | None = None
        self._told: set[Any] = set()  # ids of the reasoning that has gone out encrypted

    def head(self) -> bytes:
        response = _head(self.stamp, self.model, "in_progress")
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def begin(self, block: Block, chunk: Chunk | None) -> bytes:
        block.item_id = self._id(block, chunk)
        item = _item(block, "in_progress")
        data = self._event("response.output_item.added", output_index=block.index, item=item)
        if block.kind == "call":
            return data
        if block.kind == "reasoning":
            part = _summary("")
            return data + self._of("response.reasoning_summary_part.added", block, summary_index=0, part=part)
        return data + self._of("response.content_part.added", block, content_index=0, part=_text_part(block))

    def _id(self, block: Block, chunk: Chunk | None) -> str:
        raw = chunk.raw if chunk is not None and isinstance(chunk.raw, dict) else {}
        found = None
        if str(raw.get("type")).startswith("response."):
            item = raw.get("item")
            found = item.get("id") if isinstance(item, dict) else raw.get("item_id")
        if not isinstance(found, str) or not found or found in self._ids:
            found = _item_id(self.stamp, block, block.index)
        self._ids.add(found)
        return found

    def piece(self, block: Block, text: str, logprobs: Sequence[TokenLogprob]) -> bytes:
        if block.kind == "text":
            found = _logprobs(logprobs) if logprobs else []
            return self._of("response.output_text.delta", block, content_index=0, delta=text, logprobs=found)
        if block.kind == "reasoning":
            if len(block.pieces) == 1 and block.index and self.blocks[block.index - 1].kind == "reasoning":
                # An item of its own: what sets it apart from the one before, where both are one text, has no use.
                text = block.pieces[0] = text.removeprefix("\n\n")
            return self._of("response.reasoning_summary_text.delta", block, summary_index=0, delta=text)
        return self._of("response.function_call_arguments.delta", block, delta=text)

    def end(self, block: Block, *, cut: bool) -> bytes:
        data = b""
        if block.kind == "text":
            part = _text_part(block)
            said = {"text": part["text"], "logprobs": part["logprobs"]}
            data += self._of("response.output_text.done", block, content_index=0, **said)
            data += self._of("response.content_part.done", block, content_index=0, part=part)
        elif block.kind == "reasoning":
            part = _summary(block.text)
            data += self._of("response.reasoning_summary_text.done", block, summary_index=0, text=block.text)
            data += self._of("response.reasoning_summary_part.done", block, summary_index=0, part=part)
        else:
            if not block.pieces:  # a call without arguments
                block.pieces.append("{}")
                data += self.piece(block, "{}", ())
            data += self._of("response.function_call_arguments.done", block, name=block.name, arguments=block.text)
        item = self._encrypted(block) or _item(block, "incomplete" if cut else "completed")
        return data + self._event("response.output_item.done", output_index=block.index, item=item)

    def _encrypted(self, block: Block) -> dict[str, Any] | None:
        """The item that reasoning is where the backing provider speaks this wire, if it is known by its end."""
        items = [] if self._own_item is None else [self._own_item]
        if not items and is_opaque(echoed := self.provider_data.get(ECHO)):
            items = [item for item in echoed if item.get("id") not in self._told]
        found = next((item for item in items if item.get("type") == "reasoning"), None)
        if block.kind != "reasoning" or found is None:
            return None
        self._told.add(found.get("id"))
        # Its paragraphs have gone out as one part.
        return found | {"id": block.item_id, "summary": _item(block, "completed")["summary"]}

    def after(self, chunk: Chunk) -> bytes:
        """Encrypted reasoning ends with its own item. There may have been nothing of it to read."""
        item = chunk.raw.get("item") if chunk.raw.get("type") == "response.output_item.done" else None
        if not isinstance(item, dict) or item.get("type") != "reasoning" or not item.get("encrypted_content"):
            return b""
        data = b"" if self.is_open("reasoning") else self.open("reasoning", chunk)
        self._own_item = item
        data += self.close()
        self._own_item = None
        return data

    def tail(self) -> bytes:
        status = _status(self.finish_reason)
        output = self._echoed() if is_opaque(self.provider_data.get(ECHO)) else _items(self.blocks, status)
        response = _response(self.stamp, self.model, self.finish_reason, output, self.usage)
        return self._event(f"response.{status}", response=response)

    def _echoed(self) -> list[Any]:
        """The items as the backing provider had them; a call keeps the id under which it has gone out."""
        ids = {block.call_id: block.item_id for block in self.blocks if block.kind == "call"}
        return [
            item | {"id": ids[item["call_id"]]}
            if item.get("type") == "function_call" and item.get("call_id") in ids
            else item
            for item in self.provider_data[ECHO]
        ]

    def fail(self, failure: Failure) -> bytes:
        return self._event("error", **error_payload(failure))

    def _of(self, kind: str, block: Block, **members: Any) -> bytes:
        return self._event(kind, item_id=block.item_id, output_index=block.index, **members)

    def _event(self, kind: str, **members: Any) -> bytes:
        payload = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), dump(payload))
