"""`strict_schema`: a type's JSON Schema, rewritten so far as it can be into what a maker's strict mode takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmclients.types.schema_check import fits_format, fits_min_items, fits_pattern
from llmclients.types.schema_refs import References, direct_refs, reference
from llmclients.types.schema_rules import OPENAI, SchemaRules

__all__ = ["strict_schema"]

# Theory of operation
#
# The given schema is only read: every schema of the result is a new dict. So what a `$ref` refers to is always there as
# the type has it, however often it is copied from.
#
# A rewritten schema asks for no less than the type where the maker has a word for it: objects are closed, properties
# required, unions with `oneOf` become `anyOf`. A constraint that the maker has no word for (`maxLength`, `default`)
# moves into the description, where the model still reads it; the type checks it when the answer is read. What gives a
# value its shape and cannot be said (`dict[str, int]`, anything at all, `not`) stays as it is: closing such an object
# would make it always empty. `schema_check.misfits` finds that, and no strictness is claimed.
#
# Beside a `$ref` no other keyword may stand. What it refers to is put in its place, with these keywords; but where that
# leads back to itself, which has no end, the `$ref` becomes the only variant of an `anyOf`.

_SHAPES = frozenset(
    {"prefixItems", "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "contains"}
    | {"allOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"}
)
"""Keywords that hold schemas. Left in place, where a schema can go out without the claim to be strict."""

_SAYS_NOTHING_NEW = frozenset({"title", "description", "default", "examples"})
_MAX_COPIES = 1000
"""How many schemas are put in a `$ref`'s place at most: a chain of them would double at each link."""


def strict_schema(schema: Mapping[str, Any], rules: SchemaRules = OPENAI) -> dict[str, Any]:
    """A copy of the schema as strict modes want it, as far as it can be: see `schema_check.misfits` for the rest.

    Every property is required and no others are allowed, there is no `default`, `oneOf` is `anyOf`. An `allOf` of one
    entry is replaced by the entry, and a `$ref` that has other keywords beside it by what it refers to, with these
    keywords. What the maker has no word for is in the descriptions.

    Args:
        schema: a type's; it is not changed.
        rules: the maker's.

    Raises:
        ValueError: such a `$ref` refers to nothing inside the schema.
    """
    return _Writer(schema, rules).root()


class _Writer:
    def __init__(self, root: Mapping[str, Any], rules: SchemaRules) -> None:
        self._root = root
        self._rules = rules
        self._references = References(root)
        self._copies = 0

    def root(self) -> dict[str, Any]:
        schema, rest = dict(self._root), dict(self._root)
        while isinstance(ref := rest.pop("$ref", None), str):  # pydantic gives a recursive model's so
            schema = rest = {**self._references.resolve(ref), **rest}
            self._count()
        strict: dict[str, Any] = self._node(schema, "#")
        return strict

    def _node(self, schema: Any, place: str) -> Any:
        """The schema, rewritten.

        Args:
            place: the reference that leads to it, or to the definition that it stands in.
        """
        if not isinstance(schema, Mapping):
            return schema
        schema = self._unwrapped({key: value for key, value in schema.items() if key != "discriminator"})
        if "default" in schema and schema["default"] is None:
            del schema["default"]
        ref = schema.get("$ref")
        if isinstance(ref, str) and schema.keys() - {"$ref", "$defs", "definitions"}:
            return self._with_siblings(ref, schema, place)
        if "oneOf" in schema and "anyOf" not in schema:
            schema["anyOf"] = schema.pop("oneOf")
        self._even_tuple(schema)
        self._rewrite_children(schema, place)
        self._close(schema, place)
        return self._described(schema)

    def _unwrapped(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Without an `allOf` of one entry that says nothing against what stands beside it."""
        entries = schema.get("allOf")
        if not isinstance(entries, list) or len(entries) != 1 or not isinstance(entries[0], Mapping):
            return schema
        rest = {key: value for key, value in schema.items() if key != "allOf"}
        both = entries[0].keys() & rest.keys()
        if any(entries[0][key] != rest[key] for key in both - _SAYS_NOTHING_NEW):
            return schema
        return self._unwrapped({**entries[0], **rest})

    def _with_siblings(self, ref: str, schema: dict[str, Any], place: str) -> Any:
        siblings = {key: value for key, value in schema.items() if key != "$ref"}
        target = self._references.resolve(ref)
        if self._references.is_recursive(ref) or self._copies >= _MAX_COPIES:
            if "anyOf" in siblings:
                return self._node({"allOf": [{"$ref": ref}, siblings]}, place)
            return self._node({"anyOf": [{"$ref": ref}], **siblings}, place)
        self._count()
        return self._node({**target, **siblings}, place)

    def _count(self) -> None:
        self._copies += 1
        if self._copies > 2 * _MAX_COPIES:
            raise ValueError("its references lead to nothing but references")

    def _even_tuple(self, schema: dict[str, Any]) -> None:
        """A tuple whose places are all alike is an array of a fixed length."""
        places = schema.get("prefixItems")
        if "prefixItems" in self._rules.keywords or not isinstance(places, list) or not places:
            return
        is_full = schema.get("minItems") == schema.get("maxItems") == len(places) and "items" not in schema
        if is_full and all(place == places[0] for place in places):
            del schema["prefixItems"]
            schema["items"] = places[0]

    def _rewrite_children(self, schema: dict[str, Any], place: str) -> None:
        for key in ("$defs", "definitions", "properties", "patternProperties"):
            if isinstance(children := schema.get(key), Mapping):
                defines = key in ("$defs", "definitions")
                schema[key] = {
                    name: self._node(child, reference(key, name) if defines else place)
                    for name, child in children.items()
                }
        for key in ("anyOf", "allOf", "prefixItems"):
            if isinstance(variants := schema.get(key), list):
                schema[key] = [self._node(variant, place) for variant in variants]
        for key in ("items", "additionalProperties"):
            if isinstance(schema.get(key), Mapping):
                schema[key] = self._node(schema[key], place)

    def _close(self, schema: dict[str, Any], place: str) -> None:
        properties = schema.get("properties")
        if not isinstance(properties, dict):
            return  # an object without named properties takes any
        schema.setdefault("additionalProperties", False)
        schema["required"] = list(properties)
        if self._rules.recursion == "optional":
            circles = [
                name
                for name, child in properties.items()
                if any(ref == place or place in self._references.reached(ref) for ref in direct_refs(child))
            ]
            schema["required"] = [name for name in properties if name not in circles]

    def _described(self, schema: dict[str, Any]) -> dict[str, Any]:
        """With the constraints that the maker has no word for in the description."""
        rules = self._rules
        if "const" in schema and "const" not in rules.keywords and type(schema["const"]) in (str, int, float):
            schema["enum"] = [schema.pop("const")]
        moved: dict[str, Any] = {}
        for key in list(schema):
            known = key in rules.keywords and key not in rules.described
            if key == "format":
                known = known and fits_format(schema[key], rules)
            elif key == "pattern":
                known = known and fits_pattern(schema[key], rules)
            elif key == "minItems":
                known = known and fits_min_items(schema[key], rules)
            if not known and (key not in _SHAPES or rules.describes_shapes):
                moved[key] = schema.pop(key)
        if moved:
            text = "{" + ", ".join(f"{key}: {value}" for key, value in moved.items()) + "}"
            schema["description"] = f"{schema['description']}\n\n{text}" if schema.get("description") else text
        return schema
