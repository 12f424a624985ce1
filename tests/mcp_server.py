"""A program: an MCP server on its standard input and output, with the tools that `test_tools_mcp.py` calls."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from mcp.server import MCPServer
from mcp.types import BlobResourceContents, CallToolResult, EmbeddedResource, ImageContent, ResourceLink, TextContent
from mcp.types import TextResourceContents as TextResource

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(16)).decode()
PDF = base64.b64encode(b"%PDF-1.7\n").decode()

server = MCPServer("of the tests", log_level="CRITICAL")


@server.tool()
def weather(city: str, unit: str = "celsius") -> dict[str, Any]:
    """The weather in a city."""
    return {"city": city, unit: 4}


@server.tool()
def look() -> CallToolResult:
    """Parts of all kinds."""
    return CallToolResult(
        content=[
            TextContent(type="text", text="a bear"),
            ImageContent(type="image", data=PNG, mime_type="image/png"),
            ResourceLink(type="resource_link", name="map", uri="file:///map.txt", description="where"),
            EmbeddedResource(type="resource", resource=TextResource(uri="file:///a.txt", text="in the woods")),
            EmbeddedResource(
                type="resource",
                resource=BlobResourceContents(uri="file:///b.pdf", blob=PDF, mime_type="application/pdf"),
            ),
        ]
    )


@server.tool()
def measure() -> CallToolResult:
    """Structured content alone."""
    return CallToolResult(content=[], structured_content={"celsius": 4, "wind": None})


@server.tool()
def fail() -> CallToolResult:
    """An answer that is an error."""
    return CallToolResult(content=[TextContent(type="text", text="the sensor\nis wet")], is_error=True)


@server.tool()
async def wait() -> str:
    """Never answers."""
    await asyncio.Event().wait()
    return ""


if __name__ == "__main__":
    server.run()
