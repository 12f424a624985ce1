"""The page in a real browser: chats, breaks, hostile answers, tabs, keys, size, and what it says to a screen reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from pagetools import PIXEL, counting_client, open_browser
from scripted import Scripted, failing, scripted_relay

from llmclients.history import History
from llmclients.relay import RelayServer
from llmclients.types.messages import Message, ToolCall
from llmclients.types.response import Chunk
from llmclients.types.usage import Usage

pytestmark = pytest.mark.long

MARKDOWN = """## Three things

Some **bold**, *slanted* and `code`, ~~gone~~, a [link](https://example.org/a_(b)) and https://example.org/c.

1. one
   - inner
   - [x] done
2. two

> A quote
> goes on

| name | count |
|:--|--:|
| `a|b` | 1 |

```python
def double(x):
    return 2 * x  # "twice"
```

---

The end.
"""
HOSTILE = """<script>window.ran = 1</script><img src=x onerror="window.ran = 2">

[click](javascript:window.ran=3) ![](https://evil.example/pixel.png) <https://a.example/"onmouseover="window.ran=4>

```html
</code></pre><script>window.ran = 5</script>
```

<svg/onload=window.ran=6>
"""

END = Chunk(finish_reason="stop", usage=Usage(input_tokens=12, output_tokens=34))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with open_browser(tmp_path_factory.mktemp("profile"), "--window-size=1200,900") as found:
        yield found


class Tab:
    """One tab, by what a user does and sees."""

    def __init__(self, browser: Any) -> None:
        self.browser = browser
        self.handle = browser.current_window_handle

    def run(self, script: str, *arguments: Any) -> Any:
        self.browser.switch_to.window(self.handle)
        return self.browser.execute_script(script, *arguments)

    def find(self, selector: str) -> Any:
        self.browser.switch_to.window(self.handle)
        return self.browser.find_element("css selector", selector)

    def wait(self, condition: Callable[[], Any], what: str = "") -> Any:
        from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        waiting = WebDriverWait(
            self.browser, 10, 0.05, ignored_exceptions=(NoSuchElementException, StaleElementReferenceException)
        )
        return waiting.until(lambda _: condition(), f"{what}; the page shows: {self.text[:2000]}")

    @property
    def text(self) -> str:
        return str(self.run("return document.body.innerText"))

    def until(self, condition: str, *arguments: Any) -> None:
        """Until a JavaScript expression of `arguments` holds.

        The page looks itself, and is not asked again and again: that would take more than all that is tested.
        """
        script = f"""const done = arguments[arguments.length - 1], start = performance.now();
            const look = () => {condition} ? done(null)
                : performance.now() - start > 10000 ? done(document.body.innerText) : setTimeout(look, 20);
            look();"""
        self.browser.switch_to.window(self.handle)
        shown = self.browser.execute_async_script(script, *arguments)
        assert shown is None, f"no {condition} with {arguments}; the page shows: {shown[:2000]}"

    def sees(self, text: str) -> None:
        self.until("document.body.innerText.includes(arguments[0])", text)

    def click(self, name: str) -> None:
        """The last button that is shown with this name."""
        script = """const found = [...document.querySelectorAll('button, summary')].filter((one) => one.checkVisibility() &&
            !one.disabled && [one.textContent, one.ariaLabel].includes(arguments[0]));
            found.at(-1)?.click(); return found.length"""
        self.wait(lambda: self.run(script, name), f"there is no {name!r}")

    def ask(self, text: str) -> None:
        self.until("document.querySelector('#send')?.checkVisibility()")
        self.find("#text").send_keys(text + "\n")

    def violations(self) -> list[str]:
        """What axe finds wrong."""
        if not self.run("return 'axe' in window"):
            self.run(files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
        found = self.browser.execute_async_script(
            "axe.run({ resultTypes: ['violations'] }).then((found) => arguments[0](found.violations))"
        )
        return [f"{rule['id']}: {[node['html'] for node in rule['nodes']]}" for rule in found]


@pytest.fixture
def tab(started: Any) -> Iterator[Tab]:
    yield Tab(started)
    bad = [
        entry["message"]
        for entry in started.get_log("browser")
        if entry["level"] == "SEVERE" and "Failed to load resource" not in entry["message"]
    ]
    with suppress(Exception):
        started.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        started.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    started.get("about:blank")
    assert bad == []


@pytest.fixture
def kept() -> Iterator[History]:
    with History.in_memory() as history:
        yield history


@pytest.fixture
def scripted(kept: History) -> Iterator[tuple[str, Scripted]]:
    with scripted_relay(page=kept) as (url, script):
        yield url, script


def opened(tab: Tab, url: str) -> Tab:
    tab.browser.get(f"{url}/")
    return tab


def test_a_whole_conversation(tab: Tab, scripted: tuple[str, Scripted], kept: History) -> None:
    url, script = scripted
    opened(tab, url)
    script.streams(*[Chunk(text=MARKDOWN[at : at + 7]) for at in range(0, len(MARKDOWN), 7)], END)
    tab.ask("Show me three things.")
    tab.sees("12 tokens in, 34 out")
    shown = "return [...document.querySelectorAll('.assistant .body *')].map((one) => one.tagName)"
    tags = set(tab.run(shown))
    assert tags >= {*("H3", "STRONG", "EM", "CODE", "DEL", "A", "OL", "UL", "LI", "BLOCKQUOTE", "TABLE", "PRE", "HR")}
    assert tab.find(".assistant .key").text == "def"
    assert tab.find(".assistant a").get_attribute("href") == "https://example.org/a_(b)"
    assert tab.find("#title").text == "Show me three things."

    script.streams(Chunk(text="Another one."), END)
    tab.click("Ask for another answer")
    tab.sees("2/2")
    assert "Another one." in tab.text
    tab.click("The version before")
    tab.sees("1/2")
    assert "Three things" in tab.text
    tab.click("Edit this message")
    assert tab.find("#text").get_attribute("value") == "Show me three things."
    tab.find("#text").clear()
    tab.ask("Show me four.")
    tab.wait(lambda: script.asked["messages"] == [{"role": "user", "content": "Show me four."}])
    tab.sees("Another one.")
    assert len(kept.all_turns(kept.conversations()[0])) == 5

    tab.click("More")
    tab.click("Rename")
    tab.find("#dialog-input").clear()
    tab.find("#dialog-input").send_keys("Things\n")
    tab.until("document.querySelector('#title').innerText === 'Things'")
    tab.find("#search").send_keys("four")
    tab.until("document.querySelector('#list mark')?.innerText === 'four'")
    assert tab.violations() == []
    tab.click("More")
    tab.click("Delete")
    tab.click("Delete")  # yes
    tab.until("document.querySelector('#title').innerText === 'New conversation'")
    assert kept.conversations() == []


def test_what_an_answer_says_is_never_run_and_loads_nothing(
    tab: Tab, scripted: tuple[str, Scripted], kept: History
) -> None:
    url, script = scripted
    opened(tab, url)
    script.streams(Chunk(text=HOSTILE, reasoning=HOSTILE), END)
    tab.ask(HOSTILE.replace("\n", " "))
    tab.sees("12 tokens in")
    kept.rename(kept.conversations()[0], "<img src=x onerror='window.ran = 7'>")
    tab.browser.refresh()
    tab.sees("<svg/onload=window.ran=6>")
    tab.sees("<img src=x onerror='window.ran = 7'>")

    assert tab.run("return window.ran") is None
    assert (
        tab.run("return document.querySelectorAll('#turns script, #turns img, #turns svg, [onerror], [onload]').length")
        == 0
    )
    assert (
        tab.run("return [...document.links].map((one) => one.protocol).filter((one) => !one.startsWith('http'))") == []
    )
    loaded = tab.run("return performance.getEntriesByType('resource').map((one) => one.name)")
    assert [name for name in loaded if not name.startswith(url)] == []
    tab.run("try { document.body.innerHTML = '<b>x' } catch (error) { window.refused = error.name }")
    assert tab.run("return window.refused") == "TypeError"
    assert "TrustedHTML" in tab.browser.get_log("browser")[-1]["message"]  # which reads it away


def test_breaks_and_errors_are_shown_as_they_are(tab: Tab, scripted: tuple[str, Scripted]) -> None:
    url, script = scripted
    opened(tab, url)
    script.answer = [Chunk(text="It was a dark and"), failing(503, "<b>too many people</b>")]
    tab.ask("Tell me a story.")
    tab.sees("Broken off by InternalServerError")
    assert "It was a dark and" in tab.find(".assistant .body").text
    assert "<b>too many people</b>" in tab.find(".assistant .broken").text
    assert "Broken off" in tab.find("#status").get_attribute("textContent")
    assert tab.violations() == []

    tab.find("#settings summary").click()
    tab.find("#others").send_keys('{"temprature": 1}')
    tab.ask("And now?")
    tab.sees("there is no option 'temprature'")
    assert tab.find("#text").get_attribute("value") == "And now?"  # nothing was lost


def test_what_is_loaded_can_be_read_without_the_relay_and_it_comes_back(tab: Tab, kept: History) -> None:
    for title in ("Rivers", "Hills"):
        kept.add(kept.start(title=title), f"About {title.lower()}.")
    with counting_client() as client:
        relay = RelayServer(client, page=kept).start()
        port = int(relay.url.rpartition(":")[2])
        opened(tab, relay.url)
        tab.until("document.querySelectorAll('#list a').length === 2")
        for title in ("Rivers", "Hills"):
            tab.run(
                "[...document.querySelectorAll('#list a')].find((one) => one.text.startsWith(arguments[0])).click()",
                title,
            )
            tab.sees(f"About {title.lower()}.")
        tab.ask("Count.")
        tab.sees("w1")
        relay.stop()
        tab.sees("The relay cannot be reached.")
        tab.sees("The connection to the relay broke.")
        assert "w1" in tab.text
        tab.run("[...document.querySelectorAll('#list a')].find((one) => one.text.startsWith('Rivers')).click()")
        tab.sees("About rivers.")
        assert not tab.find("#send").is_enabled()
        assert tab.violations() == []
        with RelayServer(client, page=kept, port=port):
            tab.until("!document.querySelector('#offline').checkVisibility()")  # it comes back
            tab.run("[...document.querySelectorAll('#list a')].find((one) => one.text.startsWith('Hills')).click()")
            tab.sees("Broken off: the relay was stopped")


def test_two_tabs_show_the_same_answer_and_either_stops_it(tab: Tab, kept: History) -> None:
    with counting_client() as client, RelayServer(client, page=kept) as relay:
        opened(tab, relay.url)
        tab.ask("Count.")
        tab.sees("w1")
        address = tab.browser.current_url
        tab.browser.switch_to.new_window("tab")
        other = Tab(tab.browser)
        other.browser.get(address)
        other.sees("w1 w2")
        other.click("Stop")
        other.sees("Broken off: stopped")
        other.browser.close()
        tab.sees("Broken off: stopped")
    assert kept.turns(kept.conversations()[0])[-1].text == "w1 w2 "


def test_the_key_is_asked_for_and_ends_with_the_tab(tab: Tab, kept: History) -> None:
    kept.start(title="Private")
    with scripted_relay(page=kept, api_key="open-sesame") as (url, _):
        opened(tab, url)
        tab.sees("The relay needs its key")
        assert "Private" not in tab.text
        assert tab.violations() == []
        tab.find("#dialog-input").send_keys("wrong\n")
        tab.sees("This key is not the relay’s")
        tab.find("#dialog-input").clear()
        tab.find("#dialog-input").send_keys("open-sesame\n")
        tab.sees("Private")
        tab.browser.refresh()
        tab.sees("Private")
        assert tab.run("return [localStorage.length, document.cookie]") == [0, ""]
        tab.browser.switch_to.new_window("tab")
        other = opened(Tab(tab.browser), url)
        other.sees("The relay needs its key")
        other.browser.close()
        tab.find("body")


def test_images_come_by_drop_and_paste_and_calls_of_tools_are_shown(
    tab: Tab, scripted: tuple[str, Scripted], kept: History
) -> None:
    url, script = scripted
    opened(tab, url)
    script.streams(Chunk(text="A dot."), END)
    event = """const data = new DataTransfer();
        const bytes = Uint8Array.from(atob(arguments[1].split(',')[1]), (one) => one.charCodeAt(0));
        data.items.add(new File([bytes], 'dot.png', { type: arguments[2] }));
        const fields = { bubbles: true, cancelable: true, dataTransfer: data, clipboardData: data };
        const kind = arguments[0] === 'drop' ? DragEvent : ClipboardEvent;
        document.querySelector('#text').dispatchEvent(new kind(arguments[0], fields));"""
    for name in ("drop", "paste"):
        tab.run(event, name, PIXEL, "image/png")
    tab.until("document.querySelectorAll('#pictures img').length === 2")
    tab.run(event, "drop", PIXEL, "text/plain")
    tab.sees("dot.png is not an image")
    tab.click("Remove image 2")
    tab.ask("What is it?")
    tab.sees("A dot.")
    assert [part["type"] for part in script.asked["messages"][0]["content"]] == ["image", "text"]
    tab.until("document.querySelector('.user img')?.naturalWidth === 1")

    conversation = kept.start(title="Weather")
    kept.add(conversation, "How is the weather?")
    kept.add(conversation, Message("assistant", None, tool_calls=[ToolCall("c1", "get_weather", {"city": "Rome"})]))
    kept.add(conversation, Message("tool", "Sunny, <b>30</b> degrees", tool_call_id="c1", name="get_weather"))
    tab.browser.get(f"{url}/#{conversation.id}")
    tab.sees("Calls get_weather")
    assert '"city": "Rome"' in tab.text
    tab.sees("Sunny, <b>30</b> degrees")
    assert tab.violations() == []


def test_ten_thousand_messages_open_at_once(
    tab: Tab, scripted: tuple[str, Scripted], kept: History, record_property: Callable[[str, object], None]
) -> None:
    url, _ = scripted
    conversation = kept.start(title="Long")
    question = kept.add(conversation, "Question 0?").id
    kept.add(conversation, Message("assistant", "Answer **0**.\n\n```python\nx = 0\n```\n"))
    with kept._database.transaction() as connection:  # one by one, they would take seconds
        rows = connection.execute("SELECT * FROM turn WHERE id >= ? ORDER BY id", (question,)).fetchall()
        columns = [column[1] for column in connection.execute("PRAGMA table_info(turn)")]
        connection.executemany(
            f"INSERT INTO turn VALUES ({', '.join('?' * len(columns))})",
            [
                [
                    {"id": question + number, "parent": question + number - 1, "depth": number}.get(
                        name, value.replace("0", str(number // 2)) if name == "text" else value
                    )
                    for name, value in zip(columns, rows[number % 2], strict=True)
                ]
                for number in range(2, 10_000)
            ],
        )
        connection.execute("UPDATE conversation SET leaf = ?", (question + 9_999,))
    opened(tab, url)
    tab.sees("10,000 messages")
    times = []
    for _ in range(3):
        tab.click("New conversation")
        tab.run("performance.clearMeasures(); document.querySelector('#list a').click()")
        tab.sees("Answer 4999.")
        tab.until("performance.getEntriesByName('open').length")
        times.append(tab.run("return performance.getEntriesByName('open')[0].duration"))
    record_property("milliseconds", times)
    assert sorted(times)[1] <= 200, times  # the median: other programs may have the machine for a moment

    for _ in range(8):
        script = (
            "document.querySelector('#scroll').scrollTop = 0; return document.querySelector('#turns').firstChild.id"
        )
        tab.until("document.querySelector('#turns').firstChild.id !== arguments[0]", tab.run(script))
    assert tab.run("return document.querySelectorAll('.turn').length") <= 300
    tab.find("#search").send_keys('"answer 77"')
    tab.until("document.querySelector('#list mark')?.checkVisibility()")
    tab.run("document.querySelector('#list a').click()")
    tab.until("document.querySelector('.found')?.innerText.indexOf('Answer 77.') > 0")
    assert tab.run("return document.querySelectorAll('.turn').length") <= 300


def test_an_answer_looks_the_same_however_it_came(tab: Tab, scripted: tuple[str, Scripted]) -> None:
    url, _ = scripted
    opened(tab, url)
    samples = [
        MARKDOWN,
        MARKDOWN * 3,
        HOSTILE,
        "- a\n\n- b\n\n  more\n\ntext\n- c\n\n```\nopen",
        "1. a\n\n   ```sh\n   ls\n\n   cd\n   ```\n2. b\n\n# H\ntext\n```js\n1\n```\nafter",
        "> quote\nlazy\n\n> other\n\n    code\n\n    more\n\npara\n***\nx",
    ]
    script = """const [text, size] = arguments;
        const whole = markdown(text, document.createElement('div')), node = document.createElement('div');
        const growing = new Growing(node);
        for (let at = 0; at < text.length; at += size) { growing.text += text.slice(at, at + size); growing.draw(); }
        const flat = (one) => [...one.childNodes].map((inner) => inner.nodeName === 'DIV' && ['', 'far'].includes(inner.className) ? flat(inner) : inner.outerHTML).join('');
        const plain = (one) => { one.normalize(); return flat(one).replace(/<\\/?span[^>]*>/g, ''); };
        return [plain(node), plain(whole)];"""
    for sample in samples:
        for size in (1, 7, 1000):
            grown, whole = tab.run(script, sample, size)
            assert grown == whole, (sample, size)


def test_a_hostile_answer_does_not_hold_the_page(
    tab: Tab, scripted: tuple[str, Scripted], subtests: pytest.Subtests
) -> None:
    opened(tab, scripted[0])
    script = """const text = arguments[0] + arguments[1].repeat(arguments[2]), start = performance.now();
        markdown(text, document.createElement('div')); return performance.now() - start"""
    for begin, text, count in (
        ("", "[", 200_000),
        ("", "*a ", 70_000),
        ("```", "``` ", 50_000),
        ("", "> ", 100_000),
        ("", "**_", 70_000),
        ("", "![a](", 40_000),
        ("", "| a ", 50_000),
    ):
        with subtests.test(begin + text):
            assert tab.run(script, begin, text, count) < 2000


def test_a_long_answer_is_shown_in_linear_time(tab: Tab, scripted: tuple[str, Scripted]) -> None:
    opened(tab, scripted[0])
    script = """const [text] = arguments, node = make('article', { className: 'turn' });
        $('turns').append(node);
        const growing = new Growing(node), start = performance.now();
        for (let at = 0; at < text.length; at += 2000) { growing.text += text.slice(at, at + 2000); growing.draw(); }
        return performance.now() - start;"""
    paragraphs = "Some **bold** text and `code`, in a sentence.\n\n- a\n- b\n\n"
    for text in (paragraphs * 5000, "```py\n" + "x = 1  # code\n" * 20_000):
        assert tab.run(script, text) < 3000, text[:5]


def test_it_is_used_by_keyboard_on_a_phone_and_in_the_dark(
    tab: Tab, scripted: tuple[str, Scripted], kept: History
) -> None:
    url, script = scripted
    kept.add(kept.start(title="Rivers"), "About rivers.")
    tab.browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    )
    tab.browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    )
    opened(tab, url)
    script.streams(Chunk(text=MARKDOWN), END)
    assert tab.run("return document.activeElement.id") == "text"
    tab.ask("Show me three things.")
    tab.sees("12 tokens in, 34 out")
    assert tab.run("return document.documentElement.scrollWidth") <= 390
    assert tab.run("return getComputedStyle(document.body).backgroundColor") == "rgb(23, 25, 29)"
    assert not tab.find("#search").is_displayed()
    assert tab.violations() == []
    keys = "document.dispatchEvent(new KeyboardEvent('keydown', { key: arguments[0], ctrlKey: arguments[1], bubbles: true }))"
    tab.run(keys, "k", True)
    assert tab.run("return document.activeElement.id") == "search"
    assert tab.violations() == []
    tab.run(keys, "Escape", False)
    assert not tab.find("#search").is_displayed()


@pytest.mark.local
def test_a_conversation_with_the_local_model(tab: Tab, tmp_path: Path, small_model: Path) -> None:
    """Its engine; a grammar has it say the same each time."""
    said = {"extra": {"grammar": 'root ::= "It is Rome."'}}
    with History.open(tmp_path / "history.db") as history, RelayServer(defaults=said, page=history) as relay:
        opened(tab, relay.url)
        tab.find("#settings summary").click()
        tab.find("#max_tokens").send_keys("20")
        tab.find("#temperature").send_keys("0")
        tab.ask("Name the capital of Italy.")
        tab.wait(lambda: tab.find(".assistant footer .meta").text)
        assert tab.find(".assistant .body").text == "It is Rome."
        assert "tokens in" in tab.find(".assistant footer").text
        tab.ask("And of France?")
        tab.wait(lambda: tab.text.count("It is Rome.") == 2)

        def sizes() -> list[int]:
            usages = (turn.usage for turn in history.turns(history.conversations()[0]))
            return [usage.input_tokens or 0 for usage in usages if usage]

        tab.wait(lambda: len(sizes()) == 2)
        assert 0 < sizes()[0] < sizes()[1], "the second question goes without the first"
