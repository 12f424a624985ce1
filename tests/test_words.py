"""The package speaks the field's words: the private ones of its first edition do not come back."""

from __future__ import annotations

import re
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

TOKENS = re.compile(
    r"""(?P<prose>\#[^\n]* | \"{3}(?:[^\\]|\\.)*?\"{3})  # a comment, or a text as docstrings are
      | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*'  # any other text
      | (?P<name>[^\W\d]\w*)""",
    re.DOTALL | re.VERBOSE,
)
"""What is looked at in a module, and what is not. `tokenize` says the same, and takes ten times as long."""


def test_names_and_prose_are_in_the_field_s_words() -> None:
    found = {str(path.relative_to(ROOT)): words for path in FILES if (words := other_words(path))}

    assert found == {}


@cache
def is_another_word(name: str) -> bool:
    parts = {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}
    return bool(parts & PARTS or name.lstrip("_") in WHOLE) and name not in ALLOWED


def other_words(path: Path) -> list[str]:
    text, found = source(path), []
    for token in TOKENS.finditer(text):
        if token.lastgroup == "name":
            words = [token[0]] if is_another_word(token[0]) else []
        else:
            words = [match[0] for match in PROSE.finditer(token["prose"] or "")]
        found += [f"{text.count(chr(10), 0, token.start()) + 1}: {word}" for word in words]
    return found


def test_words_are_seen_in_names_and_in_prose_and_not_in_data(tmp_path: Path) -> None:
    lines = (
        "door = f(fold=1)  # through the gate",
        'text = "a door", \'a "fold"\', r"a \\" # gate", "gate"',
        'def echo(): """Of the course,\n"what was" folded."""',
    )
    path = tmp_path / "module.py"
    path.write_text("\n".join(lines))

    assert other_words(path) == ["1: door", "1: fold", "1: gate", "3: echo", "3: course", "3: folded"]
