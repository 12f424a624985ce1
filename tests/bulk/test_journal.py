"""`Journal`, `Index` and the files around them: what heals, what is refused, what is read back."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from llmclients import ConfigurationError
from llmclients.bulk.index import Index
from llmclients.bulk.inputs import open_source
from llmclients.bulk.journal import Journal, read_records
from llmclients.bulk.outputs import write_output
from llmclients.bulk.stats import Stats, bucket_seconds
from llmclients.types.usage import Usage

ROWS = [b'{"id":"a"}', '{"id":"ü","text":"\\n"}'.encode(), b'{"id":1}', b"{}"]


def write(path: Path) -> list[int]:
    """A journal with these rows; where each record ends."""
    journal = Journal(str(path))
    journal.begin({"input": 1})
    ends = [path.stat().st_size]
    for number, row in enumerate(ROWS):
        journal.append(number, number == 2, bytes([number] * 16), bytes(16), row)
        ends.append(path.stat().st_size)
    journal.close()
    return ends


def read(path: Path) -> list[bytes]:
    journal = Journal(str(path))
    found = [journal.read(record.offset, record.length) for record in journal.records()]
    journal.close()
    return found


def test_a_journal_that_is_cut_anywhere_has_all_whole_records_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "j"
    ends = write(path)
    whole = path.read_bytes()
    assert read(path) == ROWS
    assert [record.is_error for record in read_records(str(path))] == [False, False, True, False]

    for size in range(0, len(whole), 3):
        path.write_bytes(whole[:size])
        journal = Journal(str(path))
        kept = max(sum(end <= size for end in ends) - 1, 0)
        assert (journal.header is None) == (size < ends[0])
        assert [journal.read(record.offset, record.length) for record in journal.records()] == ROWS[:kept]
        if journal.header is None:
            assert path.stat().st_size == 0
            journal.begin({})
        offset, length = journal.append(9, False, bytes(16), bytes(16), b'"more"')
        assert journal.read(offset, length) == b'"more"'
        journal.close()
        assert read(path) == [*ROWS[:kept], b'"more"']


def test_damage_in_the_middle_costs_only_what_it_hits_and_garbage_behind_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j"
    ends = write(path)
    whole = path.read_bytes()
    rng = random.Random(1)
    places = {*range(ends[0], len(whole), 4), *(end - 1 for end in ends[1:])}
    for place in sorted(places):
        spoiled = bytearray(whole)
        spoiled[place] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(spoiled))
        hit = sum(end <= place for end in ends) - 1
        # A line's end that is gone has two lines as one.
        lost = {hit, hit + 1} if whole[place] == 10 else {hit}
        assert read(path) == [row for number, row in enumerate(ROWS) if number not in lost]
    path.write_bytes(whole + bytes(300) + b"\nx\n")
    assert read(path) == ROWS
    assert path.read_bytes() == whole


def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "j"
    for content in (b"hello", b"hello\n", b'{"a": 1}\n' * 3, b"\x89PNG\r\n", b"00000000 header {}\n"):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="no journal"):
            Journal(str(path))
        assert path.read_bytes() == content


def test_two_runs_at_one_journal_refuse_each_other_and_a_dead_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "j"
    program = "import sys; from llmclients.bulk.journal import Journal; j = Journal(sys.argv[1]); print(j.path, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(ConfigurationError, match="another run"):
            Journal(str(path))
        other.kill()
        other.wait()
        Journal(str(path)).close()


def test_what_is_set_aside_is_safe_behind_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "j"
    for round in (1, 2):
        write(path)
        journal = Journal(str(path))
        old = journal.set_aside()
        assert (journal.header, path.stat().st_size) == (None, 0)
        journal.close()
        assert len(list(read_records(old))) == 4 * round
        Path(old).write_bytes(Path(old).read_bytes() + b"torn")


def test_the_index_knows_the_last_record_of_each_row_and_how_often_an_id_came(tmp_path: Path) -> None:
    path = tmp_path / "j"
    write(path)
    journal, index = Journal(str(path)), Index()
    journal.append(1, True, bytes(16), bytes(16), b'"again"')
    index.load(journal.records())
    index.add_answers(1, read_records(str(path)))

    assert [journal.read(one.offset, one.length) for one in index.records()] == [ROWS[0], b'"again"', *ROWS[2:]]
    assert (index.count(), index.count(errors=True), index.count(begin=3)) == (4, 2, 1)
    assert index.get(1) is not None
    assert index.get(7) is None
    assert [index.occurrence(key) for key in (b"a", b"b", b"a", b"a")] == [1, 1, 2, 3]
    cached = index.answer(bytes(16), bytes([3] * 16))
    assert cached is not None
    assert journal.read(*cached[1:]) == ROWS[3]
    assert index.answer(b"x" * 16, bytes(16)) is None
    index.close()
    journal.close()


def test_an_output_is_whole_or_as_it_was(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    write_output(str(out), iter(ROWS))
    assert out.read_bytes() == b"\n".join(ROWS) + b"\n"

    def broken() -> object:
        yield ROWS[0]
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_output(str(out), broken())  # type: ignore[arg-type]
    assert out.read_bytes() == b"\n".join(ROWS) + b"\n"
    assert os.listdir(tmp_path) == ["out.jsonl"]


def test_parquet_goes_in_and_out(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    source, out = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table = pyarrow.table({"id": list(range(600)), "prompt": [f"p{number}" for number in range(600)]})
    parquet.write_table(table, source)
    found = open_source(source, awaited=False)
    assert (found.total, found.columns) == (600, ("id", "prompt"))
    rows = list(found.rows)  # type: ignore[arg-type]
    assert rows[599] == (600, {"id": 599, "prompt": "p599"})
    found.close()

    usage = {"input_tokens": 1, "output_tokens": 2}
    record = {"text": "é", "parsed": {"a": [1]}, "tool_calls": [], "usage": usage, "finish_reason": "stop"}
    ended = {"error": None, "attempts": 1, "seconds": 0.5}
    failed = {"error": {"type": "APIError", "message": "no"}, "attempts": 2, "seconds": 1.0, "row": {"x": "\ud800"}}
    write_output(
        str(out),
        [
            json.dumps({"id": 7, **record, **ended}).encode(),
            json.dumps({"id": None, **record, "parsed": None, "text": None, "usage": None, **failed}).encode(),
        ],
    )
    first, second = parquet.read_table(out).to_pylist()
    assert (first["id"], first["text"], first["parsed"], first["usage"]["output_tokens"]) == ("7", "é", '{"a": [1]}', 2)
    assert (first["error"], first["row"], second["id"], second["usage"]) == (None, None, None, None)
    assert (second["error"]["type"], second["row"]) == ("APIError", '{"x": "\\ud800"}')


def test_a_csv_is_read_by_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(
        '\ufeffid,prompt\r\n1,plain\r\n2,"two\nlines, ""quoted"""\r\n3\r\n4,\r\n\r\n5,'.encode()
        + b"\xff\r\n6,"
        + b"long" * 50_000
        + b"\r\n"
    )
    source = open_source(path, awaited=False)
    rows = list(source.rows)  # type: ignore[arg-type]
    source.close()

    assert source.columns == ("id", "prompt")
    assert rows[0] == (2, {"id": "1", "prompt": "plain"})
    assert rows[1] == (3, {"id": "2", "prompt": 'two\nlines, "quoted"'})
    assert rows[2] == (5, ("1 cells, but 2 columns",))
    assert rows[3] == (6, {"id": "4", "prompt": None})
    assert rows[4] == (8, ("its text is no UTF-8",))
    assert rows[5][1]["prompt"] == "long" * 50_000
    for content in (b"", b"a,a\n1,2\n"):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="names of its columns"):
            open_source(path, awaited=False)


def test_stats_stay_small_and_right(tmp_path: Path) -> None:
    stats = Stats()
    usage = Usage(input_tokens=2, output_tokens=3)
    for number in range(50_000):
        failed = "APIError" if number % 10 == 0 else None
        stats.add(number / 10, 0.05 + number % 100 / 1000, 1, usage, failed)

    assert len(stats.slots) <= 240
    assert sum(slot.rows for slot in stats.slots) == stats.asked == 50_000
    assert sum(slot.errors for slot in stats.slots) == stats.failed == stats.errors["APIError"] == 5_000
    assert (stats.input_tokens, stats.output_tokens) == (100_000, 150_000)
    for share, seconds in ((0.5, 0.1), (0.99, 0.149), (1.0, 0.149)):
        found = stats.latency(share)
        assert found is not None
        assert seconds / 1.2 <= found <= seconds * 1.2
    assert bucket_seconds(10) == pytest.approx(0.001 * 1.2**10)
