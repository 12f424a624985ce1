"""The Responses API's replies and streams from the server's side (docs/protocols/openai-responses.md, "Streams").

A reply is a list of items: reasoning, a message, function calls. In a stream each item begins (`output_item.added`),
for reasoning and text its one part does (`…part.added`), pieces come (`….delta`), and then all of it comes again,
whole, on three levels: the text (`….done`), the part (`…part.done`), the item (`output_item.done`). The last event has
the whole response with all items. An item's id must be the same in all of its events.

An item is opaque where only the wire's own server can read it, as encrypted reasoning. With an upstream of the same
wire, the items as they were there replace those made of the library's fields, in the item's last event and in the
response.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeGuard

from llmclients.relay.codecs.base import ReplyMeta
from llmclients.relay.codecs.blocks import Block, BlockEncoder
from llmclients.relay.codecs.custom_calls import CustomInput
from llmclients.relay.codecs.json_reply import encode_json
from llmclients.relay.codecs.openai_chat_reply import error_payload, token_bytes
from llmclients.relay.codecs.openai_tools import call_item
from llmclients.relay.errors import Failure
from llmclients.types.response import ChatResponse, Chunk, FinishReason, TokenLogprob, Usage

__all__ = ["PROVIDER_DATA_KEY", "ResponseEncoder", "is_opaque", "reply_body"]

PROVIDER_DATA_KEY = "openai-responses"
"""Under this name a message's `provider_data` has its items as this wire has them."""

_WHY_INCOMPLETE: dict[FinishReason | None, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
    "pause": "max_output_tokens",  # the wire knows no other half answer
}
_MAX_ITEM_ID = 256
_ID_PREFIXES = {"reasoning": "rs", "text": "msg", "call": "fc"}


# --- a whole reply --------------------------------------------------------------------------------------------------


def reply_body(response: ChatResponse, meta: ReplyMeta) -> bytes:
    """A whole reply, as JSON."""
    blocks: list[Block] = []
    if response.reasoning:
        blocks.append(Block("reasoning", 0, pieces=[response.reasoning]))
    if response.text:
        blocks.append(Block("text", 0, pieces=[response.text], logprobs=response.logprobs or []))
    blocks += [
        Block("call", 0, call_id=call.id, name=call.name, pieces=[call.arguments_text]) for call in response.tool_calls
    ]
    for index, block in enumerate(blocks):
        block.item_id = _item_id(meta, block, index)
    status = _status(response.finish_reason)
    upstream_items = (response.provider_data or {}).get(PROVIDER_DATA_KEY)
    output = upstream_items if is_opaque(upstream_items) else _items(blocks, status)
    output = [call_item(item, meta.tools) for item in output]
    return encode_json(_response(meta, response.model or meta.model, response.finish_reason, output, response.usage))


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
    meta: ReplyMeta, model: str, reason: FinishReason | None, output: list[Any], usage: Usage | None
) -> dict[str, Any]:
    """The object for an answer that has ended."""
    status = _status(reason)
    details = {"reason": _WHY_INCOMPLETE[reason]} if status == "incomplete" else None
    error = {"code": "server_error", "message": "the upstream answer ended in an error"} if status == "failed" else None
    return _head(meta, model, status) | {
        "error": error,
        "incomplete_details": details,
        "output": output,
        "usage": None if usage is None else usage_payload(usage),
    }


def _head(meta: ReplyMeta, model: str, status: str) -> dict[str, Any]:
    mirrored: Mapping[str, Any] = meta.mirrored
    return {
        "id": meta.id,
        "object": "response",
        "created_at": meta.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": mirrored.get("instructions"),
        "max_output_tokens": mirrored.get("max_output_tokens"),
        "metadata": mirrored.get("metadata", {}),
        "model": model,
        "output": [],
        "parallel_tool_calls": mirrored.get("parallel_tool_calls", True),
        "previous_response_id": None,
        "reasoning": {"effort": None, "summary": None} | mirrored.get("reasoning", {}),
        "store": False,  # whatever was asked for: the relay keeps nothing
        "temperature": mirrored.get("temperature"),
        "text": {"format": {"type": "text"}} | mirrored.get("text", {}),
        "tool_choice": mirrored.get("tool_choice", "auto"),
        "tools": mirrored.get("tools", []),
        "top_p": mirrored.get("top_p"),
        "truncation": mirrored.get("truncation", "disabled"),
        "usage": None,
    }


def _item_id(meta: ReplyMeta, block: Block, index: int) -> str:
    return f"{_ID_PREFIXES[block.type]}_{meta.id.partition('_')[2]}{index:02d}"


def _items(blocks: Sequence[Block], status: str) -> list[dict[str, Any]]:
    """All items of an answer with this status: if it was cut, the last one was."""
    last = None if status == "completed" or not blocks else blocks[-1]
    return [_item(block, "incomplete" if block is last else "completed") for block in blocks]


def _item(block: Block, status: str) -> dict[str, Any]:
    """A block as the item it has become; without pieces, as it begins."""
    item: dict[str, Any] = {"id": block.item_id, "type": "message", "status": status}
    if block.type == "reasoning":
        return item | {"type": "reasoning", "summary": [_summary(block.text)] if block.pieces else []}
    if block.type == "call":
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
    return {"token": entry.token, "logprob": entry.logprob, "bytes": token_bytes(entry) or []}


def usage_payload(usage: Usage) -> dict[str, Any]:
    """The token counts. One that the upstream does not tell is 0: the wire wants a number."""
    input_tokens, output_tokens = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens or 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": input_tokens + output_tokens if usage.total_tokens is None else usage.total_tokens,
    }


# --- a stream -------------------------------------------------------------------------------------------------------


class ResponseEncoder(BlockEncoder):
    """A stream of events, numbered from 0.

    Where the upstream provider has this wire, too, an item has the id that it has there, and the last event has the
    items as they were there, encrypted reasoning included.
    """

    def __init__(self, meta: ReplyMeta) -> None:
        super().__init__(meta)
        self._number = 0
        self._ids: set[str] = set()
        self._custom: CustomInput | None = None  # of the last call, if it is a custom tool's
        self._upstream_item: dict[str, Any] | None = None
        self._encrypted_items: Iterator[dict[str, Any]] = iter(())  # of the provider's data, as far as it was read
        self._read_data: dict[str, Any] | None = None
        self._sent_reasoning: set[Any] = set()  # the upstream's ids of the reasoning that has gone out encrypted

    def head(self) -> bytes:
        response = _head(self.meta, self.model, "in_progress")
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def begin(self, block: Block, chunk: Chunk | None) -> bytes:
        block.item_id = self._id(block, chunk)
        item = call_item(_item(block, "in_progress"), self.meta.tools)
        data = self._event("response.output_item.added", output_index=block.index, item=item)
        if block.type == "call":
            tool = self.meta.tools.get(block.name)
            self._custom = CustomInput() if tool is not None and tool.is_custom else None
            return data
        if block.type == "reasoning":
            part = _summary("")
            return data + self._block_event("response.reasoning_summary_part.added", block, summary_index=0, part=part)
        return data + self._block_event("response.content_part.added", block, content_index=0, part=_text_part(block))

    def _id(self, block: Block, chunk: Chunk | None) -> str:
        raw = chunk.raw if chunk is not None and isinstance(chunk.raw, dict) else {}
        found = None
        if str(raw.get("type")).startswith("response."):
            item = raw.get("item")
            found = item.get("id") if isinstance(item, dict) else raw.get("item_id")
        # Each event of the item has it again.
        if not isinstance(found, str) or not 0 < len(found) <= _MAX_ITEM_ID or found in self._ids:
            found = _item_id(self.meta, block, block.index)
        self._ids.add(found)
        return found

    def piece(self, block: Block, text: str, logprobs: Sequence[TokenLogprob]) -> bytes:
        if block.type == "text":
            entries = _logprobs(logprobs) if logprobs else []
            return self._block_event("response.output_text.delta", block, content_index=0, delta=text, logprobs=entries)
        if block.type == "reasoning":
            if len(block.pieces) == 1 and block.index and self.blocks[block.index - 1].type == "reasoning":
                # An item of its own: what sets it apart from the one before, where both are one text, has no use.
                text = block.pieces[0] = text.removeprefix("\n\n")
            return self._block_event("response.reasoning_summary_text.delta", block, summary_index=0, delta=text)
        if self._custom is not None:
            new = self._custom.feed(text)
            return self._block_event("response.custom_tool_call_input.delta", block, delta=new) if new else b""
        return self._block_event("response.function_call_arguments.delta", block, delta=text)

    def end(self, block: Block, *, cut: bool) -> bytes:
        data = b""
        if block.type == "text":
            part = _text_part(block)
            whole = {"text": part["text"], "logprobs": part["logprobs"]}
            data += self._block_event("response.output_text.done", block, content_index=0, **whole)
            data += self._block_event("response.content_part.done", block, content_index=0, part=part)
        elif block.type == "reasoning":
            part = _summary(block.text)
            data += self._block_event("response.reasoning_summary_text.done", block, summary_index=0, text=block.text)
            data += self._block_event("response.reasoning_summary_part.done", block, summary_index=0, part=part)
        elif self._custom is not None:
            text, rest = self._custom.rest(block.text)
            if rest:
                data += self._block_event("response.custom_tool_call_input.delta", block, delta=rest)
            data += self._block_event("response.custom_tool_call_input.done", block, input=text)
        else:
            if not block.pieces:  # a call without arguments
                block.pieces.append("{}")
                data += self.piece(block, "{}", ())
            data += self._block_event(
                "response.function_call_arguments.done", block, name=block.name, arguments=block.text
            )
        item = self._encrypted(block) or _item(block, "incomplete" if cut else "completed")
        item = call_item(item, self.meta.tools)
        return data + self._event("response.output_item.done", output_index=block.index, item=item)

    def _encrypted(self, block: Block) -> dict[str, Any] | None:
        """The item that a block of reasoning is at an upstream of this wire, if it is known when the block ends."""
        if block.type != "reasoning" or (found := self._upstream_item or self._next_encrypted()) is None:
            return None
        self._sent_reasoning.add(found.get("id"))
        # Its paragraphs have gone out as one part.
        return found | {"id": block.item_id, "summary": _item(block, "completed")["summary"]}

    def _next_encrypted(self) -> dict[str, Any] | None:
        """The next one that has not gone out; all are looked through once, however many blocks there are."""
        if self._read_data is not self.provider_data:
            self._read_data = self.provider_data
            items = self.provider_data.get(PROVIDER_DATA_KEY)
            self._encrypted_items = iter(items if is_opaque(items) else [])
        for item in self._encrypted_items:
            if item.get("type") == "reasoning" and item.get("id") not in self._sent_reasoning:
                return item
        return None

    def after(self, chunk: Chunk) -> bytes:
        """Encrypted reasoning ends with the upstream's item. There may have been nothing of it to read."""
        item = chunk.raw.get("item") if chunk.raw.get("type") == "response.output_item.done" else None
        if not isinstance(item, dict) or item.get("type") != "reasoning" or not item.get("encrypted_content"):
            return b""
        data = b"" if self.is_open("reasoning") else self.open("reasoning", chunk)
        self._upstream_item = item
        data += self.close()
        self._upstream_item = None
        return data

    def tail(self) -> bytes:
        status = _status(self.finish_reason)
        output = (
            self._upstream_output()
            if is_opaque(self.provider_data.get(PROVIDER_DATA_KEY))
            else _items(self.blocks, status)
        )
        output = [call_item(item, self.meta.tools) for item in output]
        response = _response(self.meta, self.model, self.finish_reason, output, self.usage)
        return self._event(f"response.{status}", response=response)

    def _upstream_output(self) -> list[Any]:
        """The items as the upstream provider had them; a call keeps the id under which it has gone out."""
        ids = {block.call_id: block.item_id for block in self.blocks if block.type == "call"}
        return [
            item | {"id": ids[item["call_id"]]}
            if item.get("type") == "function_call" and item.get("call_id") in ids
            else item
            for item in self.provider_data[PROVIDER_DATA_KEY]
        ]

    def fail(self, failure: Failure) -> bytes:
        return self._event("error", **error_payload(failure))

    def _block_event(self, type_: str, block: Block, **fields: Any) -> bytes:
        return self._event(type_, item_id=block.item_id, output_index=block.index, **fields)

    def _event(self, type_: str, **fields: Any) -> bytes:
        payload = {"type": type_, "sequence_number": self._number, **fields}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (type_.encode(), encode_json(payload))
