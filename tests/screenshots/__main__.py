"""`python -m tests.screenshots`: write `docs/images/terminal.svg`: a session in a real terminal, with a scripted model."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from model_server import ModelServer
from pty_terminal import Terminal

from screenshots.svg import as_svg

IMAGES = Path(__file__).parents[2] / "docs" / "images"

ANSWER = """\
The **Nile** is usually called the longest, the *Amazon* has the most water:

| River | Length in km | Water in m³/s |
|---|---:|---:|
| Nile | 6,650 | 2,830 |
| Amazon | 6,400 | 209,000 |

To order such a list by length:

```python
def by_length(rivers: dict[str, int]) -> list[str]:
    # the longest one first
    return sorted(rivers, key=rivers.get, reverse=True)
```
"""
SHORT = {"m-large": "By length, the Nile; by water, the Amazon.", "m-small": "The Amazon is the **greatest** river."}


def main() -> None:
    """Talk, and draw the screen."""
    os.environ |= {"LLMCLIENTS_HISTORY": "off", "LLMCLIENTS_KEYS": "off", "OPENAI_API_KEY": "none"}

    def answer(question: str) -> list[str | float | None]:
        model = server.sent[-1]["model"]
        text = ANSWER if question.startswith("Which") else SHORT[model]
        pieces: list[str | float | None] = [0.31 if model == "m-large" else 0.12]
        for start in range(0, len(text), 4):
            pieces += [text[start : start + 4], 0.004]
        return pieces

    with (
        ModelServer(answer) as server,
        Terminal("chat", "openai/m-large", "--base-url", server.url, columns=78, rows=30) as terminal,
    ):
        terminal.wait_for("openai/m-large>")
        for line, seen in (
            ("Which river is the longest?", "tokens"),
            ("In one sentence?", "the Amazon."),
            ("/again openai/m-small", "m-small · "),
        ):
            terminal.type(f"{line}\r")
            terminal.wait_for(line, seen)
        terminal.wait_until(lambda text: text.endswith("openai/m-large>"), "the last prompt")
        svg = as_svg(terminal.screen, "llmclients chat openai/m-large")
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / "terminal.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
