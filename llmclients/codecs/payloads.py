"""Pieces of request payloads that several wires write alike: a tool, a JSON Schema to answer by, a file's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmclients.codecs.base import given
from llmclients.types.content import FilePart

if TYPE_CHECKING:
    from llmclients.types.response_format import ResponseFormat
    from llmclients.types.tools import Tool

__all__ = ["file_name", "schema_payload", "tool_payload"]

_SUFFIXES = {
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/markdown": ".md",
}


def tool_payload(tool: Tool) -> dict[str, Any]:
    """A tool nested in `function`, for chat completions, Cohere and Ollama; `strict` only where the tool says."""
    function = given(name=tool.name, description=tool.description, parameters=tool.parameters, strict=tool.strict)
    return {"type": "function", "function": function}


def schema_payload(response_format: ResponseFormat) -> dict[str, Any]:
    """The schema of a response format that has one, with its name: nested in OpenAI's older wire, flat in the newer."""
    return given(
        name=response_format.name,
        schema=response_format.json_schema,
        description=response_format.description,
        strict=response_format.strict,
    )


def file_name(part: FilePart) -> str:
    """A file's name, else `file` and the ending of its media type: a name whose ending tells no type is rejected."""
    return part.name or "file" + _SUFFIXES.get(part.media_type or "", "")
