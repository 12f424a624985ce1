"""A parser of docstrings: what they say of a function and of each parameter, as Google, NumPy or Sphinx write it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["ParsedDocstring", "parse_docstring"]

_GOOGLE_HEADING = re.compile(r"(args|arguments|parameters|params):", re.IGNORECASE)
_NUMPY_HEADINGS = ("parameters", "other parameters")
_ANY_HEADING = re.compile(r"[A-Z][A-Za-z ]*:")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?::.*)?")
_SPHINX_ENTRY = re.compile(r":(?:param|parameter|arg|argument)(?:\s+[^:]+?)??\s+\*{0,2}(\w+)\s*:\s*(.*)")


@dataclass(slots=True)
class ParsedDocstring:
    """The text before the first section, and each parameter's description, on one line."""

    summary: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def parse_docstring(docstring: str) -> ParsedDocstring:
    """Parse a docstring whose indentation is removed, as `inspect.getdoc` does.

    Any text is accepted: what looks like no section is part of the summary. What follows the section of parameters, or
    the first section that is none, is left out.
    """
    parsed = ParsedDocstring()
    summary: list[str] = []
    lines = docstring.splitlines()
    for number, line in enumerate(lines):
        following = lines[number + 1 :]
        if _GOOGLE_HEADING.fullmatch(line):
            parsed.parameters |= _parse_google(following)
        elif line.lower() in _NUMPY_HEADINGS and following and set(following[0]) == {"-"}:
            parsed.parameters |= _parse_numpy(following[1:])
        elif line.startswith(":"):
            parsed.parameters |= _parse_sphinx(lines[number:])
        elif not _is_heading(line, following):
            summary.append(line)
            continue
        break
    parsed.summary = "\n".join(summary).strip()
    return parsed


def _is_heading(line: str, following: list[str]) -> bool:
    """Whether the line is the heading of any section, in Google's style or NumPy's."""
    is_googles = _ANY_HEADING.fullmatch(line) and following and following[0].startswith(" ")
    return bool(is_googles) or _is_underlined(following)


def _is_underlined(following: list[str]) -> bool:
    return bool(following) and len(following[0]) > 2 and set(following[0]) == {"-"}


def _parse_google(lines: list[str]) -> dict[str, str]:
    """`name (type): description`, indented; what is indented further goes on with the description."""
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
        entry = _GOOGLE_ENTRY.fullmatch(line.strip()) if depth == indent else None
        if entry is not None:
            current = entries[entry[1]] = [entry[2]]
        else:
            current.append(line.strip())
    return _join(entries)


def _parse_numpy(lines: list[str]) -> dict[str, str]:
    """`name : type`, and indented under it the description."""
    entries: dict[str, list[str]] = {}
    current: list[str] = []
    for number, line in enumerate(lines):
        if _is_underlined(lines[number + 1 :]):
            break
        if line.startswith(" "):
            current.append(line.strip())
        elif entry := _NUMPY_ENTRY.fullmatch(line.strip()):
            current = entries[entry[1]] = []
    return _join(entries)


def _parse_sphinx(lines: list[str]) -> dict[str, str]:
    """`:param type name: description`, among other fields; the next field ends it."""
    entries: dict[str, list[str]] = {}
    current: list[str] = []
    for line in lines:
        if entry := _SPHINX_ENTRY.fullmatch(line):
            current = entries[entry[1]] = [entry[2]]
        elif line.startswith(":"):
            current = []
        else:
            current.append(line.strip())
    return _join(entries)


def _join(entries: dict[str, list[str]]) -> dict[str, str]:
    texts = {name: " ".join(filter(None, lines)) for name, lines in entries.items()}
    return {name: text for name, text in texts.items() if text}
