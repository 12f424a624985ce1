"""What a docstring says of a function and of its parameters: Google's form, NumPy's, and Sphinx' fields."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["ParsedDocstring", "parse_docstring"]

_GOOGLE = re.compile(r"(args|arguments|parameters|params):", re.IGNORECASE)
_SECTION = re.compile(r"[A-Z][A-Za-z ]*:")
_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?::.*)?")
_FIELD = re.compile(r":(?:param|parameter|arg|argument)(?:\s+[^:]+?)??\s+\*{0,2}(\w+)\s*:\s*(.*)")


@dataclass(slots=True)
class ParsedDocstring:
    """The text before the first section, and each parameter's."""

    summary: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def parse_docstring(docstring: str) -> ParsedDocstring:
    """What a docstring, without its indentation (`inspect.getdoc`), says."""
    found = ParsedDocstring()
    summary: list[str] = []
    lines = docstring.splitlines()
    for number, line in enumerate(lines):
        rest = lines[number + 1 :]
        if _GOOGLE.fullmatch(line):
            found.parameters |= _google(rest)
        elif line.lower() in ("parameters", "other parameters") and rest and set(rest[0]) == {"-"}:
            found.parameters |= _numpy(rest[1:])
        elif line.startswith(":"):
            found.parameters |= _fields(lines[number:])
        elif not (_SECTION.fullmatch(line) and rest and rest[0].startswith(" ")) and not _underlined(rest):
            summary.append(line)
            continue
        break
    found.summary = "\n".join(summary).strip()
    return found


def _underlined(rest: list[str]) -> bool:
    return bool(rest) and len(rest[0]) > 2 and set(rest[0]) == {"-"}


def _google(lines: list[str]) -> dict[str, str]:
    entries: dict[str, list[str]] = {}
    current: list[str] = []
    indent = None
    for line in lines:
        if not line.strip():
            continue
        depth = len(line) - len(line.lstrip())
        if not depth:
            break
        indent = depth if indent is None else indent
        entry = _ENTRY.fullmatch(line.strip()) if depth == indent else None
        if entry is not None:
            current = entries[entry[1]] = [entry[2]]
        else:
            current.append(line.strip())
    return _texts(entries)


def _numpy(lines: list[str]) -> dict[str, str]:
    entries: dict[str, list[str]] = {}
    current: list[str] = []
    for number, line in enumerate(lines):
        if _underlined(lines[number + 1 :]):
            break
        if line.startswith(" "):
            current.append(line.strip())
        elif entry := _NUMPY_ENTRY.fullmatch(line.strip()):
            current = entries[entry[1]] = []
    return _texts(entries)


def _fields(lines: list[str]) -> dict[str, str]:
    entries: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if entry := _FIELD.fullmatch(line):
            current = entries[entry[1]] = [entry[2]]
        elif line.startswith(":"):
            current = []
        else:
            current.append(line.strip())
    return _texts(entries)


def _texts(entries: dict[str, list[str]]) -> dict[str, str]:
    texts = {name: " ".join(filter(None, lines)) for name, lines in entries.items()}
    return {name: text for name, text in texts.items() if text}
