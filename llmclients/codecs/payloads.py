"""Pieces of request payloads that several wires write alike: a tool as JSON, a name for a file that has none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmclients.types.content import FilePart

if TYPE_CHECKING:
    from llmclients.types.tools import Tool

__all__ = ["file_name", "tool_payload"]

_SUFFIXES = {
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/markdown": ".md",
}


def tool_payload(tool: Tool) -> dict[str, Any]:
    """A tool nested in `function`, for chat completions, Cohere and Ollama; `strict` only where the tool says."""
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    function["parameters"] = tool.parameters
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def file_name(part: FilePart) -> str:
    """A file's name, else `file` and the ending of its media type: a name whose ending tells no type is rejected."""
    return part.name or "file" + _SUFFIXES.get(part.media_type or "", "")
