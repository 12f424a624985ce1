"""`python -m tests.screenshots.page`: take the pictures of `docs/the-page.md` in Chromium, and write them to docs/images."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "relay"))

from pagetools import open_browser
from scripted import scripted_relay

from llmclients.history import History
from llmclients.types.messages import Message, ToolCall
from llmclients.types.response import ChatResponse
from llmclients.types.usage import Usage

IMAGES = Path(__file__).parents[2] / "docs" / "images"

CODE = """A **generator** gives one value after the other, and keeps its place in between:

```python
def countdown(start: int):
    while start > 0:
        yield start  # here it waits
        start -= 1

print(list(countdown(3)))  # [3, 2, 1]
```

| | list | generator |
| --- | --- | --- |
| memory | all values | one value |
| can be read again | yes | no |

Use one where you do not need all values *at once*.
"""
RIVERS = (
    ("What is the longest river?", "By most counts the Nile, with about **6,650 km**. Some say the Amazon."),
    ("And the deepest?", "The Congo: in its lower course it is more than 220"),
)


def fill(history: History) -> dict[str, str]:
    """Three conversations; gives their ids by what they show."""
    rivers = history.start(source="terminal")
    for question, answer in RIVERS:
        history.add(rivers, question)
        with history.answer(rivers, provider="local", model="qwen3-0.6b") as writer:
            writer.write(answer)
            if answer.endswith("."):
                usage = Usage(input_tokens=24, output_tokens=25)
                response = ChatResponse(text=answer, provider="local", model="qwen3-0.6b", usage=usage)
                writer.complete(response.model_copy(update={"finish_reason": "stop"}))
            else:
                writer.broke("stopped")
    weather = history.start(source="library")
    history.add(weather, "How is the weather in Rome?")
    call = ToolCall("call_1", "get_weather", {"city": "Rome"})
    history.add(weather, Message("assistant", None, tool_calls=[call]))
    history.add(weather, Message("tool", '{"sky": "clear", "celsius": 24}', tool_call_id="call_1", name="get_weather"))
    answered(history, weather, "It is clear, with 24 degrees.", 71, 12)
    code = history.start(source="page", model="gpt-4.1-mini")
    question = history.add(code, "What is a generator in Python? Be brief.")
    answered(history, code, "A function with `yield`.", 18, 9)
    answered(history, code, CODE, 18, 141, parent=question.id)
    return {"rivers": rivers.id, "weather": weather.id, "code": code.id}


def answered(history: History, conversation: Any, text: str, asked: int, used: int, **where: Any) -> None:
    """Add a whole answer."""
    who: dict[str, Any] = {"provider": "openai", "model": "gpt-4.1-mini"}
    with history.answer(conversation, **who, **where) as writer:
        writer.write(text)
        usage = Usage(input_tokens=asked, output_tokens=used)
        writer.complete(ChatResponse(text=text, finish_reason="stop", usage=usage, **who))


def main() -> None:
    """Take them all."""
    with (
        tempfile.TemporaryDirectory() as profile,
        History.in_memory() as history,
        scripted_relay(page=history) as (url, _),
        open_browser(Path(profile)) as browser,
    ):
        ids = fill(history)
        for name, shown, width, height, scheme in (
            ("page-light", "code", 1100, 860, "light"),
            ("page-dark", "weather", 1100, 860, "dark"),
            ("page-phone", "rivers", 390, 780, "light"),
        ):
            size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
            browser.get("about:blank")
            browser.get(f"{url}/#{ids[shown]}")
            browser.set_script_timeout(10)
            browser.execute_async_script(
                "const done = arguments[0], look = () => document.querySelector('.turn') && $('cost').textContent"
                " ? (document.activeElement.blur(), setTimeout(done, 300)) : setTimeout(look, 20); look()"
            )
            browser.save_screenshot(str(IMAGES / f"{name}.png"))
            print(IMAGES / f"{name}.png")


if __name__ == "__main__":
    main()
