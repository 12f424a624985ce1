"""`mcp_tools`: the tools of an MCP server, called through a session of the package `mcp` or a client of fastmcp."""

# The packages are asked for nothing but `list_tools` and `call_tool`, and what they give is read as the protocol's own
# JSON (`model_dump(by_alias=True)`): `mcp` 1 has `inputSchema` and `isError` as attributes, `mcp` 2 `input_schema` and
# `is_error`, and both the same JSON. Source of what is in it: https://modelcontextprotocol.io/specification/2025-11-25,
# server/tools (content blocks, `structuredContent`, `isError`) and server/utilities/pagination (`nextCursor`).
#
# A session lives in the event loop that has opened it. So its tools are awaited there, by `AsyncClient`.

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import PrivateAttr

from llmclients.errors import InvalidRequestError
from llmclients.types.content import AudioPart, FilePart, ImagePart, Part, TextPart
from llmclients.types.tools import Tool, ToolFailure

__all__ = ["MCPToolError", "mcp_tools"]

_MAX_PAGES = 100


class MCPToolError(ToolFailure):
    """The server's answer to a call says that it failed (`isError`); the message is its text."""


class MCPTool(Tool):
    """A tool at a server. Its arguments go there unchecked: the server has the schema, and says what does not fit."""

    _call: Callable[[dict[str, Any]], Awaitable[Any]] = PrivateAttr()

    @property
    def needs_async_client(self) -> bool:
        return True

    def call(self, arguments: Mapping[str, Any]) -> Any:
        return self._call(dict(arguments))


async def mcp_tools(session: Any, *, prefix: str = "") -> list[Tool]:
    """All tools of an MCP server, for `tools=` of `AsyncClient`: with `run_tools`, they are called through the session.

    Args:
        session: a `ClientSession` (initialized) or `Client` of the package `mcp`, or a `Client` of fastmcp. It must be
            open as long as its tools are called.
        prefix: put before each name that the model is told, so that two servers may have tools of one name.

    Raises:
        InvalidRequestError: `session` is none; or a tool has a name that no provider takes, or no schema.
        Exception: whatever the session raises when the server cannot be asked.
    """
    if not hasattr(session, "list_tools") or not hasattr(session, "call_tool"):
        raise InvalidRequestError(f"mcp_tools takes an MCP session, not {type(session).__name__}", argument="session")
    return [_tool(session, described, prefix) for described in await _listed(session)]


async def _listed(session: Any) -> list[dict[str, Any]]:
    """What the server says of its tools, page by page."""
    found: list[dict[str, Any]] = []
    page: Any = await session.list_tools()
    for _ in range(_MAX_PAGES):
        if isinstance(page, list):  # fastmcp has read all pages
            return [_as_json(tool) for tool in page]
        members = _as_json(page)
        found += members.get("tools", [])
        if not (cursor := members.get("nextCursor")):
            return found
        page = await session.list_tools(**_page_argument(session, cursor))
    raise InvalidRequestError(f"the MCP server has more than {_MAX_PAGES} pages of tools", argument="session")


def _page_argument(session: Any, cursor: str) -> dict[str, Any]:
    """How this session is asked for another page."""
    if "params" not in inspect.signature(session.list_tools).parameters:
        return {"cursor": cursor}
    from mcp.types import PaginatedRequestParams

    return {"params": PaginatedRequestParams(cursor=cursor)}


def _tool(session: Any, described: Mapping[str, Any], prefix: str) -> Tool:
    name = described["name"]
    ask = getattr(session, "call_tool_mcp", session.call_tool)  # fastmcp's other one raises, and changes the result
    loop = asyncio.get_running_loop()

    async def call(arguments: dict[str, Any]) -> str | list[Part]:
        if asyncio.get_running_loop() is not loop:  # the session would wait for ever
            raise MCPToolError("the MCP session of this tool lives in another event loop")
        return _content(_as_json(await ask(name, arguments)))

    description = described.get("description") or described.get("title")
    tool = MCPTool(name=prefix + name, description=description, parameters=described["inputSchema"], function=call)
    tool._call = call
    return tool


def _as_json(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    return found


def _content(result: Mapping[str, Any]) -> str | list[Part]:
    """What a call gave: text, or parts where there is more; its JSON, where the server has sent nothing else.

    Raises:
        MCPToolError: the call failed.
        InvalidRequestError: a part is not what its label says.
    """
    parts = [_part(block) for block in result.get("content", [])]
    texts = [part.text for part in parts if isinstance(part, TextPart)]
    text = "\n".join(texts)
    if result.get("isError"):
        raise MCPToolError(text or "the tool failed, and the server does not say why")
    if len(texts) < len(parts):
        return parts
    if not text and "structuredContent" in result:
        return json.dumps(result["structuredContent"], ensure_ascii=False)
    return text


def _part(block: Mapping[str, Any]) -> Part:
    """A content block as a part. What a model has no use for as it is, it is told about."""
    kind = block.get("type")
    label = {"media_type": block["mimeType"]} if "mimeType" in block else {}
    if kind == "text":
        return TextPart(text=block["text"])
    if kind == "image":
        return ImagePart(data=block["data"], **label)
    if kind == "audio":
        return AudioPart(data=block["data"], **label)
    if kind == "resource":
        return _resource_part(block["resource"])
    if kind == "resource_link":
        about = block.get("description") or block.get("title") or block["name"]
        return TextPart(text=f"{block['uri']} ({about})")
    return TextPart(text=json.dumps(block, ensure_ascii=False))


def _resource_part(resource: Mapping[str, Any]) -> Part:
    if "text" in resource:
        return TextPart(text=resource["text"])
    media_type = resource.get("mimeType", "")
    label = {"media_type": media_type} if media_type else {}
    kind = media_type.partition("/")[0]
    if kind == "image":
        return ImagePart(data=resource["blob"], **label)
    if kind == "audio":
        return AudioPart(data=resource["blob"], **label)
    return FilePart(data=resource["blob"], name=resource["uri"].rpartition("/")[2] or None, **label)
