"""The page says what asking finds; and asking finds what is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from helpers import every_provider

from llmclients.codecs.base import Codec, Context, EncodedRequest, PartRule
from llmclients.providers.provider import Provider
from llmclients.providers.registry import registered
from llmclients.types.content import ImagePart
from llmclients.types.request import ChatRequest

from .ask import TABLES, option, part, system
from .page import PAGE, features, with_tables
from .subject import Subject


def test_the_page_is_what_asking_finds() -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert page == with_tables(page), "run `python -m tests.features`"


def test_every_cell_is_one_of_three() -> None:
    rows = [line.strip("| ").split(" | ") for line in features().splitlines() if line.startswith("| `")]

    assert len(rows) == len(TABLES) * len(every_provider())
    for row in rows:
        assert all(re.fullmatch(r"yes|–|refused \(`\w+Error`\)", cell) for cell in row[1:]), row


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
