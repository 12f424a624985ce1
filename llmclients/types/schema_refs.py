"""`References`: the `$ref`s of a JSON Schema: what they refer to, and which of them close a circle."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

__all__ = ["References", "direct_refs", "reference"]

_VALUES = frozenset({"enum", "const", "default", "examples"})
"""What holds plain values: a `$ref` in there is none."""


class References:
    """The references of one schema, which is not changed.

    Args:
        root: the whole schema.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._reached: dict[str, frozenset[str]] = {}

    def resolve(self, ref: str) -> Mapping[str, Any]:
        """The schema that a reference is to, as it stands in the root.

        Raises:
            ValueError: it refers to nothing inside the root.
        """
        value: Any = self._root
        for step in ref.split("/")[1:]:
            key = unquote(step).replace("~1", "/").replace("~0", "~")
            if isinstance(value, Mapping):
                value = value.get(key)
            elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
                value = value[int(key)]
            else:
                value = None
        if not (ref == "#" or ref.startswith("#/")) or not isinstance(value, Mapping):
            raise ValueError(f"the schema has no {ref}")
        return value

    def is_recursive(self, ref: str) -> bool:
        """Whether what it refers to leads back to it."""
        return ref in self.reached(ref)

    def reached(self, ref: str) -> frozenset[str]:
        """All references that can be come to from what this one refers to."""
        if ref not in self._reached:
            found: set[str] = set()
            waiting = [ref]
            while waiting:
                for other in direct_refs(self.resolve(waiting.pop())):
                    if other not in found:
                        found.add(other)
                        waiting.append(other)
            self._reached[ref] = frozenset(found)
        return self._reached[ref]


def reference(key: str, name: str) -> str:
    """The reference to a definition of the root."""
    return f"#/{key}/{name.replace('~', '~0').replace('/', '~1')}"


def direct_refs(schema: Any) -> Iterator[str]:
    """The references that stand in a schema, those in its definitions apart."""
    if isinstance(schema, Mapping):
        if isinstance(ref := schema.get("$ref"), str):
            yield ref
        for key, value in schema.items():
            if key in ("$defs", "definitions") or key in _VALUES:
                continue
            if key in ("properties", "patternProperties", "dependentSchemas") and isinstance(value, Mapping):
                for one in value.values():  # the names in there are no keywords
                    yield from direct_refs(one)
            else:
                yield from direct_refs(value)
    elif isinstance(schema, list):
        for one in schema:
            yield from direct_refs(one)
