"""llmclients' `bulk`: from a file, into a journal and a file."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from benchmarks.runners import llmclients_sdk
from benchmarks.wire import PROMPT


class Async(llmclients_sdk.Async):
    """`AsyncClient.bulk`."""

    async def bulk(self, rows: int, in_flight: int) -> int:
        """Ask so many rows; how many were answered."""
        with tempfile.TemporaryDirectory() as folder:
            path, out = _written(folder, rows), f"{folder}/out.jsonl"
            report = await self._client.bulk(path, out, concurrency=in_flight, progress=False)
        return report.answered


def _written(folder: str, rows: int) -> Path:
    path, text = Path(folder, "rows.jsonl"), PROMPT[0]["content"]
    lines = (json.dumps({"id": f"row-{number}", "prompt": text}) for number in range(rows))
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
