"""What the types of a Responses item say about an answer: which are parts of it, and which wait for the caller.

The types: openai 3.57.0, `types/responses/response_output_item.py`.
"""

from __future__ import annotations

from typing import Any

from llmclients.codecs.json_fields import get_optional_str

__all__ = ["are_wanted", "asks_for_more", "kind_of_item"]

_NO_CONTENT = frozenset({"message", "reasoning", "compaction", "program", "additional_tools", "mcp_list_tools"})
_NO_CONTENT_ENDINGS = ("_call", "_output", "_approval_request", "_approval_response")
"""The types of item, and the endings of such types, that tell how an answer came about, or are read elsewhere."""

_ASKING = frozenset(
    {
        *("custom_tool_call", "computer_call", "local_shell_call", "shell_call", "apply_patch_call"),
        "mcp_approval_request",
    }
)
"""The types of item for the caller to do something. They come only where `extra=` has asked for such tools."""

_CALL_MEMBERS = frozenset({"type", "id", "call_id", "name", "arguments", "status", "parsed_arguments", "index"})
"""Those of a call that can be written anew: one with others goes back as it came."""


def kind_of_item(item: dict[str, Any]) -> str:
    """What part of an answer an item is that is neither a message nor a call: `image`, or its type; "" for none."""
    item_type = get_optional_str(item, "type") or ""
    if item_type == "image_generation_call":
        if item.get("status") == "failed":
            return "a failed image"
        return "image" if item.get("result") else ""
    return "" if item_type in _NO_CONTENT or item_type.endswith(_NO_CONTENT_ENDINGS) else item_type


def asks_for_more(items: list[dict[str, Any]]) -> bool:
    """Whether an item waits for the caller: a call of a tool that no other item is the output of."""
    done = {str(item.get("call_id")) for item in items if str(item.get("type")).endswith("_output")}
    return any(get_optional_str(item, "type") in _ASKING and str(item.get("call_id")) not in done for item in items)


def are_wanted(items: list[dict[str, Any]], *, stored: bool) -> bool:
    """Whether the provider wants the items back, and can read them: text and calls alone need no such thing."""
    wanted = False
    for item in items:
        item_type = item.get("type")
        if item_type == "reasoning":
            if not (item.get("encrypted_content") or item.get("content") or stored):
                return False  # a mere reference to what nobody has kept
            wanted = True
        elif item_type == "message":
            wanted = wanted or item.get("phase") is not None
        else:
            wanted = wanted or item_type != "function_call" or not item.keys() <= _CALL_MEMBERS
    return wanted
