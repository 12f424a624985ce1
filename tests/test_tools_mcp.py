"""The tools of an MCP server: of a program of its own, over its standard input and output, and of one in this process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmclients import AsyncClient, Client, FilePart, ImagePart, InvalidRequestError, TextPart, Tool
from llmclients.mcp import MCPToolError, mcp_tools
from llmclients.testing import MockTransport, Reply

if TYPE_CHECKING:  # it takes a second, which only who runs these tests pays
    from mcp import ClientSession
    from mcp.types import ListToolsResult
    from mcp.types import Tool as DescribedTool

PROGRAM = Path(__file__).with_name("mcp_server.py")
NAMES = ["weather", "look", "measure", "fail", "wait"]


@asynccontextmanager
async def opened() -> AsyncIterator[ClientSession]:
    from mcp import ClientSession, StdioServerParameters, stdio_client

    program = StdioServerParameters(command=sys.executable, args=[str(PROGRAM)])
    async with stdio_client(program) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        yield session


def client(*replies: Reply) -> AsyncClient:
    return AsyncClient("anthropic", model="m", api_key="key", transport=MockTransport(replies))


@pytest.mark.long
async def test_the_tools_of_a_server_are_called_through_its_session() -> None:
    async with opened() as session:
        tools = await mcp_tools(session)
        assert [tool.name for tool in tools] == NAMES
        assert tools[0].description == "The weather in a city."
        assert tools[0].parameters["required"] == ["city"]

        calls = [
            ("weather", {"city": "Oslo"}),
            ("weather", {"town": "Oslo"}),
            ("look", {}),
            ("measure", {}),
            ("fail", {}),
        ]
        answering = client(Reply.tool_calls(*calls), Reply.text("4 degrees."))
        response = await answering.chat("How warm?", tools=tools, run_tools=True)
        warm, misfit, look, measured, failed = (
            message for message in response.intermediate_messages if message.role == "tool"
        )
        assert warm.text.split() == ["{", '"city":', '"Oslo",', '"celsius":', "4", "}"]
        assert misfit.is_error
        assert "city" in misfit.text
        assert [type(part) for part in look.parts] == [TextPart, ImagePart, TextPart, TextPart, FilePart]
        assert look.text == "a bearfile:///map.txt (where)in the woods"
        assert isinstance(look.parts[-1], FilePart)
        assert (look.parts[-1].name, look.parts[-1].media_type) == ("b.pdf", "application/pdf")
        assert measured.text == '{"celsius": 4, "wind": null}'
        assert (failed.text, failed.is_error) == ("Error: the sensor is wet", True)

        with pytest.raises(MCPToolError, match="the sensor\nis wet"):
            await client(Reply.tool_call("fail")).chat("?", tools=tools, run_tools=True, raise_tool_errors=True)

        stream = client(Reply.tool_call("wait")).stream("?", tools=tools, run_tools=True)
        while not stream.response.tool_calls:
            await anext(stream)
        with pytest.raises(asyncio.TimeoutError):  # the session outlives a call that is given up
            await asyncio.wait_for(anext(aiter_to_result(stream)), 0.05)
        named = await mcp_tools(session, prefix="north_")
        answering = client(Reply.tool_call("north_measure"), Reply.text("4."))
        response = await answering.chat("?", tools=[*tools, *named], run_tools=True)
        assert response.intermediate_messages[-1].text == measured.text

        with pytest.raises(InvalidRequestError, match="the tool weather is of an MCP session"):
            Client("openai", api_key="key", model="m").stream("?", tools=tools, run_tools=True)
        other = await asyncio.to_thread(lambda: asyncio.run(elsewhere(tools)))
        assert "another event loop" in other

        listed = await session.list_tools()
        for given in (listed, listed.tools, [*listed.tools]):
            response = await client(Reply.tool_call("measure")).chat("?", tools=given)
            assert response.tool_calls[0].name == "measure"
        assert Tool.coerce(listed.tools[0]) == Tool("weather", tools[0].description, tools[0].parameters)


async def aiter_to_result(stream: Any) -> AsyncIterator[Any]:
    """The next chunk that has a result."""
    async for chunk in stream:
        if chunk.tool_result is not None:
            yield chunk


async def elsewhere(tools: Sequence[Tool]) -> str:
    """What the model is told of a call in another event loop than the session's."""
    answering = client(Reply.tool_call("measure"), Reply.text("Sorry."))
    return (await answering.chat("?", tools=tools, run_tools=True)).intermediate_messages[-1].text


async def test_a_client_of_mcp_has_the_same_tools() -> None:
    from mcp import Client as MCPClient

    from tests.mcp_server import server

    async with MCPClient(server) as session:
        tools = await mcp_tools(session)
        answering = client(Reply.tool_call("weather", city="Oslo"), Reply.text("4."))
        response = await answering.chat("How warm?", tools=tools, run_tools=True)
    assert [tool.name for tool in tools] == NAMES
    assert "Oslo" in response.intermediate_messages[-1].text


class Paged:
    """A session whose server has its tools on two pages; as a `ClientSession`, a `Client` or fastmcp's is asked."""

    def __init__(self) -> None:
        from mcp.types import ListToolsResult
        from mcp.types import Tool as DescribedTool

        tools = [DescribedTool(name=name, input_schema={"type": "object"}) for name in ("a", "b")]
        self.pages = {None: ListToolsResult(tools=tools[:1], next_cursor="2"), "2": ListToolsResult(tools=tools[1:])}

    async def call_tool(self, name: str, arguments: dict[str, Any]) -> None: ...


class ByParams(Paged):
    async def list_tools(self, *, params: Any = None) -> ListToolsResult:
        return self.pages[params and params.cursor]


class ByCursor(Paged):
    async def list_tools(self, *, cursor: str | None = None) -> ListToolsResult:
        return self.pages[cursor]


class AllAtOnce(Paged):
    async def list_tools(self) -> list[DescribedTool]:
        return [tool for page in self.pages.values() for tool in page.tools]


async def test_all_pages_are_read_and_one_page_of_several_is_not_taken_for_all() -> None:
    for session in (ByParams(), ByCursor(), AllAtOnce()):
        assert [tool.name for tool in await mcp_tools(session)] == ["a", "b"]

    openai = Client("openai", api_key="key", model="m", transport=MockTransport([]))
    for given, words in (
        (await ByParams().list_tools(), r"more tools than these: llmclients\.mcp\.mcp_tools"),
        (ByParams(), r"give tools=await llmclients\.mcp\.mcp_tools\(session\)"),
    ):
        with pytest.raises(InvalidRequestError, match=words):
            openai.chat("?", tools=given)
    with pytest.raises(InvalidRequestError, match="mcp_tools takes an MCP session, not str"):
        await mcp_tools("weather")
