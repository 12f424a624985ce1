"""What in a JSON Schema a maker's strict mode does not take, each with its place: `misfits`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from llmclients.types.schema_refs import References, direct_refs, reference
from llmclients.types.schema_rules import STANDARD_KEYWORDS, SchemaRules

__all__ = ["describe_misfits", "fits_format", "fits_min_items", "fits_pattern", "misfits"]

_MAX_NAMED = 3
_TYPE_KEYWORDS = ("type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const")
_ESCAPES_AND_CLASSES = re.compile(r"\\([^1-9bB])|\[\^?(?:\\.|[^\]\\])*\]", re.DOTALL)


def describe_misfits(schema: Mapping[str, Any], rules: SchemaRules) -> str | None:
    """The first misfits in one line; None when there are none."""
    try:
        found = list(islice(misfits(schema, rules), _MAX_NAMED))
    except RecursionError:
        found = ["the schema is nested too deeply"]
    return "; ".join(found) or None


def misfits(schema: Mapping[str, Any], rules: SchemaRules) -> Iterator[str]:
    """What in the schema the maker does not take: the path, in the schema's own words, and why."""
    checker = _Checker(schema, rules)
    if schema.keys() & {"anyOf", "oneOf"} or schema.get("type", "object") != "object":
        yield "the outermost schema is no plain object"
    yield from checker.node(schema, "", "#")
    if rules.max_properties is not None and checker.properties > rules.max_properties:
        yield f"{checker.properties} properties: {rules.maker} takes {rules.max_properties}"
    if rules.max_enum_values is not None and checker.enum_values > rules.max_enum_values:
        yield f"{checker.enum_values} values of enums: {rules.maker} takes {rules.max_enum_values}"


class _Checker:
    def __init__(self, root: Mapping[str, Any], rules: SchemaRules) -> None:
        self._rules = rules
        self._references = References(root)
        self.properties = 0
        self.enum_values = 0

    def node(self, schema: Any, path: str, place: str) -> Iterator[str]:
        """The misfits of a schema and all schemas in it.

        Args:
            path: where it stands, for the reader.
            place: the reference that leads to it, or to the definition that it stands in.
        """
        rules = self._rules
        where = path or "the schema"
        if not isinstance(schema, Mapping):
            if rules.typed and schema is not False:
                yield f"{where}: {rules.maker} wants a type, not anything"
            return
        has_type = any(schema.get(key) not in (None, [], "") for key in _TYPE_KEYWORDS)
        if rules.typed and not has_type and (path or "properties" not in schema):
            yield f"{where}: {rules.maker} wants a type, not anything"
        for key in schema:
            if key in STANDARD_KEYWORDS and key not in rules.keywords:
                yield f"{_join(path, key)}: {rules.maker} takes no {key}"
        yield from self._values(schema, path)
        yield from self._reference(schema, path)
        yield from self._object(schema, path, place)
        yield from self._children(schema, path, place)

    def _values(self, schema: Mapping[str, Any], path: str) -> Iterator[str]:
        rules = self._rules
        if "format" in rules.keywords and not fits_format(schema.get("format"), rules):
            yield f"{_join(path, 'format')}: {rules.maker} takes no {schema['format']!r}"
        if "pattern" in rules.keywords and not fits_pattern(schema.get("pattern"), rules):
            yield f"{_join(path, 'pattern')}: {rules.maker} takes no such expression"
        if "minItems" in rules.keywords and not fits_min_items(schema.get("minItems"), rules):
            yield f"{_join(path, 'minItems')}: {rules.maker} takes {rules.max_min_items} at most"
        if isinstance(enum := schema.get("enum"), list):
            self.enum_values += len(enum)
        types = schema.get("type")
        is_array = types == "array" or (isinstance(types, list) and "array" in types)
        if rules.typed and is_array and not schema.keys() & {"items", "prefixItems"}:
            yield f"{_join(path, 'items')}: {rules.maker} wants a type, not anything"

    def _reference(self, schema: Mapping[str, Any], path: str) -> Iterator[str]:
        if not isinstance(ref := schema.get("$ref"), str):
            return
        try:
            recursive = self._rules.recursion == "nowhere" and self._references.is_recursive(ref)
            self._references.resolve(ref)
        except ValueError as error:
            yield f"{_join(path, '$ref')}: {error}"
            return
        if recursive:
            yield f"{_join(path, '$ref')}: {self._rules.maker} takes no schema that refers to itself"
        if self._rules.plain_refs and schema.keys() - {"$ref", "$defs", "definitions"}:
            yield f"{_join(path, '$ref')}: {self._rules.maker} takes nothing beside it"

    def _object(self, schema: Mapping[str, Any], path: str, place: str) -> Iterator[str]:
        rules, types = self._rules, schema.get("type")
        properties = schema.get("properties")
        if not (
            types == "object" or (isinstance(types, list) and "object" in types) or isinstance(properties, Mapping)
        ):
            return
        properties = properties if isinstance(properties, Mapping) else {}
        self.properties += len(properties)
        required = schema.get("required") or ()
        if rules.closed and schema.get("additionalProperties") is not False:
            yield f"{_join(path, 'additionalProperties')}: {rules.maker} wants false, so no other keys than the named"
        if rules.all_required and (missing := [name for name in properties if name not in required]):
            yield f"{_join(path, 'required')}: {rules.maker} wants every property, also {missing[0]!r}"
        if rules.some_required and not required:
            yield f"{_join(path, 'required')}: {rules.maker} wants a required property in every object"
        if rules.recursion == "optional":
            for name in properties:
                if name in required and self._closes_a_circle(properties[name], place):
                    yield f"{_join(path, f'properties.{name}')}: {rules.maker} takes no circle through what is required"

    def _closes_a_circle(self, schema: Any, place: str) -> bool:
        try:
            return any(ref == place or place in self._references.reached(ref) for ref in direct_refs(schema))
        except ValueError:  # a reference to nowhere, which is said elsewhere
            return False

    def _children(self, schema: Mapping[str, Any], path: str, place: str) -> Iterator[str]:
        for key in ("properties", "$defs", "definitions", "patternProperties"):
            if isinstance(children := schema.get(key), Mapping):
                for name, child in children.items():
                    inner = reference(key, name) if key in ("$defs", "definitions") else place
                    yield from self.node(child, _join(path, f"{key}.{name}"), inner)
        for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            if isinstance(variants := schema.get(key), list):
                for index, child in enumerate(variants):
                    yield from self.node(child, _join(path, f"{key}.{index}"), place)
        if "items" in schema:
            yield from self.node(schema["items"], _join(path, "items"), place)
        if isinstance(others := schema.get("additionalProperties"), Mapping) and not self._rules.closed:
            yield from self.node(others, _join(path, "additionalProperties"), place)


def fits_format(value: Any, rules: SchemaRules) -> bool:
    """Whether the maker takes this `format`."""
    return value is None or rules.formats is None or value in rules.formats


def fits_min_items(value: Any, rules: SchemaRules) -> bool:
    """Whether the maker takes this `minItems`."""
    return rules.max_min_items is None or not isinstance(value, int) or value <= rules.max_min_items


def fits_pattern(pattern: Any, rules: SchemaRules) -> bool:
    """Whether the maker takes this `pattern`."""
    if not isinstance(pattern, str) or rules.not_in_patterns is None:
        return True
    return rules.not_in_patterns.search(_ESCAPES_AND_CLASSES.sub("", pattern)) is None


def _join(path: str, step: str) -> str:
    return f"{path}.{step}" if path else step
