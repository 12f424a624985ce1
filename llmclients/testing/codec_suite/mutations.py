"""JSON with one thing wrong: each member left out, or of another type, and each number one that no count can be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["in_events", "mutations"]

_FEW = 8
_ABSENT = object()
_EACH_TYPE: tuple[Any, ...] = (_ABSENT, None, True, 10**30, "x", [None], [{}], {"x": None})
_OTHERS: tuple[Any, ...] = (0, -1, 1.5, "", "河", [], ["x"], [[]], {}, {"x": {"x": []}})
_NUMBERS = ("1e400", "-1e400", "NaN", "9" * 400, "-" + "9" * 400)
"""JSON texts of numbers, or what parsers take for one, that no float or no count holds."""
_Path = tuple[Any, ...]


def mutations(bodies: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, str, bytes]]:
    """Bodies of one JSON value each, with one place in them changed; equal places once.

    Args:
        bodies: names and bytes; what is no JSON is left alone.

    Yields:
        The body's name, what is changed, and the bytes.
    """
    seen: set[Any] = set()
    for name, data in _shortest_first(bodies):
        try:
            value = json.loads(data)
        except ValueError:
            continue
        for where, changed in _changes(value, seen):
            yield name, where, changed


def in_events(bodies: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, str, bytes]]:
    """The same for bodies of which each line may have a JSON object: server-sent events, or lines of JSON."""
    seen: set[Any] = set()
    for name, data in _shortest_first(bodies):
        lines = data.splitlines(keepends=True)
        for place, line in enumerate(lines):
            start = line.find(b"{")
            try:
                value = json.loads(line[start:]) if start >= 0 else None
            except ValueError:
                continue
            if not isinstance(value, dict):
                continue
            end = line[len(line.rstrip(b"\r\n")) :]
            for where, changed in _changes(value, seen):
                event = line[:start] + changed + end
                changed_body = b"".join([*lines[:place], event, *lines[place + 1 :]])
                yield name, f"{where} in line {place + 1}", changed_body


def _shortest_first(bodies: Iterable[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """So that each place is changed in the body that is read in the shortest time."""
    return sorted(bodies, key=lambda body: len(body[1]))


def _changes(value: Any, seen: set[Any]) -> Iterator[tuple[str, bytes]]:
    """What is changed, and the JSON text with the change.

    Places are equal that have the same path, whatever the place in a list, in the same type of event, in an object of
    the same type and beside the same members, and hold values of the same type. Beside other members than before, a
    place is given one value of each type only; among many members, nothing more, as they do not depend on each other.
    """
    event_type = str(value.get("type")) if isinstance(value, dict) else ""
    for path, holder in _places(value):
        old = holder[path[-1]]
        general = tuple("[]" if isinstance(step, int) else step for step in path)
        kind = str(holder.get("type")) if isinstance(holder, dict) else ""
        place = event_type, general, kind, type(old)
        beside = *place, tuple(holder) if isinstance(holder, dict) and len(holder) <= _FEW else ()
        if beside in seen:
            continue
        others = _EACH_TYPE if place in seen else (*_EACH_TYPE, *_OTHERS)
        numbers = _NUMBERS if place not in seen and type(old) in (int, float) else ()
        seen |= {place, beside}
        where = ".".join(map(str, path))
        for other in others:
            change = "left out" if other is _ABSENT else f"= {other!r}"
            yield f"{where} {change}", json.dumps(_changed(value, path, other)).encode()
        for text in numbers:
            yield f"{where} = {text[:9]}", _with_text(value, path, text)


def _with_text(value: Any, path: _Path, text: str) -> bytes:
    """The JSON text with this text at a place: Python's own encoder cannot write every number."""
    mark = "the place of a number"
    return json.dumps(_changed(value, path, mark)).replace(f'"{mark}"', text).encode()


def _places(value: Any, path: _Path = ()) -> Iterator[tuple[_Path, Any]]:
    """Every place in a JSON value, with the object or list that it is in."""
    for name, member in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield (*path, name), value
        yield from _places(member, (*path, name))


def _changed(value: Any, path: _Path, other: Any) -> Any:
    step, *rest = path
    copied = dict(value) if isinstance(value, dict) else list(value)
    if rest:
        copied[step] = _changed(value[step], tuple(rest), other)
    elif other is _ABSENT:
        del copied[step]
    else:
        copied[step] = other
    return copied
