"""`bulk`: what a user gives, what is written, what a second run does. Both clients; the provider is scripted."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from llmclients import AsyncClient, AuthenticationError, Client, ConfigurationError, UnsupportedOptionError
from llmclients.bulk import BulkReport, Limits
from llmclients.testing import MockTransport, Reply

SIDES = ["Client", "AsyncClient"]
side = pytest.mark.parametrize("side", SIDES)


def answer(request: Any) -> Reply:
    """The prompt again, in capitals; an error for one with `bad` in it."""
    prompt = request.json["messages"][-1]["content"]
    return Reply.error(400, "a bad prompt") if "bad" in prompt else Reply.text(prompt.upper())


class Provider:
    """A scripted provider that notes what it is asked."""

    def __init__(self, answer: Callable[[Any], Reply] = answer) -> None:
        self.asked: list[Any] = []
        self._answer = answer
        self._lock = threading.Lock()

    def __call__(self, request: Any) -> Reply:
        with self._lock:
            self.asked.append(request.json)
        return self._answer(request)

    @property
    def prompts(self) -> list[str]:
        return sorted(payload["messages"][-1]["content"] for payload in self.asked)


def run(side: str, provider: Provider, rows: Any, out: Path, client: Any = None, **options: Any) -> BulkReport:
    settings: dict[str, Any] = {"api_key": "k", "transport": MockTransport(provider), "retry": None, **(client or {})}
    options = {"progress": False, **options}
    if side == "Client":
        with Client("openai/m", **settings) as one:
            return one.bulk(rows, out, **options)

    async def main() -> BulkReport:
        async with AsyncClient("openai/m", **settings) as one:
            return await one.bulk(rows, out, **options)

    return asyncio.run(main())


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


@side
def test_rows_of_every_kind_are_answered_in_their_order(side: str, tmp_path: Path) -> None:
    source, out, provider = tmp_path / "in.jsonl", tmp_path / "out.jsonl", Provider()
    rows = [
        "plain",
        {"id": 7, "prompt": "with an id", "temperature": 0.5},
        {"messages": [{"role": "user", "content": "messages"}], "model": "other", "system": "briefly"},
    ]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows) + "\n", encoding="utf-8")
    report = run(side, provider, source, out, max_tokens=9)

    found = lines(out)
    assert [line["text"] for line in found] == ["PLAIN", "WITH AN ID", "MESSAGES"]
    assert list(found[0]) == [
        *("id", "text", "parsed", "tool_calls", "usage", "finish_reason", "error", "attempts", "seconds"),
    ]
    assert found[1] | {"seconds": 0} == {
        "id": 7,
        "text": "WITH AN ID",
        "parsed": None,
        "tool_calls": [],
        "finish_reason": "stop",
        "error": None,
        "usage": {"input_tokens": 3, "output_tokens": 3, "total_tokens": 6},
        "attempts": 1,
        "seconds": 0,
    }
    by_prompt = {payload["messages"][-1]["content"]: payload for payload in provider.asked}
    assert by_prompt["with an id"]["temperature"] == 0.5
    assert by_prompt["messages"]["model"] == "other"
    assert by_prompt["messages"]["messages"][0] == {"role": "system", "content": "briefly"}
    assert all(payload["max_completion_tokens"] == 9 for payload in provider.asked)
    assert (report.ok, report.rows, report.asked, report.attempts, report.failed) == (True, 3, 3, 3, 0)
    assert report.usage is not None
    assert report.usage.total_tokens == sum(line["usage"]["total_tokens"] for line in found)
    assert "3 rows" in str(report)


@side
def test_a_second_run_asks_nothing_and_one_that_was_stopped_only_the_rest(side: str, tmp_path: Path) -> None:
    out, provider = tmp_path / "out.jsonl", Provider()
    prompts = [f"p{number}" for number in range(20)]

    def some() -> Any:
        yield from prompts[:8]
        raise RuntimeError("the program's own")

    with pytest.raises(RuntimeError, match="own"):
        run(side, provider, some(), out, concurrency=1)
    asked = len(provider.asked)
    assert 6 <= asked <= 8
    assert not out.exists()

    report = run(side, provider, prompts, out)
    assert report.kept == asked
    assert provider.prompts == sorted(prompts)
    before = out.read_bytes()
    again = run(side, provider, prompts, out)
    assert (again.asked, again.kept, again.rows, len(provider.asked)) == (0, 20, 20, 20)
    assert out.read_bytes() == before


@side
def test_rows_that_are_wrong_are_lines_that_say_where_or_end_the_run(side: str, tmp_path: Path) -> None:
    source, out, provider = tmp_path / "in.jsonl", tmp_path / "out.jsonl", Provider()
    wrong = [
        ("{nope", "line 2: no JSON"),
        ('{"id": 1, "prompt": "again"}', "line 3: the id 1 is another row's"),
        ('{"prompt": "x", "temprature": 1}', "line 4: there is no option 'temprature': did you mean 'temperature'?"),
        ('{"question": "x"}', "line 5: it has no prompt and no messages, only question"),
        ("[]", "line 6: messages is empty"),
        ("17", "line 7: a row must be text"),
        ('{"prompt": "x", "temperature": -1}', "line 8: ChatRequest: temperature"),
        ('{"prompt": "x", "id": [1]}', "line 9: id must be"),
        ('{"prompt": "x", "messages": ["y"]}', "line 10: it has both"),
        ("[" * 100_000, "line 11: its JSON is nested too deeply"),
        ("\xff", "line 12: no JSON"),
    ]
    text = '{"id": 1, "prompt": "good"}\n' + "\n".join(line for line, _ in wrong) + "\n"
    source.write_bytes(text.encode("latin-1"))
    report = run(side, provider, source, out)

    found = lines(out)
    assert provider.prompts == ["good"]
    assert found[0]["text"] == "GOOD"
    for line, (_, message) in zip(found[1:], wrong, strict=True):
        assert line["error"]["message"].startswith(message), line
        assert line["attempts"] == 0
    assert [line["id"] for line in found[1:3]] == [None, None]  # an id stays the first one's
    assert (report.failed, report.answered, report.asked, report.ok) == (11, 1, 1, False)
    assert report.errors["UnsupportedOptionError"] == 1

    for row in ("{nope", '{"prompt": "x", "temprature": 1}'):
        source.write_text(row, encoding="utf-8")
        with pytest.raises(ConfigurationError, match="line 1: "):
            run(side, provider, source, tmp_path / "strict.jsonl", strict=True, allow_changes=True)


@side
def test_failed_rows_are_kept_and_asked_again_when_told(side: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    prompts = ["one", "a bad one", "two"]
    report = run(side, Provider(), prompts, out)
    assert report.errors == {"BadRequestError": 1}
    assert lines(out)[1]["error"]["type"] == "BadRequestError"

    mended = Provider(lambda request: Reply.text("mended"))
    report = run(side, mended, prompts, out)
    assert report.failed == 1
    assert str(report).endswith("2 answered, 1 failed, 3 kept, retry_failed asks those that failed again")
    assert mended.asked == []
    report = run(side, mended, prompts, out, retry_failed=True)
    assert (report.ok, report.kept, report.asked, mended.prompts) == (True, 2, 1, ["a bad one"])
    assert [line["text"] for line in lines(out)] == ["ONE", "mended", "TWO"]


@side
def test_a_rejected_key_ends_the_run_and_is_no_row_s_error(side: str, tmp_path: Path) -> None:
    rows, out = [f"row {number}" for number in range(60)], tmp_path / "out.jsonl"

    def until(good: int) -> Provider:
        provider = Provider(lambda request: answer(request) if len(provider.asked) <= good else Reply.error(401, "no"))
        return provider

    wrong = until(0)
    with pytest.raises(AuthenticationError):
        run(side, wrong, rows, out, concurrency=4)
    assert len(wrong.asked) <= 4
    revoked = until(10)
    with pytest.raises(AuthenticationError):
        run(side, revoked, rows, out, concurrency=1)
    assert len(revoked.asked) == 31

    report = run(side, Provider(), rows, out, retry_failed=True)
    assert (report.kept, report.asked, report.errors) == (10, 50, {})

    now_and_then = Provider(lambda request: Reply.error(401) if len(now_and_then.asked) % 9 == 2 else answer(request))
    report = run(side, now_and_then, rows, tmp_path / "other.jsonl", concurrency=1)
    assert report.errors == {"AuthenticationError": 7}


@side
def test_what_has_changed_is_refused_unless_told_and_then_only_that_is_asked(side: str, tmp_path: Path) -> None:
    source, out, provider = tmp_path / "in.csv", tmp_path / "out.jsonl", Provider()
    source.write_text("id,topic\na,cats\nb,dogs\n", encoding="utf-8")
    options: dict[str, Any] = {"template": "About {topic}.", "columns": ["topic"]}
    run(side, provider, source, out, **options)

    changes: list[tuple[dict[str, Any], str]] = [
        ({"template": "On {topic}."}, "template"),
        ({"model": "other"}, "model"),
        ({"temperature": 1}, "option"),
        ({"system": "briefly"}, "system"),
        ({"columns": []}, "columns"),
        ({"client": {"base_url": "http://127.0.0.1:9/v1"}}, "address"),
    ]
    for change, named in changes:
        with pytest.raises(ConfigurationError, match=f"{named}.* is not what it was .*allow_changes"):
            run(side, provider, source, out, **{**options, **change})
    source.write_text("id,topic\na,cats\nb,birds\nc,dogs\n", encoding="utf-8")
    with pytest.raises(ConfigurationError, match="the input is not what it was"):
        run(side, provider, source, out, **options)
    assert len(provider.asked) == 2

    for _ in range(2):  # the second time nothing has changed
        report = run(side, provider, source, out, allow_changes=True, **options)
        assert provider.prompts == ["About birds.", "About cats.", "About dogs.", "About dogs."]
        assert [(line["id"], line["text"]) for line in lines(out)] == [
            *(("a", "ABOUT CATS."), ("b", "ABOUT BIRDS."), ("c", "ABOUT DOGS.")),
        ]
    assert (report.kept, report.cached, report.asked) == (3, 0, 0)


@side
def test_an_iterable_that_has_changed_is_noticed_row_by_row(side: str, tmp_path: Path) -> None:
    out, provider = tmp_path / "out.jsonl", Provider()
    run(side, provider, ["one", "two"], out)

    for rows in (["one", "three"], [{"id": "1", "prompt": "one"}, "two"], ["one"]):
        with pytest.raises(ConfigurationError, match="is not what it was"):
            run(side, provider, rows, out)
    report = run(side, provider, ["one", "two", "three"], out)  # which goes on behind what is there
    assert (report.kept, report.asked) == (2, 1)
    report = run(side, provider, ["three", "one"], out, allow_changes=True)
    assert (report.cached, report.asked) == (2, 0)
    assert [line["text"] for line in lines(out)] == ["THREE", "ONE"]


@side
def test_the_same_prompt_several_times_is_asked_several_times(side: str, tmp_path: Path) -> None:
    out, provider = tmp_path / "out.jsonl", Provider()
    report = run(side, provider, ["dice"] * 5, out)

    ids = [line["id"] for line in lines(out)]
    assert ids[1:] == [f"{ids[0]}-{count}" for count in (2, 3, 4, 5)]
    assert report.asked == len(provider.asked) == 5
    assert run(side, provider, ["dice"] * 5, out).asked == 0


@side
def test_other_runs_serve_as_a_cache_for_the_same_requests(side: str, tmp_path: Path) -> None:
    first, second, provider = tmp_path / "first.jsonl", tmp_path / "second.jsonl", Provider()
    run(side, provider, ["one", "two", "a bad one"], first)
    rows = [{"id": "x", "prompt": "two", "k": 1}, {"id": "y", "prompt": "three", "k": 2}, "a bad one"]
    report = run(side, provider, rows, second, cache=first, columns=["k"])

    found = lines(second)
    assert [(line["id"], line["text"], line["attempts"]) for line in found[:2]] == [("x", "TWO", 0), ("y", "THREE", 1)]
    assert found[0]["row"] == {"k": 1}
    assert (report.cached, report.asked) == (1, 2)
    report = run(side, provider, rows, tmp_path / "third.jsonl", cache=[first], columns=["k"], temperature=1)
    assert report.cached == 0, "another option, another request"


class Capital(BaseModel):
    city: str


@side
def test_typed_answers_and_tool_calls_are_written_as_json(side: str, tmp_path: Path) -> None:
    def add(a: int) -> int:
        return a

    out = tmp_path / "out.jsonl"
    replies = Provider(
        lambda request: (
            Reply.parsed({"city": "Rome"})
            if "Italy" in request.json["messages"][-1]["content"]
            else Reply.text("Oslo?")
        )
    )
    run(side, replies, ["Italy?", "Norway?"], out, response_format=Capital)
    good, bad = lines(out)
    assert good["parsed"] == {"city": "Rome"}
    assert (bad["error"]["type"], bad["text"], bad["parsed"]) == ("StructuredOutputError", "Oslo?", None)

    out = tmp_path / "tools.jsonl"
    run(side, Provider(lambda request: Reply.tool_call("add", a=1)), ["?"], out, tools=[add])
    (line,) = lines(out)
    assert (line["tool_calls"][0]["name"], json.loads(line["tool_calls"][0]["arguments"])) == ("add", {"a": 1})
    assert line["finish_reason"] == "tool_calls"


@side
def test_a_row_has_one_answer_and_those_that_come_beside_it_are_kept(side: str, tmp_path: Path) -> None:
    out, provider = tmp_path / "out.jsonl", Provider(lambda request: Reply.choices("Red", "Blue"))
    for client, options in (({}, {"n": 2}), ({"defaults": {"n": 2}}, {})):
        with pytest.raises(ConfigurationError, match="a row is of one answer, not of n=2: give it as often"):
            run(side, provider, ["?"], out, client, **options)
    assert not out.exists()
    run(side, provider, [{"prompt": "?", "n": 2}, "?"], out, extra={"n": 2})
    bad, good = lines(out)
    assert "not of n=2" in bad["error"]["message"]
    assert (good["text"], good["other_texts"]) == ("Red", ["Blue"])
    run(side, provider, ["?"], tmp_path / "again.jsonl", cache=out, extra={"n": 2})
    assert lines(tmp_path / "again.jsonl")[0]["other_texts"] == ["Blue"]
    assert len(provider.asked) == 1


@side
def test_what_is_no_argument_of_bulk_gets_the_right_sentence(side: str, tmp_path: Path) -> None:
    for name, sentence in {
        "run_tools": "bulk makes no calls: those that a model asks for are in the output's tool_calls",
        "max_workers": "it is called 'concurrency' here",
        "timeout": "it is an argument of the client, or of a view: client.with_options(timeout=…).bulk(…)",
        "resume": "a run goes on by itself where its journal is, beside the output",
    }.items():
        with pytest.raises(UnsupportedOptionError) as caught:
            run(side, Provider(), ["?"], tmp_path / "out.jsonl", **{name: 1})
        assert str(caught.value) == f"there is no option {name!r}: {sentence}"


@side
def test_templates_and_columns(side: str, tmp_path: Path) -> None:
    source, out, provider = tmp_path / "in.jsonl", tmp_path / "out.jsonl", Provider()
    source.write_text('{"user": "Ann", "n": 3, "tags": ["a"]}\n{"n": 4}\n', encoding="utf-8")
    run(side, provider, source, out, template="{user} has {n} of {tags}, {{so}}", columns=True)
    first, second = lines(out)
    assert first["text"] == 'ANN HAS 3 OF ["A"], {SO}'
    assert first["row"] == {"user": "Ann", "n": 3, "tags": ["a"]}
    assert second["error"]["message"] == "line 2: it has no 'user', which the template needs"

    def made(row: Any) -> Any:
        return {"prompt": f"{row['n']}", "seed": 8 // (row["n"] - 4)}

    run(side, provider, source, tmp_path / "made.jsonl", template=made)
    assert (provider.asked[-1]["seed"], provider.prompts[-1]) == (-8, 'Ann has 3 of ["a"], {so}')
    assert "ZeroDivisionError" in lines(tmp_path / "made.jsonl")[1]["error"]["message"]


TABLE_MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({}, "column 'topic' is no option"),
    ({"template": "{title}"}, "there is no column 'title'; there are topic"),
    ({"template": "no column"}, "no {column} in it"),
    ({"template": "{topic!r}"}, "is no column"),
    ({"template": '{"a": 1}'}, "is no column"),
    ({"template": "{topic"}, "brace"),
    ({"template": 3}, "text or a function"),
    ({"columns": ["title"]}, "no 'title'"),
    ({"columns": "topic"}, "list of names"),
    ({"concurrency": 0}, "concurrency"),
    ({"prices": (1,)}, "two numbers"),
    ({"cache": "none.jsonl"}, "no journal"),
    ({"progress": 7}, "progress"),
    ({"report": "/no/such/folder/x.html"}, "no folder"),
    ({"temprature": 1}, "did you mean 'temperature'"),
    ({"rows": "none.csv"}, "cannot be read"),
    ({"rows": "in.txt"}, "must end in"),
    ({"rows": {"prompt": "one"}}, "rows must be many"),
    ({"rows": 5}, "path or an iterable"),
    ({"out": "out.txt"}, "must end in"),
    ({"out": "no/out.jsonl"}, "no folder"),
    ({"out": 5}, "must be a file's path"),
]


def test_mistakes_in_arguments_are_told_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("topic\ncats\n", encoding="utf-8")
    provider = Provider()
    for side in SIDES:
        for change, message in TABLE_MISTAKES:
            arguments = {"rows": "in.csv", "out": "out.jsonl", **change}
            with pytest.raises(ConfigurationError, match=message):
                run(side, provider, arguments.pop("rows"), arguments.pop("out"), **arguments)
    assert provider.asked == []
    (tmp_path / "done.jsonl").write_text("precious", encoding="utf-8")
    (tmp_path / "in.jsonl").write_text('"x"\n', encoding="utf-8")
    for out, message in (("done.jsonl", "no journal of it"), ("in.jsonl", "the file that the rows come from")):
        with pytest.raises(ConfigurationError, match=message):
            run("Client", provider, "in.jsonl", Path(out))

    async def asynchronous() -> AsyncIterator[str]:
        yield "x"

    with pytest.raises(ConfigurationError, match="AsyncClient takes those"):
        run("Client", provider, asynchronous(), tmp_path / "out.jsonl")
    assert (tmp_path / "done.jsonl").read_text(encoding="utf-8") == "precious"


@side
def test_ctrl_c_lets_rows_under_way_end_and_then_interrupts(side: str, tmp_path: Path) -> None:
    out, provider = tmp_path / "out.jsonl", Provider()

    def rows() -> Iterator[str]:
        for number in range(100):
            if number == 10:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.3)  # the handler runs in the main thread, the loop may be in another one
            yield f"p{number}"

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(side, provider, rows(), out, concurrency=3)
    assert signal.getsignal(signal.SIGINT) == before
    assert 8 <= len(lines(out)) == len(provider.asked) <= 14
    for thread in threading.enumerate():
        if thread.name.startswith("llmclients"):
            thread.join(5)  # it has been told to end
            assert not thread.is_alive(), thread.name


def test_a_disk_that_is_full_ends_the_run_and_what_is_torn_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, provider, prompts = tmp_path / "out.jsonl", Provider(), [f"p{number}" for number in range(9)]
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:50] if b" row 5 " in data else data))
        with pytest.raises(OSError, match="is the disk full"):
            run("AsyncClient", provider, prompts, out, concurrency=1)
    report = run("AsyncClient", provider, prompts, out)
    assert (report.ok, report.kept, report.rows) == (True, 5, 9)


@side
def test_parquet_to_parquet(side: str, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    parquet.write_table(pyarrow.table({"id": ["a", "b"], "topic": ["cats", "bad"], "n": [1, 2]}), source)
    report = run(side, Provider(), source, out, template="On {topic}", columns=["n"])
    first, second = parquet.read_table(out).to_pylist()
    assert (first["id"], first["text"], first["row"]) == ("a", "ON CATS", '{"n": 1}')
    assert (second["error"]["type"], report.failed) == ("BadRequestError", 1)


def test_rows_may_be_awaited_and_no_more_are_taken_than_are_under_way(tmp_path: Path) -> None:
    provider, taken = Provider(), 0

    async def rows() -> AsyncIterator[str]:
        nonlocal taken
        for number in range(50):
            taken += 1
            assert taken - len(provider.asked) <= 12
            yield f"p{number}"

    report = run("AsyncClient", provider, rows(), tmp_path / "out.jsonl", concurrency=4)
    assert (report.rows, report.ok) == (50, True)


@side
def test_limits_hold_and_waiting_for_them_is_no_latency(side: str, tmp_path: Path) -> None:
    mock = MockTransport(Provider())
    client = {"transport": mock, "limits": Limits(60)}
    before = mock.clock.monotonic()
    report = run(
        side, Provider(), [f"p{number}" for number in range(30)], tmp_path / "out.jsonl", client=client, concurrency=1
    )

    assert report.ok
    assert mock.clock.monotonic() - before > 10
    longest = report.latency(1.0)
    assert longest is not None
    assert longest < 0.1


def test_a_client_s_fallbacks_and_attempts_count(tmp_path: Path) -> None:
    def broken(request: Any) -> Reply:
        return Reply.error(500, "down")

    for side, kind in (("Client", Client), ("AsyncClient", AsyncClient)):
        other = kind("groq/m2", api_key="k", transport=MockTransport(answer), retry=None)
        out = tmp_path / f"{side}.jsonl"
        report = run(side, Provider(broken), ["one"], out, client={"fallback": [other], "retry": 2})
        assert lines(out)[0]["text"] == "ONE"
        assert lines(out)[0]["attempts"] == report.attempts == 3


def test_a_closed_client_and_a_wrong_option_of_all_rows_are_refused(tmp_path: Path) -> None:
    client = Client("openai/m", api_key="k", transport=MockTransport(answer))
    client.close()
    with pytest.raises(ConfigurationError, match="closed"):
        client.bulk(["x"], tmp_path / "out.jsonl")
    with pytest.raises(UnsupportedOptionError):
        run("AsyncClient", Provider(), ["x"], tmp_path / "out.jsonl", temprature=1)


def test_the_report_is_a_page_that_needs_nothing_from_outside(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    rows = [f"p{number}" for number in range(9)] + ["a bad <b>one</b>"]
    report = run("Client", Provider(), rows, tmp_path / "out.jsonl", report=page, prices=(1e6, 2e6))
    text = page.read_text(encoding="utf-8")

    assert report.usage is not None
    assert report.cost == report.usage.input_tokens + 2 * report.usage.output_tokens  # type: ignore[operator]
    assert text.count("<svg") == 4
    for title in ("Throughput", "Errors", "Tokens", "Latency", "BadRequestError"):
        assert title in text
    assert "http" not in text.replace("http-equiv", "")
    assert "src=" not in text
    assert "@import" not in text


def test_progress_is_a_line_a_minute_or_over_and_over_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    run("Client", Provider(), ["one", "a bad one"], tmp_path / "out.jsonl", progress=True)
    assert capsys.readouterr().err == ""  # it took less than a minute

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run("Client", Provider(), ["one", "a bad one"], tmp_path / "out2.jsonl", progress=True, prices=(1, 1))
    shown = capsys.readouterr().err
    assert shown.startswith("\r2/2 rows, ")
    assert "cost 0.000002, errors: BadRequestError 1" in shown

    class Bar:
        total: int | None = None
        count = 0

        def update(self, number: int) -> None:
            self.count += number

    bar = Bar()
    run("Client", Provider(), ["one", "two"], tmp_path / "out3.jsonl", progress=bar)
    assert (bar.total, bar.count) == (2, 2)
