"""The pages of the documentation: nothing that a reader needs is hidden, and every page is found."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def visible(page: Path) -> Iterator[tuple[int, str]]:
    """The blocks that a reader sees: the line of each, and its text."""
    text = re.sub(r"<!---.*?-->", lambda hidden: "\n" * hidden[0].count("\n"), page.read_text(), flags=re.DOTALL)
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        yield text.count("\n", 0, block.start(1)) + 1, block[1]


def names(tree: ast.AST) -> tuple[set[str], list[tuple[str, int]]]:
    """What a block names for those below it, and what it uses, with the lines."""
    bound, used = set[str](), []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            if isinstance(node.ctx, ast.Load):
                used.append((node.id, node.lineno))
            else:
                bound.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
    return bound, used


def test_no_block_needs_a_hidden_one() -> None:
    missing = []
    for page in PAGES:
        known = set(vars(builtins))
        for line, block in visible(page):
            bound, used = names(ast.parse(block))
            known |= bound
            missing += [f"{page.name}:{line + at - 1}: {name}" for name, at in used if name not in known]

    assert missing == []
