"""The documentation as a whole: every page is found from every list, links lead somewhere, the reference has the names."""

from __future__ import annotations

import ast
import pydoc
import re
from collections.abc import Iterator
from pathlib import Path

import llmclients

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in DOCS.glob("*.md") if page.name != "index.md")


def shown(text: str) -> str:
    """What a reader of a page sees of it."""
    return re.sub(r"<!--.*?-->\n*", "", text, flags=re.DOTALL)


def links(page: Path) -> list[str]:
    """Where a page leads to in this repository, as it is written there."""
    text = re.sub(r"^```.*?^```", "", shown(page.read_text()), flags=re.DOTALL | re.MULTILINE)
    return [link for link in re.findall(r"\]\(([^)\s]*)\)", text) if link and "://" not in link]


def anchors(page: Path) -> set[str]:
    """The headings of a page as links name them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def code(page: Path) -> Iterator[str]:
    """The programs of a page."""
    if page.suffix == ".py":
        yield page.read_text()
    yield from re.findall(r"^```python3?\n(.*?)^```$", shown(page.read_text()), re.DOTALL | re.MULTILINE)


def test_every_page_is_in_every_list() -> None:
    names = {page.name for page in PAGES} | {"protocols/index.md"}
    readme = {link.removeprefix("docs/") for link in links(ROOT / "README.md")}
    assert names - readme - {"changelog.md"} == set()
    assert set(links(DOCS / "llms.txt")) == names
    trees = re.findall(r"^```{toctree}\n(.*?)^```$", (DOCS / "index.md").read_text(), re.DOTALL | re.MULTILINE)
    listed = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    assert sorted(f"{name}.md" for name in listed) == sorted(names)


def test_llms_txt_calls_the_pages_what_they_are_called() -> None:
    for title, link in re.findall(r"^- \[(.*?)\]\((.*?)\): \S", (DOCS / "llms.txt").read_text(), re.MULTILINE):
        first = (DOCS / link).read_text().splitlines()[0]
        assert title == first.removeprefix("# ") or link == "changelog.md"


def test_every_link_leads_somewhere() -> None:
    broken = []
    written = (page for page in DOCS.rglob("*.md") if "_build" not in page.parts)
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", DOCS / "llms.txt", *written):
        for link in links(page):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            if not target.exists() or (anchor and target.suffix == ".md" and anchor not in anchors(target)):
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_readme_and_site_begin_alike() -> None:
    readme = shown((ROOT / "README.md").read_text()).partition("\n## ")[0]
    site = shown((DOCS / "index.md").read_text()).partition("\n```{toctree}")[0]
    assert readme.replace("](docs/", "](").splitlines() == site.splitlines()


def test_the_reference_has_what_the_pages_import() -> None:
    reference = (DOCS / "api.md").read_text()
    documented = set(re.findall(r"^\.\. auto\w+:: (?:[\w.]+\.)?(\w+)", reference, re.MULTILINE))
    users = [page for page in PAGES if page.name != "architecture.md"]
    for page in (ROOT / "README.md", *users, *(ROOT / "examples").rglob("*.py")):
        for block in code(page):
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llmclients."):
                    missing = {alias.name for alias in node.names} - documented
                    assert not missing, f"{page.name}: {node.module}"


def test_every_program_is_in_the_list_of_programs() -> None:
    listed = set(re.findall(r"\]\(\.\./(examples/[\w./]+)\)", (DOCS / "examples.md").read_text()))
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "examples").rglob("*") if path.suffix in (".py", ".ipynb")}
    assert listed == there


def test_help_begins_with_a_program_that_is_answered() -> None:
    text = pydoc.plain(pydoc.render_doc(llmclients))
    beginning = text.partition("PACKAGE CONTENTS")[0]
    assert "Client()" in beginning
    assert "ylokh" not in beginning
    program = re.search(r"^    from .*?(?=\n\n`)", llmclients.__doc__ or "", re.DOTALL | re.MULTILINE)
    assert program is not None
    asked = ast.parse("\n".join(line.removeprefix("    ") for line in program[0].splitlines()))
    from llmclients.testing import Reply, mock_clients

    with mock_clients(Reply.text("Rome."), Reply.stream("Wa", "ter.")) as mock:
        exec(compile(asked, "help", "exec"), {"print": lambda *text, **how: None})
    assert [request.prompt for request in mock.requests] == ["Name the capital of Italy.", "What is the sea?"]
