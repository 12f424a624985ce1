"""`bulk(cluster=…)`: the same rows, journal and output as without one. Both clients; the workers are this process's."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from kills import Server, serving

from llmclients import AsyncClient, Client, ConfigurationError, UnsupportedOptionError
from llmclients.bulk import BulkReport, Limits
from llmclients.bulk.journal import Journal
from llmclients.bulk.shard_rows import read_rows, write_rows
from llmclients.bulk.shards import ShardFolder
from llmclients.bulk.shared_cooldown import SharedCoolDown
from llmclients.bulk.stats import Stats
from llmclients.testing import MockTransport, Reply
from llmclients.types.usage import Usage

side = pytest.mark.parametrize("side", ["Client", "AsyncClient"])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(1) as one:
        yield one


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    from distributed import LocalCluster  # half a second, which only who runs this file need spend

    with LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        # None is port 8787: where it is taken, tornado leaves a socket to the garbage collector
        dashboard_address="127.0.0.1:0",
        protocol="tcp://",
        host="127.0.0.1",
    ) as one:
        yield one.scheduler_address


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")


def run(side: str, server: Server, rows: Any, out: Path, client: Any = None, **options: Any) -> BulkReport:
    settings = {"base_url": server.url, **(client or {})}
    if side == "Client":
        with Client("openai/m", **settings) as one:
            return one.bulk(rows, out, progress=False, **options)

    async def main() -> BulkReport:
        async with AsyncClient("openai/m", **settings) as one:
            return await one.bulk(rows, out, progress=False, **options)

    return asyncio.run(main())


def asked(server: Server) -> int:
    return sum(server.counts()["asked"].values())


def without_times(out: Path) -> list[Any]:
    return [json.loads(line) | {"seconds": 0} for line in out.read_text(encoding="utf-8").splitlines()]


ROWS: list[Any] = [
    *(f"{number} of many" for number in range(250)),
    *["the same prompt"] * 3,
    {"id": 7, "prompt": "with an id", "temperature": 0.5, "k": [1]},
    {"id": 7, "prompt": "the same id"},
    {"messages": [{"role": "user", "content": "messages"}], "model": "other", "system": "briefly"},
    {"id": "x", "prompt": "a wrong option of the wire", "temperature": -1},
    {"id": "y", "prompt": "no option", "temprature": 1},
]


@side
def test_a_cluster_writes_what_a_run_without_one_does_and_each_goes_on_with_the_other_s(
    side: str, server: Server, cluster: str, tmp_path: Path
) -> None:
    alone, together = tmp_path / "alone.jsonl", tmp_path / "together.jsonl"
    expected = run(side, server, ROWS, alone, columns=["k"])
    before = asked(server)
    report = run(side, server, iter(ROWS), together, columns=["k"], cluster=cluster, concurrency=20)

    assert without_times(together) == without_times(alone)
    assert asked(server) - before == report.asked == expected.asked
    for name in ("rows", "answered", "failed", "attempts", "errors", "usage"):
        assert getattr(report, name) == getattr(expected, name), name
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("alone.jsonl", "alone.jsonl.journal", "together.jsonl", "together.jsonl.journal"),
    ]

    more = [*ROWS, "one more"]
    again = run(side, server, more, together, columns=["k"])
    assert (again.kept, again.asked) == (len(ROWS), 1)
    again = run(side, server, [*more, "and one"], alone, columns=["k"], cluster=cluster)
    assert (again.kept, again.asked) == (len(ROWS), 2)
    with pytest.raises(ConfigurationError, match=r"row 1 was another one.*allow_changes"):
        run(side, server, more[1:], together, columns=["k"], cluster=cluster)
    again = run(side, server, more[1:], together, columns=["k"], cluster=cluster, allow_changes=True)
    assert (again.cached, again.asked) == (len(more) - 1 - again.failed, 0)


def test_rows_may_be_awaited_and_a_dask_client_may_be_given(server: Server, cluster: str, tmp_path: Path) -> None:
    from distributed import Client as DaskClient

    async def rows() -> AsyncIterator[Any]:
        for number in range(30):
            await asyncio.sleep(0)
            yield {"prompt": f"awaited {number}", "response_format": Usage}  # a type goes to the workers, too

    with DaskClient(cluster, set_as_default=False) as dask:
        limits = {"limits": Limits(requests=60_000)}
        report = run("AsyncClient", server, rows(), tmp_path / "out.jsonl", limits, cluster=dask)
        assert dask.status == "running", "it stays the caller's"
    assert report.errors == {"StructuredOutputError": 30}


def test_mistakes_are_told_before_anything_is_sent(
    server: Server, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, out = asked(server), tmp_path / "out.jsonl"
    mocked = {"transport": MockTransport([Reply.text("no")])}
    mistakes: list[tuple[Any, Any, Any, str]] = [
        (5, {}, {}, "cluster must be a Dask scheduler's address"),
        ("nowhere", {}, {}, "no Dask scheduler answers at 'nowhere'"),
        (cluster, mocked, {}, "transport= stays in its process"),
        (cluster, {"headers": {"x-secret": "s"}}, {}, "cannot be given to a worker: .* headers="),
        (cluster, {"api_key": "k"}, {}, "given as api_key= stays in its process"),
        (cluster, {}, {"extra": {"lock": threading.Lock()}}, "JSON cannot carry the payload"),
    ]
    for number, (where, client, options, message) in enumerate(mistakes):
        with pytest.raises(ConfigurationError, match=message):
            run("Client", server, ["x"], tmp_path / f"{number}.jsonl", client, cluster=where, **options)
    with Client("openai/m", base_url=server.url) as client:
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(
            ConfigurationError, match="no key for openai: set OPENAI_API_KEY in the environment of the w"
        ):
            client.bulk(["x"], out, cluster=cluster, progress=False)
    assert asked(server) == before
    assert not any(path.name.endswith(".shards") for path in tmp_path.iterdir())


def test_a_scheduler_that_breaks_off_at_the_start_is_tried_again(cluster: str) -> None:
    """As one that is being replaced by another does."""
    host, _, port = cluster.removeprefix("tcp://").partition(":")
    connections: list[asyncio.StreamWriter] = []

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        if len(connections) == 1:
            await reader.read(1)
            writer.close()
            return
        there, back = await asyncio.open_connection(host, int(port))
        await asyncio.gather(copy(reader, back), copy(there, writer))

    from llmclients.bulk import dask_cluster

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as relay:
            address = f"tcp://127.0.0.1:{relay.sockets[0].getsockname()[1]}"
            connected = await asyncio.to_thread(dask_cluster.DaskCluster, address)
            assert await asyncio.to_thread(lambda: connected.threads) == 2
            await asyncio.to_thread(connected.close)

    asyncio.run(main())
    assert len(connections) > 1


def test_an_address_where_nobody_answers_leaves_no_thread() -> None:
    from llmclients.bulk.dask_cluster import DaskCluster

    before = set(threading.enumerate())
    with pytest.raises(ConfigurationError, match="no Dask scheduler answers") as caught:
        DaskCluster("nowhere")
    assert not set(threading.enumerate()) - before
    assert caught.value.argument == "cluster"


def test_strict_ends_the_run_at_a_row_that_cannot_be_asked(server: Server, cluster: str, tmp_path: Path) -> None:
    rows = ["good", {"prompt": "x", "temprature": 1}]
    with pytest.raises(UnsupportedOptionError, match="row 2: there is no option 'temprature'"):
        run("Client", server, rows, tmp_path / "out.jsonl", cluster=cluster, strict=True)
    report = run("Client", server, rows, tmp_path / "out.jsonl", cluster=cluster)
    assert (report.answered, report.failed) == (1, 1)


@side
def test_ctrl_c_lets_rows_under_way_end_and_writes_what_is_there(
    side: str, server: Server, cluster: str, tmp_path: Path
) -> None:
    out, before = tmp_path / "out.jsonl", asked(server)

    def rows() -> Iterator[str]:
        for number in range(600):
            if number == 420:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.3)  # the handler runs in the main thread
            yield f"{side} {number}"

    with pytest.raises(KeyboardInterrupt):
        run(side, server, rows(), out, cluster=cluster, concurrency=5)
    found = without_times(out)
    assert asked(server) - before == len(found) < 600
    assert not Path(f"{out}.shards").exists()
    report = run(side, server, [f"{side} {number}" for number in range(600)], out)
    assert (report.kept, report.asked) == (len(found), 600 - len(found))


def test_what_a_dead_caller_s_workers_have_left_is_taken_by_the_next_run_and_another_s_is_not(
    server: Server, tmp_path: Path
) -> None:
    out, prompts = tmp_path / "out.jsonl", [f"left {number}" for number in range(6)]
    run("Client", server, prompts[:3], tmp_path / "other.jsonl")
    run("Client", server, prompts[:2], out)
    journal, folder = Journal(f"{out}.journal"), ShardFolder(str(out))
    other = Journal(f"{tmp_path / 'other.jsonl'}.journal")
    records = list(other.records())
    folder.begin("r1", b"")
    for name, header in (("r1", journal.header), ("r2", {"begun": 1})):
        shard = Journal(folder.journal(name, 0))
        shard.begin({key: value for key, value in (header or {}).items() if key != "journal"})
        shard.append(2, False, records[2].key, records[2].request, other.read(records[2].offset, records[2].length))
        shard.close()
    journal.close()
    other.close()
    out.unlink()

    report = run("Client", server, prompts, out)
    assert (report.kept, report.asked) == (3, 3)
    assert [line["text"] for line in without_times(out)] == [prompt.upper() for prompt in prompts]
    assert not Path(folder.path).exists()


def test_a_worker_says_why_it_cannot_ask(tmp_path: Path) -> None:
    from llmclients.bulk.shard_worker import why_unfit

    out = str(tmp_path / "out.jsonl")
    assert "share, by the same path" in (why_unfit(out, "run") or "")
    ShardFolder(out).begin("run", b"0.0.1\n")
    assert "the caller has 0.0.1" in (why_unfit(out, "run") or "")


def test_workers_read_what_they_are_told(tmp_path: Path) -> None:
    folder = ShardFolder(str(tmp_path / "out.jsonl"))
    assert folder.wanted("a") == "stop", "there is nothing any more"
    folder.begin("a", b"")
    assert (folder.wanted("a"), folder.wanted("b")) == ("go", "drain")
    for order in ("drain", "stop"):
        folder.order("a", order)  # type: ignore[arg-type]
        assert folder.wanted("a") == order

    write_rows(str(tmp_path / "rows"), [], {})
    assert list(read_rows(str(tmp_path / "rows"), {})) == []


def test_told_to_wait_all_workers_wait(tmp_path: Path) -> None:
    one, other = (SharedCoolDown(str(tmp_path / "wait")) for _ in range(2))
    assert other.wait(100.0) == 0.0
    one.reject(429, 30.0, 100.0)
    one.reject(429, 10.0, 100.0)
    one.reject(500, 90.0, 100.0)

    assert other.wait(100.05) == 0.0, "it looks ten times a second"
    for waits in (one.wait(100.2), other.wait(100.2)):
        assert 29 < waits <= 30
    (tmp_path / "wait").write_text("no number", encoding="ascii")
    assert SharedCoolDown(str(tmp_path / "wait")).wait(1.0) == 0.0


def test_counts_of_shards_are_added_up() -> None:
    one, other = Stats(), Stats()
    usage = Usage(input_tokens=2, output_tokens=3)
    for stats, begin in ((one, 0), (other, 5)):
        for number in range(10):
            stats.add(begin + number, 0.1, 1, usage, "APIError" if number == 3 else None)
    one.merge(other)

    assert (one.finished, one.asked, one.failed, one.errors, one.input_tokens) == (20, 20, 2, {"APIError": 2}, 40)
    assert [slot.rows for slot in one.slots] == [1] * 5 + [2] * 5 + [1] * 5
