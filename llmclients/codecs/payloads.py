"""Pieces of request payloads that several wires write alike: a tool, a JSON Schema to answer by, a file's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmclients.codecs.base import given
from llmclients.types.content import FilePart

if TYPE_CHECKING:
    from llmclients.types.response_format import ResponseFormat
    from llmclients.types.schema_rules import SchemaRules
    from llmclients.types.tools import Tool

__all__ = ["file_name", "schema_payload", "tool_payload"]

_SUFFIXES = {
    "application/pdf": ".pdf",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "text/html": ".html",
    "text/markdown": ".md",
}


def tool_payload(tool: Tool, rules: SchemaRules | None, *, with_strict: bool = True) -> dict[str, Any]:
    """A tool nested in `function`, for chat completions, Cohere and Ollama; `strict` only where the tool says.

    Args:
        rules: what the maker's strict mode takes; None where nobody knows.
        with_strict: whether the wire has `strict` in each tool.
    """
    function = given(
        name=tool.name,
        description=tool.description,
        parameters=tool.fitted_parameters(rules),
        strict=tool.strict if with_strict else None,
    )
    return {"type": "function", "function": function}


def schema_payload(response_format: ResponseFormat, rules: SchemaRules | None) -> dict[str, Any]:
    """The schema of a response format that has one, with its name: nested in OpenAI's older wire, flat in the newer.

    Args:
        rules: what the maker's strict mode takes; None where nobody knows.
    """
    schema, strict = response_format.fitted(rules)
    return given(name=response_format.name, schema=schema, description=response_format.description, strict=strict)


def file_name(part: FilePart) -> str:
    """A file's name, else `file` and the ending of its media type: a name whose ending tells no type is rejected."""
    return part.name or "file" + _SUFFIXES.get(part.media_type or "", "")
