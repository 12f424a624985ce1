"""Recordings: bytes as they go over the wire, and what they come to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmclients import errors
from llmclients.errors import APIError
from llmclients.testing.codec_suite.decoding import Outcome, plain
from llmclients.types.response import ChatResponse

__all__ = ["KINDS", "Recording", "from_table", "load_recordings"]

KINDS = ("requests", "replies", "streams", "errors")


@dataclass(frozen=True)
class Recording:
    """Bytes as they go over the wire, and what they come to.

    Attributes:
        name: the file's, or the place in its table.
        data: the bytes.
        expected: what they come to, as the `.json` beside the file says it.
        folder: the folder of all the recordings; empty for one from a table.
    """

    name: str
    data: bytes = field(repr=False)
    expected: Mapping[str, Any] = field(repr=False)
    folder: str = ""

    def __str__(self) -> str:
        return f"{self.folder}/{self.name}" if self.folder else self.name

    @property
    def content_type(self) -> str:
        """The Content-Type of a stream."""
        return str(self.expected.get("content_type", ""))

    @property
    def fails(self) -> bool:
        """Whether it comes to an error."""
        return "error" in self.expected

    def check(self, found: Outcome) -> None:
        """Raise AssertionError unless that is what the recording comes to."""
        if self.fails:
            self.check_error(found)
        else:
            assert found.error is None, f"{self}: {found.message}"
        if "response" in self.expected:
            expected = plain(ChatResponse(**self.expected["response"]))
            assert plain(found.response) == expected, f"{self} comes to {plain(found.response)}, not {expected}"

    def check_error(self, found: APIError | Outcome, *, whole_message: bool = False) -> None:
        """Raise AssertionError unless that is the recording's error."""
        if isinstance(found, APIError):
            found = Outcome.from_error(found, ChatResponse())
        expected = self.expected["error"]
        kind = expected["class"] if isinstance(expected["class"], type) else getattr(errors, expected["class"])
        assert found.error is kind, f"{self}: {found.error} ({found.message}), not {kind}"
        message = expected.get("message", "")
        assert found.message == message if whole_message and message else message in found.message, (
            f"{self}: the message is {found.message!r}, not {message!r}"
        )
        for name in ("retryable", "status"):
            if name in expected:
                value = getattr(found, name)
                assert value == expected[name], f"{self}: {name} is {value}, not {expected[name]}"


def load_recordings(folder: Path, kind: str) -> list[Recording]:
    """The recordings of a kind in a folder: `KIND/NAME` with the bytes, `KIND/NAME.json` with what they come to."""
    found = []
    for path in sorted((folder / kind).glob("*")):
        if path.suffix == ".json":
            assert path.with_suffix("").exists(), f"{path} describes no recording"
            continue
        described = path.with_name(path.name + ".json")
        expected = json.loads(described.read_text(encoding="utf-8"))
        found.append(Recording(path.name, path.read_bytes(), expected, folder.name))
    return found


def from_table(kind: str, rows: Sequence[Sequence[Any]]) -> list[Recording]:
    """The same of tuples, as `CodecSuite` describes them."""
    return [_ROWS[kind](f"{kind}[{place}]", row) for place, row in enumerate(rows)]


def _request(name: str, row: Sequence[Any]) -> Recording:
    asked, data = row
    return Recording(name, data, asked)


def _reply(name: str, row: Sequence[Any]) -> Recording:
    data, *outcome = row
    return Recording(name, data, _outcome(outcome))


def _stream(name: str, row: Sequence[Any]) -> Recording:
    data, content_type, *outcome = row
    return Recording(name, data, {"content_type": content_type, **_outcome(outcome)})


def _error(name: str, row: Sequence[Any]) -> Recording:
    status, headers, data, kind = row
    return Recording(name, data, {"status": status, "headers": dict(headers), "error": {"class": kind}})


_ROWS = {"requests": _request, "replies": _reply, "streams": _stream, "errors": _error}


def _outcome(outcome: Sequence[Any]) -> dict[str, Any]:
    """A response's fields, an error's class, or both."""
    found: dict[str, Any] = {}
    for part in outcome:
        found |= {"error": {"class": part}} if isinstance(part, type) else {"response": dict(part)}
    return found
