"""How many columns a text takes in a terminal, and what of it a terminal must not get."""

from __future__ import annotations

import re

__all__ = ["clean", "columns", "cut", "units"]

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
"""Controls, which a terminal would act on; overrides of the writing direction; halves of surrogate pairs."""


def clean(text: str) -> str:
    """The text without what a terminal would act on. Line ends and tabs stay."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub("", text)


def columns(text: str) -> int:
    """How many columns the text takes."""
    if text.isascii():
        return len(text)
    from wcwidth import wcwidth

    return sum(max(wcwidth(character), 0) for character in text)


def units(text: str) -> list[str]:
    """A text without blanks, cut where a line may end: around each wide character, as in Chinese or Japanese."""
    if text.isascii():
        return [text]
    from wcwidth import wcwidth

    found: list[str] = []
    is_open = False  # whether the next narrow character belongs to the last unit
    for character in text:
        width = wcwidth(character)
        if found and (width < 1 or found[-1].endswith("\u200d") or (width == 1 and is_open)):
            found[-1] += character
        else:
            found.append(character)
            is_open = width == 1
    return found


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
