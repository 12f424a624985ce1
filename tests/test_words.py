"""The package speaks the field's words: the private ones of its first edition do not come back."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.package_code import FILES, ROOT, source

PARTS = {
    *("course", "fold", "earlier", "echo", "echoed", "form", "door", "doors", "gate", "gone", "backing", "stamp"),
    *("bury", "salvaged", "dice", "told", "said", "most", "word", "words", "own", "theirs", "brought", "habits"),
    *("heard", "toolloop", "garbage", "unsendable", "endless", "sized"),
}
"""What no name has as a part of it: `docs/architecture.md` and the code have the field's words for them."""

WHOLE = {
    "Attempts",
    "Progress",
    "Finish",
    "Head",
    "Held",
    "Home",
    "Wire",
    "Refused",
    "refused",
    "refusal",
    "wrong",
    "of",
}
"""What is no name, though it may be a part of one."""

ALLOWED = {
    "required_word",  # the word that a server has for `required`
    "ECHO",  # the flag that a terminal has for showing what is typed
}

PROSE = re.compile(
    r"\b(course|courses|folds?|folded|doors?|gate|echo(es|ed)?|bury|buried|salvaged?|dice|stamps?|backing)\b",
    re.IGNORECASE,
)
"""Words that comments and docstrings have no use for."""


def tokens(path: Path) -> Iterator[tokenize.TokenInfo]:
    yield from tokenize.generate_tokens(io.StringIO(source(path)).readline)


def test_names_and_prose_are_in_the_field_s_words() -> None:
    found = {str(path.relative_to(ROOT)): words for path in FILES if (words := other_words(path))}

    assert found == {}


@cache
def is_another_word(name: str) -> bool:
    parts = {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
    return bool(parts & PARTS or name.lstrip("_") in WHOLE) and name not in ALLOWED


def other_words(path: Path) -> list[str]:
    found = []
    for token in tokens(path):
        if token.type == tokenize.NAME:
            if is_another_word(token.string):
                found.append(f"{token.start[0]}: {token.string}")
        elif token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""')):
            found += [f"{token.start[0]}: {match[0]}" for match in PROSE.finditer(token.string)]
    return found
