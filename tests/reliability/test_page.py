"""The page says what the stored results say, and they were measured on the whole."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tests.relay_soak.run import SECONDS, STREAMS, complaints

from .page import PAGE, RESULTS, page


def stored(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test_the_page_is_what_the_results_make() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make reliability`"


def test_a_section_without_a_result_is_left_out(tmp_path: Path) -> None:
    assert "## " not in page(tmp_path)
    (tmp_path / "fuzz.json").write_bytes((RESULTS / "fuzz.json").read_bytes())
    assert re.findall("^## (.*)", page(tmp_path), re.MULTILINE) == ["Fuzzing"]


def test_the_relays_soak_has_a_section_of_its_own(tmp_path: Path) -> None:
    held = {name: [50.0, 51.5] for name in ("rss_mib", "descriptors", "tasks")}
    limits = {"added_p99_ms": 5.0, "cpu_ratio": 1.5, "late_p99_ms": 100.0, "growth": dict.fromkeys(held, 8.0)}
    result = {
        **dict.fromkeys(("command", "date", "cores", "memory_gib", "system", "python"), "x"),
        "streams": 500,
        "seconds": 1800.0,
        "chunks": 9_000_000,
        "cpu_ratio": 1.2,
        "outcomes": {"whole": 170_000, "left": 18_000},
        "delay_ms": {name: {"p50": 0.5, "p99": 2.5} for name in ("direct", "uvicorn", "relay", "beside")},
        "same_work": {"p50": 1.5, "p90": 1.9, "p99": 2.6},
        "added_p99_ms": 2.0,
        "upstream_ended_ms": {"p50": 1.0, "p99": 5.0, "most": 60.0},
        "thirds": held,
        "limits": limits,
    }
    (tmp_path / "relay.json").write_text(json.dumps(result))
    shown = page(tmp_path)
    for words in (
        "for 30 minutes:",
        "9,000,000 chunks",
        "18,000 whose",
        "adds 2 ms",
        "(median), 1.9 (p90)",
        "1.2 times",
        "| tasks | 50 | 51.5 |",
    ):
        assert words in shown


def test_the_stored_soak_is_the_whole_one_and_went_well() -> None:
    phases = stored("soak")["phases"]
    totals = {kind: sum(phase["calls"] for phase in phases if phase["kind"] == kind) for kind in ("chats", "streams")}
    assert totals == {"chats": 100_000, "streams": 10_000}
    assert {phase["side"] for phase in phases} == {"sync", "async"}
    assert all(phase["wrong"] == [] and phase["thirds"] is not None for phase in phases)
    assert all(sum(phase["outcomes"].values()) == phase["calls"] for phase in phases)


def test_the_stored_soak_of_the_relay_is_the_whole_one_and_went_well() -> None:
    result = stored("relay")
    assert (result["streams"], result["seconds"]) == (STREAMS, SECONDS)
    assert complaints(result) == []


def test_the_stored_search_had_every_target_and_found_nothing() -> None:
    from fuzz.targets import TARGETS

    targets = stored("fuzz")["targets"]
    assert set(targets) == set(TARGETS)
    assert all(target["executions"] > 0 and target["crashes"] == [] for target in targets.values())


def test_nothing_on_the_page_tells_where_it_was_made() -> None:
    assert not re.search(r"/(root|home|work|tmp|usr)/|localhost|\.local\b", page())
