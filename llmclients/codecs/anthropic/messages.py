"""The messages of a request to Anthropic: turns of content blocks, and the system text apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmclients.codecs.anthropic.names import CODEC_NAME
from llmclients.errors import APIResponseError, InvalidRequestError
from llmclients.types.content import FilePart, ImagePart, MediaPart, Part
from llmclients.types.messages import Message

__all__ = ["message_payloads"]

Block = dict[str, Any]


def message_payloads(messages: Sequence[Message]) -> tuple[str | None, list[dict[str, Any]]]:
    """The system text, and the messages without it.

    All system and developer messages are one text at the top, in their order, wherever they stood: most models reject
    one inside the conversation. Neighbours of one role are one message, as the server would make it, so that all
    results of one turn stand together and before any text.

    Raises:
        InvalidRequestError: naming the message that this wire cannot carry.
    """
    system: list[str] = []
    turns: list[tuple[str, list[Block]]] = []
    uses: dict[str, int] = {}
    for index, message in enumerate(messages):
        try:
            if message.role in ("system", "developer"):
                system.append(_system_text(message))
                continue
            role, blocks = _blocks(message)
            blocks = [_with_unique_id(block, uses) for block in blocks]
        except (InvalidRequestError, APIResponseError) as error:
            raise InvalidRequestError(f"messages[{index}]: {error}", argument="messages") from None
        if turns and turns[-1][0] == role:
            turns[-1][1].extend(blocks)
        elif blocks:
            turns.append((role, blocks))
    if not turns:
        raise InvalidRequestError("messages: there is a system text, but nothing to answer", argument="messages")
    return "\n\n".join(system) or None, [{"role": role, "content": _content(blocks)} for role, blocks in turns]


def _with_unique_id(block: Block, uses: dict[str, int]) -> Block:
    """A call's or a result's block with an id that no earlier call has: the API rejects one that comes twice.

    Calls that came without an id, from another provider, were counted anew in each answer. `uses` has the times that
    each id came before.
    """
    is_call, is_result = block.get("type") == "tool_use", block.get("type") == "tool_result"
    member = "id" if is_call else "tool_use_id"
    block_id = block.get(member) if is_call or is_result else None
    if not isinstance(block_id, str):  # a block of another type, or one that a server sent without its id
        return block
    if is_call:
        uses[block_id] = uses.get(block_id, -1) + 1
    number = uses.get(block_id, 0)
    return {**block, member: f"{block_id}_{number}"} if number else block


def _system_text(message: Message) -> str:
    if any(isinstance(part, MediaPart) for part in message.parts):
        raise InvalidRequestError(f"a {message.role} message has text only on this wire")
    return message.text


def _content(blocks: list[Block]) -> str | list[Block]:
    """A turn's content: results first, no blank text beside other blocks, and plain text where it is all there is."""
    blocks = sorted(blocks, key=lambda block: block.get("type") != "tool_result")
    blocks = [block for block in blocks if not _is_blank(block)] or blocks[:1]
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def _is_blank(block: Block) -> bool:
    return block.get("type") == "text" and not str(block.get("text", "")).strip()


def _blocks(message: Message) -> tuple[str, list[Block]]:
    """The role, and the blocks, of a message; empty text has none."""
    if message.role == "tool":
        return "user", [_tool_result(message)]
    if message.role == "user":
        return "user", _part_blocks(message.parts)
    blocks = (message.provider_data or {}).get(CODEC_NAME)
    if blocks is not None:
        if not isinstance(blocks, list) or not all(isinstance(block, dict) and "type" in block for block in blocks):
            raise InvalidRequestError(f"provider_data[{CODEC_NAME!r}] is not a list of content blocks")
    else:
        blocks = _part_blocks(message.parts)
        for call in message.tool_calls or ():
            blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments})
    # An answer without content leaves no trace, and the server rejects blank text.
    return "assistant", [block for block in blocks if not _is_blank(block)]


def _tool_result(message: Message) -> Block:
    if not message.tool_call_id:
        raise InvalidRequestError("a tool message needs the tool_call_id that it answers")
    block: Block = {"type": "tool_result", "tool_use_id": message.tool_call_id}
    parts = _part_blocks(message.parts)
    if parts:
        block["content"] = message.content if isinstance(message.content, str) else parts
    if message.is_error is not None:
        block["is_error"] = message.is_error
    return block


def _part_blocks(parts: Sequence[Part]) -> list[Block]:
    return [block for block in map(_part_block, parts) if block.get("text") != ""]


def _part_block(part: Part) -> Block:
    if isinstance(part, ImagePart):
        return {"type": "image", "source": _source(part)}
    if isinstance(part, FilePart):
        block: Block = {"type": "document", "source": _document(part)}
        return block if part.name is None else {**block, "title": part.name}
    if isinstance(part, MediaPart):
        raise InvalidRequestError(f"this wire has no {part.type} parts")
    return {"type": "text", "text": part.text}


def _document(part: FilePart) -> dict[str, Any]:
    if part.media_type != "text/plain":
        return _source(part)
    if part.data is None:
        raise InvalidRequestError("only a PDF can be sent by its URL: give the text's bytes")
    try:
        return {"type": "text", "media_type": "text/plain", "data": part.data.decode()}
    except UnicodeDecodeError:
        raise InvalidRequestError("a text/plain file must be UTF-8") from None


def _source(part: MediaPart) -> dict[str, Any]:
    if part.url is not None:
        if not part.url.startswith("http"):
            raise InvalidRequestError(f"the provider fetches nothing from {part.url.partition(':')[0]}: addresses")
        return {"type": "url", "url": part.url}
    return {"type": "base64", "media_type": part.media_type, "data": part.base64}
