"""`docs/protocols`: every sample is what its codec reads, and what a page or a docstring names is there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from helpers import decode
from tables import table

from llmclients.providers.registry import find_provider

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "protocols").glob("*.md"))
WIRE_OF_PAGE = {"openai-chat": "openai", "openai-dialects": "openai", "raw-text": "yqcloud"}
"""Of the pages whose name is not the wire's."""

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_RECORDING = re.compile(r"`((?:[\w-]+/)?(?:requests|replies|streams|errors)/[\w.-]+\.(?:body|sse|ndjson|txt))`")
_REFERENCE = re.compile(r"docs/protocols/([\w-]+)\.md(?:,\s+\"([^\"]+)\")?")


def blocks(page: Path, language: str) -> list[str]:
    return [text for found, text in _BLOCK.findall(page.read_text(encoding="utf-8")) if found == language]


def samples(status: str) -> list[object]:
    """Every HTTP response on the pages whose status begins so: page, Content-Type, body."""
    found = []
    for page in PAGES:
        for number, block in enumerate(blocks(page, "http")):
            head, _, body = block.partition("\n\n")
            if head.startswith(f"HTTP/1.1 {status}"):
                content_type = re.search("^Content-Type: (.*)$", head, re.MULTILINE)
                values = (page.stem, int(head.split()[1]), content_type[1] if content_type else "", body)
                found.append(pytest.param(*values, id=f"{page.stem} {number}"))
    return found


def headings(page: Path) -> list[str]:
    return re.findall("^#+ (.*)$", _BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)


@table("page", PAGES, ids=lambda page: page.stem)
def test_the_json_on_a_page_is_json(page: Path) -> None:
    for block in blocks(page, "json"):
        json.loads(block)


@table("page, status, content_type, body", samples("200"))
def test_a_stream_on_a_page_ends_well_or_in_the_providers_error(
    page: str, status: int, content_type: str, body: str
) -> None:
    codec = find_provider(WIRE_OF_PAGE.get(page, page)).load_codec()

    found = decode(codec.stream_decoder(content_type), [body.encode()])

    assert found.done or found.status is not None, found.message


@table("page, status, content_type, body", [*samples("4"), *samples("5")])
def test_an_error_on_a_page_is_read(page: str, status: int, content_type: str, body: str) -> None:
    codec = find_provider(WIRE_OF_PAGE.get(page, page)).load_codec()

    error = codec.decode_error(status, {}, body.encode())

    assert error.status_code == status
    assert str(error).startswith(f"HTTP {status}: "), "its words are not found"


@table("page", PAGES, ids=lambda page: page.stem)
def test_the_recordings_that_a_page_names_are_there(page: Path) -> None:
    wires = [ROOT / "tests" / "wire", *(ROOT / "tests" / "wire").iterdir()]
    for name in _RECORDING.findall(page.read_text(encoding="utf-8")):
        assert any((wire / name).exists() for wire in wires), name


def test_the_pages_and_sections_that_the_code_names_are_there() -> None:
    for path in [*(ROOT / "llmclients").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        if path == Path(__file__):
            continue
        for name, section in _REFERENCE.findall(path.read_text(encoding="utf-8")):
            page = ROOT / "docs" / "protocols" / f"{name}.md"
            assert page in PAGES, f"{path}: {page}"
            assert not section or section in headings(page), f"{path}: {page} has no section {section!r}"
