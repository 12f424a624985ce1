"""The web programs of docs/web-programs.md behind real servers: what a reader sees, and what the provider sees of it."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
from upstream import BOUND, EXAMPLES, Page, Upstream, asgi_server, example, wsgi_server

pytestmark = pytest.mark.long


@dataclass
class Served:
    """A program behind a server.

    Attributes:
        ask: asks it, and gives the answer's beginning.
        text: what a piece of the answer says.
        no_prompt: the status of a question without a prompt.
        hears_of_leaving: whether the server is told at once that a reader has left, and not by its next piece.
        breaks_by_event: whether an answer that breaks off ends in an event, and not without its end mark.
    """

    ask: Callable[[str | None], Page]
    text: Callable[[str], str] = str
    no_prompt: int = 400
    hears_of_leaving: bool = False
    breaks_by_event: bool = False


@pytest.fixture(scope="module")
def gunicorn(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """The command that the program itself names: two workers, forked from a process that has used the client.

    Returns:
        The port, and a file in which each worker notes its id for every request.
    """
    folder = tmp_path_factory.mktemp("gunicorn")
    config, asked = folder / "conf.py", folder / "asked"
    config.write_text(f"def pre_request(worker, _):\n    print(worker.pid, file=open({str(asked)!r}, 'a'))\n")
    command = re.search(r"gunicorn (--preload .*)", (EXAMPLES / "gunicorn_app.py").read_text())
    assert command is not None
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-b", "127.0.0.1:0", "-c", config, *command[1].rstrip('"').split()],
        cwd=EXAMPLES,
        env=upstream.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        port, workers = 0, 0
        while workers < 2:
            line = process.stderr.readline()
            assert line, "gunicorn has ended"
            if found := re.search(r"Listening at: http://127.0.0.1:(\d+)", line):
                port = int(found[1])
            workers += "Booting worker" in line
        yield port, asked
    finally:
        process.terminate()
        process.stderr.close()
        process.wait(BOUND)


PROGRAMS = ("flask", "fastapi", "django", "django, async", "gunicorn")


@pytest.fixture(scope="module")
def django_program(upstream: Upstream) -> Iterator[ModuleType]:
    """Imported once: a process has one Django."""
    with example("django_app", upstream) as program:
        yield program


@pytest.fixture(scope="module", params=PROGRAMS)
def served(request: pytest.FixtureRequest, upstream: Upstream) -> Iterator[Served]:
    """Each program in turn."""
    with ExitStack() as stack:
        if request.param == "flask":
            program = stack.enter_context(example("flask_app", upstream))
            stack.callback(program.client.close)
            port = stack.enter_context(wsgi_server(program.app))
            yield Served(lambda prompt: Page(port, "/chat", prompt), text_events, breaks_by_event=True)
        elif request.param == "fastapi":
            program = stack.enter_context(example("fastapi_app", upstream))
            port = stack.enter_context(asgi_server(program.app))
            yield Served(lambda prompt: Page(port, "/chat", prompt, post=True), no_prompt=422, hears_of_leaving=True)
        elif request.param == "gunicorn":
            port, _ = request.getfixturevalue("gunicorn")
            yield Served(lambda prompt: Page(port, "/", prompt))
        else:
            program = request.getfixturevalue("django_program")
            if request.param == "django":
                stack.callback(program.client.close)
                port = stack.enter_context(wsgi_server(program.wsgi))
                yield Served(lambda prompt: Page(port, "/chat", prompt))
            else:
                port = stack.enter_context(asgi_server(program.asgi))
                yield Served(lambda prompt: Page(port, "/async-chat", prompt), hears_of_leaving=True)


def text_events(piece: str) -> str:
    """The text in events such as flask_app.py sends."""
    return "".join(json.loads(data) for data in re.findall(r"^event: text\ndata: (.*)$", piece, re.MULTILINE))


def test_the_text_arrives_piece_by_piece(served: Served, upstream: Upstream) -> None:
    with served.ask("Tell me about the Nile.") as page:
        assert page.status == 200
        seen = []
        for _ in upstream.PIECES:
            seen.append(served.text(page.piece()))
            upstream.seen.release()  # the provider sends the next one now, and not before
        assert tuple(seen) == upstream.PIECES
        assert served.text(page.text()) == ""


def test_a_reader_who_leaves_midway_ends_the_request(served: Served, upstream: Upstream) -> None:
    for prompt, piece in [("endless", "and on"), ("silent", "Once")][: 1 + served.hears_of_leaving]:
        upstream.forget()
        with served.ask(prompt) as page:
            assert piece in page.piece()
            assert not upstream.left.is_set()
        assert upstream.left.wait(BOUND)


def test_a_refusal_becomes_a_status_with_words(served: Served) -> None:
    for prompt, status, words in (("401", 502, "does not answer"), ("429", 503, "Too many questions")):
        page = served.ask(prompt)
        assert (page.status, page.response.headers["Retry-After"]) == (status, "60" if status == 503 else None)
        text = page.text()
        assert words in text
        assert "the-key" not in text


def test_a_reader_sees_that_an_answer_broke_off(served: Served) -> None:
    page = served.ask("break")
    assert page.status == 200
    if served.breaks_by_event:
        text = page.text()
        assert text_events(text) == "Once"
        assert "event: failed" in text
    else:
        with pytest.raises(http.client.IncompleteRead) as caught:
            page.text()
        assert b"Once" in caught.value.partial


def test_a_question_without_a_prompt_is_the_reader_s_mistake(served: Served) -> None:
    with served.ask(None) as page:
        assert page.status == served.no_prompt


def test_the_page_in_the_browser_knows_every_event(upstream: Upstream) -> None:
    program = (EXAMPLES / "flask_app.py").read_text()

    assert set(re.findall(r'addEventListener\("(\w+)"', program)) == set(re.findall(r'yield event\("(\w+)"', program))


def test_every_worker_has_connections_of_its_own(gunicorn: tuple[int, Path]) -> None:
    port, asked = gunicorn
    asked.unlink(missing_ok=True)
    while not asked.exists() or len(set(asked.read_text().split())) < 2:
        with ExitStack() as stack:
            pages = [stack.enter_context(Page(port, "/", "endless")) for _ in range(8)]
            for _ in range(3):
                assert all(re.fullmatch("(and on )+", page.piece()) for page in pages)
