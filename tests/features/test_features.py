"""The page says what asking finds; and asking finds what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, get_args

import pytest
from helpers import every_provider

from llmclients.codecs.base import Codec, Context, EncodedRequest, PartRule
from llmclients.providers.provider import Provider
from llmclients.providers.registry import registered
from llmclients.types.content import ImagePart
from llmclients.types.request import ChatRequest

from .ask import TABLES, option, part, system
from .page import PAGE, with_tables
from .sources import ADDRESS, CONTRADICTIONS, SOURCES, Kind
from .subject import Subject


def test_the_page_is_what_asking_finds_and_every_cell_is_one_of_three() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page), "run `python -m tests.features`"

    asked = page.partition("<!-- features: ")[2].partition("<!-- end -->")[0]
    rows = [line.strip("| ").split(" | ") for line in asked.splitlines() if line.startswith("| `")]
    assert len(rows) == len(TABLES) * len(every_provider())
    for row in rows:
        assert all(re.fullmatch(r"(yes|–|refused \(`\w+Error`\))( †)?", cell) for cell in row[1:]), row


def test_every_cell_has_its_source() -> None:
    columns = {column for table in TABLES.values() for column in table}
    known = {*columns, *TABLES, ADDRESS}
    for name in every_provider():
        documents = SOURCES[name]
        assert sum(not source.cells for source in documents) == 1, f"{name}: one source stands for the rest"
        named = [cell for source in documents for cell in source.cells]
        assert len(set(named)) == len(named), f"{name}: two sources of one cell are one entry, or a contradiction"
        assert known.issuperset(named), name
        for source in documents:
            assert source.document, name
            assert source.kind in get_args(Kind), source
            assert date.fromisoformat(source.read), source
    assert SOURCES.keys() == set(every_provider())
    for one in CONTRADICTIONS:
        assert one.cells, one
        assert {*columns, ADDRESS}.issuperset(one.cells), one


def test_a_package_that_is_a_source_has_its_version() -> None:
    for name, documents in SOURCES.items():
        for source in documents:
            assert source.kind != "SDK" or re.search(r" \d+\.\d+\.\d+", source.document), (name, source)


def test_the_kinds_of_sources_are_those_of_the_protocol_pages() -> None:
    index = (PAGE.parent / "protocols" / "index.md").read_text(encoding="utf-8")
    _, _, marks = index.partition("| mark | the statement is |\n| --- | --- |\n")

    assert set(get_args(Kind)) == set(re.findall(r"^\| (\w+) \|", marks.partition("\n\n")[0], re.MULTILINE))


class Careless(Codec):
    """Says that it carries things, and drops them."""

    name = "careless"
    fields = frozenset({"temperature", "tools"})
    parts: Mapping[str, PartRule] = {"image": PartRule()}

    def encode(self, request: ChatRequest, context: Context) -> EncodedRequest:
        return EncodedRequest("/", b'{"text": "Hello!"}')

    def stream_decoder(self, content_type: str) -> Any:
        raise NotImplementedError

    def conversation_state(self, unix_time: float) -> dict[str, Any]:
        return {"user": "me"}


@pytest.mark.parametrize("ask", [option("temperature"), option("tools"), system, part(ImagePart, "image", "url")])
def test_what_is_dropped_is_no_yes(ask: Any) -> None:
    with registered(Provider("careless", Careless(), "http://server.test", default_model="m")):
        subject = Subject("careless")
        with pytest.raises(AssertionError, match=r"drops .* silently"):
            ask(subject)


def test_what_is_refused_has_its_error_s_name() -> None:
    with registered(Provider("careless", Careless(), "http://server.test", default_model="m")):
        assert option("seed")(Subject("careless")) == "refused (`UnsupportedOptionError`)"
