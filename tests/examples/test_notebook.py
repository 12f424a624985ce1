"""examples/notebook.ipynb, executed in a kernel: what its cells show, and the stop button."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from upstream import BOUND, EXAMPLES, Upstream

pytestmark = pytest.mark.long

PAGE = EXAMPLES.parent / "docs" / "notebooks-and-terminals.md"


class Notebook(NotebookClient):
    """A notebook whose displays are heard of as they come."""

    on_display: Callable[[str], None] = staticmethod(lambda text: None)

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] == "update_display_data":
            self.on_display(msg["content"]["data"]["text/markdown"])
        return super().process_message(msg, cell, cell_index)

    async def run(self, cell: Any) -> Any:
        return await self.async_execute_cell(cell, self.nb.cells.index(cell))


async def test_the_notebook_runs_and_stops(upstream: Upstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in upstream.environment.items():
        monkeypatch.setenv(name, value)
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / name))  # not the home folder of who runs the tests
    source = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    made, answered, streamed, together = [cell for cell in source.cells if cell.cell_type == "code"]
    notebook = Notebook(source, timeout=30, kernel_name="python3")
    async with notebook.async_setup_kernel():
        await notebook.run(made)
        (output,) = (await notebook.run(answered)).outputs
        assert output.data["text/markdown"].startswith("".join(upstream.PIECES))
        assert len(output.data["text/plain"]) < 200

        shown: list[str] = []

        def display(text: str) -> None:
            shown.append(text.partition("\n\n<small>")[0])
            upstream.seen.release()  # the provider sends the next piece now, and not before

        notebook.on_display = display
        await notebook.run(streamed)
        assert shown == ["# The Nile", "# The Nile\n\nIt is *long*,", "# The Nile\n\nIt is *long*, and old."]

        stops: list[asyncio.Future[None]] = []

        def stop(text: str) -> None:
            if not stops:
                stops.append(asyncio.ensure_future(notebook.km.interrupt_kernel()))

        notebook.on_display = stop
        streamed.source = re.sub(r'stream\(".*"\)', 'stream("endless")', streamed.source)
        with pytest.raises(CellExecutionError, match="KeyboardInterrupt"):
            await notebook.run(streamed)
        assert await asyncio.to_thread(upstream.left.wait, BOUND)

        (output,) = (await notebook.run(together)).outputs
        assert output.data["text/plain"].count("The Nile") == 2


def test_the_page_shows_the_notebook_s_cells() -> None:
    source = nbformat.read(EXAMPLES / "notebook.ipynb", as_version=4)
    shown = re.findall(r"^```python3\n(.*?)\n```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)

    assert shown == [cell.source for cell in source.cells if cell.cell_type == "code"]
