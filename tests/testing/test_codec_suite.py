"""Every check of the codec suite finds the mistake that it is there for, and none where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from broken_codecs import BROKEN, breaking
from reference_codec import TalkCodec, TalkDecoder, TalkSuite

from llmclients.testing.codec_suite import CodecSuite
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk


def failures(codec: TalkCodec, **attributes: Any) -> dict[str, str]:
    """The checks that this codec fails, by name, and why."""
    suite = type("Suite", (TalkSuite,), {"codec": codec, **attributes})
    found = {}
    for name, check in suite.checks():
        try:
            check()
        except Exception as error:  # noqa: BLE001 - a crash is a failure, too
            found.setdefault(name.partition("[")[0], f"{type(error).__name__}: {error}")
    return found


class TestTalk(TalkSuite):
    codec = TalkCodec()


def test_a_good_codec_fails_nothing() -> None:
    assert failures(TalkCodec()) == {}


@pytest.mark.parametrize(("check", "codec", "attributes"), [pytest.param(*row, id=name) for name, *row in BROKEN])
def test_a_broken_codec_fails_the_check_that_is_there_for_it(
    check: str, codec: TalkCodec, attributes: dict[str, Any]
) -> None:
    assert check in failures(codec, **attributes)


REFUSED_BEFORE = {"test_a_field_that_the_wire_lacks_is_refused", "test_a_part_that_the_wire_lacks_is_refused"}
"""These are about what comes before the codec."""


def test_there_is_a_broken_codec_for_every_check() -> None:
    every = {name for name in dir(CodecSuite) if name.startswith("test_")}

    assert {check for _, check, _, _ in BROKEN} | REFUSED_BEFORE == every


@pytest.mark.parametrize("check", sorted(REFUSED_BEFORE))
def test_what_the_clients_no_longer_refuse_fails_its_check(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmclients.config.client import ClientSettings

    def request(self: ClientSettings, messages: Any, model: Any, options: Any) -> Any:
        return ChatRequest.from_messages(messages, model=self.model_name(model)), self.codec.options()

    monkeypatch.setattr(ClientSettings, "request", request)

    assert check in failures(TalkCodec())


# --- how it is used -------------------------------------------------------------------------------------------------


def test_a_check_of_what_the_wire_has_not_is_no_test() -> None:
    class Streams(TalkSuite):
        codec = breaking(whole_replies=False, options=TalkCodec.__mro__[1].options)
        replies = ()

    names = {name for name, _ in Streams.checks()}

    assert not any("reply_is_read" in name or "option_of_its_own" in name for name in names)
    assert Streams.test_a_whole_reply_is_read is None
    assert "test_an_early_end_is_an_error[streams[0]]" in names


def test_a_check_can_be_switched_off_and_a_subclass_adds_cases() -> None:
    class Off(TalkSuite):
        codec = breaking(path=lambda self, context: f"/talk?{context.api_key}")
        replies = ()
        test_the_key_is_for_the_headers = None

    class On(Off):
        replies = TalkSuite.replies

    assert "test_the_key_is_for_the_headers" not in {name for name, _ in On.checks()}
    assert Off.test_a_whole_reply_is_read is None
    assert On.test_a_whole_reply_is_read is not None


def test_an_end_with_the_body_is_declared() -> None:
    class Body(TalkDecoder):
        def finish(self) -> Iterator[Chunk]:
            yield from [] if self.done else [Chunk(finish_reason="stop", raw={})]
            self.done = True

    codec = breaking(stream_decoder=lambda self, kind: Body())
    streams = [(b'{"say": "Hi"}\n', "", {"text": "Hi", "finish_reason": "stop"})]

    assert {"test_an_early_end_is_an_error", "test_the_end_mark_sets_done"} <= set(failures(codec, streams=streams))
    assert failures(codec, streams=streams, has_end_mark=False) == {}


def test_pytest_collects_it_from_a_module_of_anybody_s(tmp_path: Path) -> None:
    (tmp_path / "test_talk.py").write_text(
        "from reference_codec import TalkCodec, TalkSuite\nclass TestTalk(TalkSuite):\n    codec = TalkCodec()\n"
    )
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parents[1]), *filter(None, sys.path)])
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=tmp_path,
        check=False,
    )

    tests = sum(1 for _ in TestTalk.checks())
    assert f"{tests} passed" in run.stdout, run.stdout
    assert "skipped" not in run.stdout
