"""Every check of the codec suite finds the mistake that it is there for, and none where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from broken_codecs import BROKEN, breaking
from reference_codec import TalkCodec, TalkDecoder, TalkSuite
from tables import table

from llmclients.testing.codec_suite import CodecSuite
from llmclients.testing.codec_suite.decoding import edges, splittings
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk


def failures(codec: TalkCodec, *, of: str = "", **attributes: Any) -> dict[str, str]:
    """The checks that this codec fails, by name, and why; `of`: only that check is run."""
    suite = type("Suite", (TalkSuite,), {"codec": codec, **attributes})
    found = {}
    for name, check in suite.checks():
        base = name.partition("[")[0]
        if of and base != of:
            continue
        try:
            check()
        except Exception as error:  # noqa: BLE001 - a crash is a failure, too
            found.setdefault(base, f"{type(error).__name__}: {error}")
    return found


class Talk(TalkSuite):
    codec = TalkCodec()


def test_a_good_codec_fails_nothing() -> None:
    assert failures(TalkCodec()) == {}


@table("check, codec, attributes", [pytest.param(*row, id=name) for name, *row in BROKEN])
def test_a_broken_codec_fails_the_check_that_is_there_for_it(
    check: str, codec: TalkCodec, attributes: dict[str, Any]
) -> None:
    assert check in failures(codec, of=check, **attributes)


BEFORE_THE_CODEC = {"test_a_field_that_the_wire_lacks_is_an_error", "test_a_part_that_the_wire_lacks_is_an_error"}
"""These are about what comes before the codec."""


def test_there_is_a_broken_codec_for_every_check() -> None:
    every = {name for name in dir(CodecSuite) if name.startswith("test_")}

    assert {check for _, check, _, _ in BROKEN} | BEFORE_THE_CODEC == every


@table("check", sorted(BEFORE_THE_CODEC))
def test_what_the_clients_no_longer_reject_fails_its_check(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmclients.config.client import ClientSettings

    def request(self: ClientSettings, messages: Any, model: Any, options: Any) -> Any:
        return ChatRequest.from_messages(messages, model=self.model_name(model)), self.codec.options()

    monkeypatch.setattr(ClientSettings, "request", request)

    assert check in failures(TalkCodec(), of=check)


# --- how it is used -------------------------------------------------------------------------------------------------


def test_a_check_of_what_the_wire_has_not_has_no_case() -> None:
    class Streams(TalkSuite):
        codec = breaking(whole_replies=False, options=TalkCodec.__mro__[1].options)
        replies = ()

    names = {name for name, _ in Streams.checks()}

    assert not any("reply_is_read" in name or "option_of_its_own" in name for name in names)
    assert "test_an_early_end_is_an_error[streams[0]]" in names
    Streams().test_a_whole_reply_is_read()


def test_a_check_can_be_switched_off() -> None:
    class Off(TalkSuite):
        codec = breaking(path=lambda self, context: f"/talk?{context.api_key}")
        test_the_key_is_for_the_headers = None

    assert "test_the_key_is_for_the_headers" not in {name for name, _ in Off.checks()}


def test_a_check_of_many_cases_names_each_that_fails() -> None:
    class Suite(TalkSuite):
        codec = TalkCodec()
        replies = (*TalkSuite.replies, (b'{"say": "Hi."}', {"text": "Hi."}), (b"[]", {"text": "Hi."}))

    with pytest.raises(AssertionError) as caught:
        Suite().test_a_whole_reply_is_read()

    # Of a package with a plugin, pytest explains the assertions as well: in lines of their own.
    lines = [line for line in str(caught.value).splitlines() if line.startswith("[")]
    assert [line.partition(" ")[0] for line in lines] == ["[replies[2]]", "[replies[3]]"]
    assert "the reply has no end" in lines[0]


def test_one_stream_for_each_class_of_decoder_is_cut_everywhere() -> None:
    suite = Talk()

    assert [suite._is_cut_everywhere(stream) for stream in suite.recorded("streams")] == [True, False, False]


CUT_HERE = b"data: abcdefgh\r\n\r\ndata: abc" + "河".encode() + b"defghijklmnop\rend of all that"


def test_a_place_where_an_end_can_matter_is_found() -> None:
    end = len(CUT_HERE)
    by_hand = [range(4), range(14, 20), (28, 29), range(43, 46), range(end - 3, end + 1)]

    assert edges(CUT_HERE) == [place for places in by_hand for place in places]
    assert edges(b"") == [0]


def test_bytes_are_cut_at_each_such_place() -> None:
    for data in (CUT_HERE, b"\n", b"a\nb\n", b"", "河".encode()):
        found = set()
        for pieces in splittings(data, thorough=False):
            assert b"".join(pieces) == data
            if len(pieces) < len(data):  # not byte by byte
                found |= set(accumulate(map(len, pieces)))
        assert {place for place in edges(data) if 3 < place < len(data) - 3} <= found | {len(data)}, data


def test_bytes_are_cut_at_every_place() -> None:
    two, three = ({tuple(pieces) for pieces in splittings(b"abcd") if len(pieces) == count} for count in (2, 3))

    assert two == {(b"a", b"bcd"), (b"ab", b"cd"), (b"abc", b"d")}
    assert three == {(b"a", b"b", b"cd"), (b"a", b"bc", b"d"), (b"ab", b"c", b"d")}


def test_an_end_with_the_body_is_declared() -> None:
    class Body(TalkDecoder):
        def finish(self) -> Iterator[Chunk]:
            yield from [] if self.done else [Chunk(finish_reason="stop", raw={})]
            self.done = True

    codec = breaking(stream_decoder=lambda self, content_type: Body())
    streams = [(b'{"say": "Hi"}\n', "", {"text": "Hi", "finish_reason": "stop"})]

    for check in ("test_an_early_end_is_an_error", "test_the_end_mark_sets_done"):
        assert check in failures(codec, of=check, streams=streams)
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
        env={**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        check=False,
    )

    tests = len({name.partition("[")[0] for name, _ in Talk.checks()})
    assert f"{tests} passed" in run.stdout, run.stdout
    assert "skipped" not in run.stdout
