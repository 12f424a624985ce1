"""`ShortRepr`: reprs of at most two lines of 100 characters, whatever the object holds."""

# Theory of operation
# -------------------
# A repr is read in a shell, in a log, in a failing test; what it stands for may be a megabyte. So an object lists what
# it shows, as pairs of a name and a value, and `shorten` finds room for all of them: those that are short are shown
# whole, and the long ones share what is left evenly. (It is found as water finds its level: from the shortest value up,
# each may take an equal share of the room that the ones before it have left.)
#
# A cut text ends in `…` behind its closing quote: what is between the quotes is the text's own. Bytes are counted, not
# shown. The pairs go to pydantic's hooks as well, so rich and devtools show the same.

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["LIMIT", "Pairs", "ShortRepr", "Verbatim", "short_repr", "shorten"]

LIMIT = 200
"""Characters."""

_ELLIPSIS = "…"
_SMALLEST = 8  # no text is cut further


class Verbatim:
    """A text whose repr is the text itself."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


Pairs = Iterable[tuple[str | None, Any]]


class ShortRepr:
    """A base whose repr is `Name(value, name=value, …)` of the pairs that `_shown` lists, cut to fit."""

    __slots__ = ()

    @abstractmethod
    def _shown(self) -> Pairs:
        """What the repr is made of: values with their names, or with None as the name."""

    def _short(self, limit: int) -> str:
        """The repr in at most so many characters, as far as the class's name allows."""
        return short_repr(type(self).__name__, self._shown(), limit)

    def __repr__(self) -> str:
        return self._short(LIMIT)


def short_repr(name: str, pairs: Pairs, limit: int = LIMIT) -> str:
    """`Name(value, name=value, …)` in at most `limit` characters, as far as the name allows."""
    values = shorten(pairs, limit - len(name) - 2)
    return f"{name}({', '.join(repr(value) if key is None else f'{key}={value!r}' for key, value in values)})"


def shorten(pairs: Pairs, limit: int) -> list[tuple[str | None, Verbatim]]:
    """The values as they are shown, so that all of them, with names and commas, take at most `limit` characters."""
    given = list(pairs)
    whole = [_show(value, limit) for _, value in given]
    sizes = [len(name) + 1 if name else 0 for name, _ in given]
    level = _level([len(text) for text in whole], limit - sum(sizes) - 2 * (len(given) - 1))
    texts = [text if len(text) <= level else _show(value, level) for (_, value), text in zip(given, whole, strict=True)]
    shown: list[tuple[str | None, Verbatim]] = []
    room = limit + 2  # there is no comma before the first
    for left, ((name, _), text, size) in enumerate(zip(given, texts, sizes, strict=True), 1 - len(given)):
        room -= size + len(text) + 2
        if room < (3 if left else 0):  # `, …` may have to follow
            shown.append((None, Verbatim(_ELLIPSIS)))
            break
        shown.append((name, Verbatim(text)))
    return shown


def _level(lengths: list[int], room: int) -> int:
    """The most that any of the values may take, for all of them to fit."""
    for index, length in enumerate(sorted(lengths)):
        share = room // (len(lengths) - index)
        if length > share:
            return max(share, _SMALLEST)
        room -= length
    return max(lengths, default=0)


def _show(value: Any, limit: int) -> str:
    """The value's repr, in at most `limit` characters."""
    if limit < _SMALLEST:
        limit = _SMALLEST
    if isinstance(value, str):
        return _show_text(value, limit)
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, ShortRepr):
        return value._short(limit)
    if isinstance(value, Mapping):
        return _show_items(([name, item] for name, item in value.items()), len(value), "{}", limit)
    if isinstance(value, list | tuple):
        return _show_items(([item] for item in value), len(value), "[]" if isinstance(value, list) else "()", limit)
    try:
        shown = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - somebody else's object; and a number of 5,000 digits has no repr either
        return f"<{type(value).__name__}>"
    return shown if len(shown) <= limit else shown[: limit - 1] + _ELLIPSIS


def _show_text(text: str, limit: int) -> str:
    if len(text) <= limit and len(shown := repr(text)) <= limit:
        return shown
    length = min(len(text), limit - 3)  # two quotes, and the ellipsis
    while len(shown := repr(text[:length])) >= limit:
        length -= max(1, (len(shown) - limit) // 10)  # one character takes ten at most, as `\U000e0001`
    return shown + _ELLIPSIS


def _show_items(items: Iterable[list[Any]], count: int, brackets: str, limit: int) -> str:
    """The first items, each one value or a key and its value, and how many more there are."""
    if limit < 2 * _SMALLEST and count:
        return f"{brackets[0]}{_ELLIPSIS}{brackets[1]}"
    shown: list[str] = []
    reserve = len(f", {_ELLIPSIS} {count} more")
    room = limit - len(brackets) - reserve
    for *key, value in items:
        if len(shown) == count - 1:  # nothing has to follow the last one
            room += reserve
        name = f"{_show(key[0], room // 2)}: " if key else ""
        text = name + _show(value, room - len(name))
        if len(text) > room:
            shown.append(f"{_ELLIPSIS} {count - len(shown)} more")
            break
        shown.append(text)
        room -= len(text) + 2
    return brackets[0] + ", ".join(shown) + brackets[1]
