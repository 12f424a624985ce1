"""How many columns a text takes in a terminal, and what of it a terminal must not get."""

from __future__ import annotations

import re

__all__ = ["clean", "columns", "cut", "is_joined", "units"]

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Controls, which a terminal would act on; overrides of the writing direction; halves of surrogate pairs."""


_WIDE = "\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6"
_CLOSING = "、。，．・：；？！）」』】〉》"
"""What ends a clause does not begin a row."""

_ALL_WIDE = re.compile(f"[{_WIDE}]+")
_UNITS = re.compile(f"[{_CLOSING}]+|[{_WIDE}][{_CLOSING}]*|[^{_WIDE}]+[{_CLOSING}]*")


def clean(text: str) -> str:
    """The text without what a terminal would act on. Line ends and tabs stay."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub("", text)


def columns(text: str) -> int:
    """How many columns the text takes."""
    if text.isascii():
        return len(text)
    if _ALL_WIDE.fullmatch(text):
        return 2 * len(text)
    from wcwidth import wcwidth

    return sum(max(wcwidth(character), 0) for character in text)


def units(text: str) -> list[str]:
    """A text without blanks, cut where a row may end: around the characters of Chinese, Japanese and Korean."""
    return [text] if text.isascii() else _UNITS.findall(text)


def is_joined(before: str, character: str) -> bool:
    """Whether no row may end between two characters without a blank."""
    return character in _CLOSING or not (_ALL_WIDE.fullmatch(before) or _ALL_WIDE.fullmatch(character))


def cut(text: str, room: int) -> tuple[str, str]:
    """The beginning of a text that takes at most `room` columns, but one character at the least; and the rest."""
    if text.isascii():
        return text[: max(room, 1)], text[max(room, 1) :]
    taken = 0
    for index, character in enumerate(text):
        taken += columns(character)
        if taken > room and index:
            return text[:index], text[index:]
    return text, ""
