"""Markdown in a terminal: what its user sees, however the text was cut, and how often a row is written."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pyte
import pytest

from llmclients import ChatResponse, Chunk
from llmclients.cli.markdown.stream import MarkdownStream
from llmclients.cli.markdown.styles import COLOURED, UNCOLOURED
from llmclients.cli.views import TerminalView
from llmclients.history import History

COLUMNS, ROWS = 60, 20

TEXT = '''# Rivers

The **Nile** is *very* long, see `nile.txt`, [a page](https://example.org/a_(b)) and snake_case_names; 5 * 3 is [15], ~~14~~.
- one item that is too long for a row of this terminal, and goes on in the next one
  1. an inner **one**
- [x] done

> Quoted, and long enough that it has to go on in a second row as well.

```python
def length(name):
    """In km.

    Of a river."""
    return {"Nile": 6650}[name]
```
| River | km | Note |
|---|---:|---|
| Nile | 6650 | **long**, flows through eleven countries into the sea |
| Po | 652 | |

東京は日本の首都であり、世界最大の都市圏を持つ大都市である。人口は約千四百万人。
An *open mark, and a last line without an end'''

SHOWN = """\
Rivers

The Nile is very long, see nile.txt, a page
(https://example.org/a_(b)) and snake_case_names; 5 * 3 is
[15], 14.
• one item that is too long for a row of this terminal, and
  goes on in the next one
  1. an inner one
☑ done

│ Quoted, and long enough that it has to go on in a second
│ row as well.

── python ──
def length(name):
    \"\"\"In km.

    Of a river.\"\"\"
    return {"Nile": 6650}[name]
──
River    km  Note
─────  ────  ───────────────────────────────────────────────
Nile   6650  long, flows through eleven countries into the
             sea
Po      652

東京は日本の首都であり、世界最大の都市圏を持つ大都市である。
人口は約千四百万人。
An *open mark, and a last line without an end"""


def written(text: str, cuts: random.Random | None, rows: int = ROWS) -> str:
    """All that goes to the terminal, of a text that comes in pieces; None: whole."""
    stream = MarkdownStream(lambda: (COLUMNS, rows), COLOURED)
    out, position = "", 0
    while position < len(text):
        size = len(text) if cuts is None else cuts.randint(1, 9)
        stream.feed(text[position : position + size])
        out += stream.taken()
        position += size
    return out + stream.end()


def on_screen(out: str, rows: int = ROWS) -> tuple[str, pyte.HistoryScreen]:
    """What the user sees, with what has scrolled away."""
    screen = pyte.HistoryScreen(COLUMNS, rows, history=1000)
    pyte.Stream(screen).feed(out.replace("\n", "\r\n"))
    past = ["".join(row[column].data for column in range(COLUMNS)) for row in screen.history.top]
    return "\n".join(line.rstrip() for line in (*past, *screen.display)).rstrip(), screen


def test_what_is_shown_is_the_same_however_the_text_was_cut() -> None:
    for cuts in (None, *map(random.Random, range(10))):
        shown, _ = on_screen(written(TEXT, cuts))
        assert shown == SHOWN


def test_marks_become_looks() -> None:
    screen = on_screen(written("# T\n**b** *i* `c` [l](u) x\n```python\nreturn 1\n```\n", None))[1]
    title, line, code = screen.buffer[0][0], screen.buffer[1], screen.buffer[3][0]
    assert (title.bold, title.underscore) == (True, True)
    assert (line[0].bold, line[2].italics, line[4].fg, line[6].underscore) == (True, True, "cyan", True)
    assert (line[1].bold, line[7].underscore, line[12].data, line[12].fg) == (False, False, "x", "default")
    assert code.fg != "default"


def test_a_row_is_written_once_and_rows_of_code_and_tables_once_more() -> None:
    for rows in (8, 40):
        counts: dict[int, int] = {}
        row = 0
        for token in re.findall("\x1b\\[(\\d+)A\x1b\\[J|(\n)", written(TEXT, random.Random(1), rows)):
            if token[1]:
                counts[row] = counts.get(row, 0) + 1
                row += 1
            else:
                assert 0 < int(token[0]) < rows, "what has scrolled away cannot be written again"
                row -= int(token[0])
        assert set(counts.values()) == {1, 2}


def test_prose_is_never_written_again() -> None:
    prose = TEXT.partition("```")[0]
    out = written(prose, random.Random(2))
    assert "\r" not in out
    assert set(re.findall("\x1b\\[[0-9;]*(.)", out)) == {"m"}


def test_a_block_that_is_higher_than_the_screen_is_coloured_as_a_whole() -> None:
    code = "```python\n" + '"""\n' + "a text of many lines\n" * 40 + '"""\nreturn 1\n```\n'
    shown, screen = on_screen(written(code, random.Random(3)))
    assert shown.count("a text of many lines") == 40
    lines = [*screen.history.top, *(screen.buffer[row] for row in range(ROWS))]
    colours = {line[0].fg for line in lines if line[0].data == "a"}
    assert len(colours) == 1
    assert "default" not in colours


def test_rows_fit_the_window_as_it_is_by_then() -> None:
    width = 60
    stream = MarkdownStream(lambda: (width, ROWS), UNCOLOURED)
    out = ""
    for number in range(200):
        width = 60 if number < 60 else 24
        stream.feed(f"word{number} ")
        out += stream.taken()
    lengths = [*map(len, (out + stream.end()).rstrip("\n").split("\n"))]
    assert 48 < max(lengths[:5]) <= 60
    assert max(lengths[10:]) <= 24


def test_a_table_breaks_no_word_where_it_need_not() -> None:
    table = "| River | Water in m³/s | Notes |\n|---|---:|---|\n| Nile | 2,830 | flows through eleven countries |\n"
    for columns in (60, 30):
        stream = MarkdownStream(lambda: (columns, ROWS), UNCOLOURED, can_rewrite=False)  # noqa: B023 - asked at once
        stream.feed(table)
        out = stream.end().replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
        assert {*table.replace("|", "").replace("-", "").replace(":", "").split()} <= {*out.split()}
        assert max(map(len, out.splitlines())) <= columns


def test_nothing_of_an_answer_acts_on_the_terminal() -> None:
    evil = "a\x1b[2Jb\x07\x9b1m\u202ec\x1b]0;title\x07\r\x00 `\x1b[A` \x7f\ud800d"
    for cuts in (None, random.Random(0)):
        out = written(evil, cuts)
        assert set(re.findall("\x1b\\[[0-9;]*(.)", out)) <= {"m"}
        assert not set(out) & set("\x07\x9b\u202e\r\x00\x7f\ud800")
        assert "a[2Jb" in out


def test_without_colours_there_are_none() -> None:
    stream = MarkdownStream(lambda: (COLUMNS, ROWS), UNCOLOURED)
    stream.feed(TEXT)
    looks = set(re.findall("\x1b\\[([0-9;]*)m", stream.taken() + stream.end()))
    assert looks <= {"", "0", "1", "2", "3", "4", "9", "1;4"}


@pytest.mark.long
def test_a_megabyte_takes_less_than_a_second(tmp_path: Path) -> None:
    """Of processor time, with the history, in pieces of 40 characters; on a machine that starts Python in 12 ms, and as
    much longer as this one takes for that.
    """
    size = 1_000_000
    unit = 4 * TEXT.partition("```")[0] + TEXT + "\n\n"
    text = (unit * (size // len(unit) + 1))[:size]
    chunks = [Chunk(text=text[start : start + 40]) for start in range(0, size, 40)]
    with History.open(tmp_path / "h.db") as history, (tmp_path / "out").open("w") as out:
        conversation = history.start(source="terminal")
        history.add(conversation, "Tell me")
        with history.answer(conversation) as writer:
            view = TerminalView(out, COLOURED, lambda: (COLUMNS, ROWS))
            started = time.process_time()
            view.begin(writer)
            for chunk in chunks:
                view.chunk(chunk)
            view.end()
            seconds = time.process_time() - started
            writer.complete(ChatResponse(text=text))
    before = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    assert seconds < max((time.monotonic() - before) / 0.012, 1)


@pytest.mark.long
def test_the_work_grows_with_the_text_and_not_faster() -> None:
    units = {
        "prose": TEXT.partition("```")[0] + "\n\n",
        "all": TEXT + "\n\n",
        "one line": "word *x* and snake_case ",
        "ticks": "`",
        "bars": "|",
        "a word": "x",
        "marks": "*a **b _c `d [e ",
    }
    for name, unit in units.items():
        seconds = []
        for size in (20_000, 80_000):
            text = (unit * (size // len(unit) + 1))[:size]
            stream = MarkdownStream(lambda: (COLUMNS, ROWS), COLOURED)
            started = time.process_time()
            for start in range(0, size, 20):
                stream.feed(text[start : start + 20])
                stream.taken()
            stream.end()
            seconds.append(time.process_time() - started)
        assert seconds[1] < 8 * seconds[0] + 0.1, f"{name}: {seconds}"
