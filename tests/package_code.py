"""The package's own code, for the tests that read it."""

from __future__ import annotations

import ast
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import llmclients

ROOT = Path(llmclients.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


@cache
def source(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@contextmanager
def without_collector() -> Iterator[None]:
    """Trees are made without the garbage collector: it would look at all of them again and again, and free nothing."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def tree(path: Path) -> ast.Module:
    """Not kept: all trees together are half a million objects, which the garbage collector would look at ever after."""
    with without_collector():
        return ast.parse(source(path))


def walk(node: ast.AST) -> list[ast.AST]:
    """A node, and all below it: `ast.walk` in half of the time, and without `Load`, `Store` and `Del`."""
    found = [node]
    for each in found:
        for name in each._fields:
            value = getattr(each, name, None)
            if isinstance(value, list):
                found += [child for child in value if isinstance(child, ast.AST)]
            elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                found.append(value)
    return found
