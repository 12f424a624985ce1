"""`SchemaRules`: how much of JSON Schema a maker's strict mode takes, as data; the table of the makers is `MAKERS`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ["ANTHROPIC", "COHERE", "GEMINI", "MAKERS", "MISTRAL", "OPENAI", "STANDARD_KEYWORDS", "SchemaRules"]

_STRUCTURE = frozenset(
    {"type", "properties", "required", "additionalProperties", "items", "enum", "anyOf", "title", "description"}
    | {"$ref", "$defs", "definitions"}
)
"""What every maker takes."""

STANDARD_KEYWORDS = _STRUCTURE | frozenset(
    {"const", "default", "format", "pattern", "minLength", "maxLength", "multipleOf", "minimum", "maximum"}
    | {"exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems", "uniqueItems", "prefixItems", "contains"}
    | {"minContains", "maxContains", "unevaluatedItems", "minProperties", "maxProperties", "patternProperties"}
    | {"propertyNames", "unevaluatedProperties", "allOf", "oneOf", "not", "if", "then", "else"}
    | {"dependentRequired", "dependentSchemas", "dependencies"}
)
"""JSON Schema's words that say something of a value. What only comments (`examples`, `x-…`) is nobody's trouble."""

_LOOK_AROUND = re.compile(r"\(\?<?[=!]")


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaRules:
    """What a maker's strict mode takes.

    Attributes:
        maker: its name, for errors.
        source: where the facts are from.
        keywords: those of `STANDARD_KEYWORDS` that it takes.
        formats: the values of `format` that it takes; None: any.
        not_in_patterns: what no `pattern` may have, looked for beside escapes and character classes.
        closed: whether every object must have `additionalProperties: false`.
        typed: whether every value must have a type: there is no "anything".
        all_required: whether every property must be required.
        some_required: whether an object must have a required property.
        plain_refs: whether a `$ref` stands alone.
        recursion: whether a schema may refer to itself: anywhere, in properties that are not required, or not at all.
        max_min_items: the largest `minItems`; None: any.
        max_properties: how many a schema may have altogether; None: any number.
        max_enum_values: how many values its enums may have altogether; None: any number.
        described: those of its keywords that move into the description all the same, as the maker's own SDK does it.
        describes_shapes: whether also keywords that hold schemas do, because the wire carries no other schemas.
        always_binding: whether a schema binds there without a claim that could be left out.
    """

    maker: str
    source: str
    keywords: frozenset[str]
    formats: frozenset[str] | None = None
    not_in_patterns: re.Pattern[str] | None = None
    closed: bool = True
    typed: bool = True
    all_required: bool = False
    some_required: bool = False
    plain_refs: bool = False
    recursion: Literal["anywhere", "optional", "nowhere"] = "anywhere"
    max_min_items: int | None = None
    max_properties: int | None = None
    max_enum_values: int | None = None
    described: frozenset[str] = frozenset()
    describes_shapes: bool = False
    always_binding: bool = False


OPENAI = SchemaRules(
    maker="OpenAI",
    source=(
        'developers.openai.com/api/docs/guides/structured-outputs, "Supported schemas", as profiled in 2026-02;'
        " openai 3.57.0, lib/_pydantic.py; messages of its 400s as reported until 2026-09: 'oneOf', 'default' and"
        " 'minLength' are not permitted, '$ref cannot have keywords', 'uri' is not a valid format, 'regex lookaround"
        " is not supported'. Looked at in 2026-11"
    ),
    keywords=_STRUCTURE
    | {"const", "pattern", "format", "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    | {"minItems", "maxItems"},
    formats=frozenset(
        {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"},
    ),
    not_in_patterns=_LOOK_AROUND,
    all_required=True,
    plain_refs=True,
    max_properties=5000,
    max_enum_values=1000,
)

MISTRAL = SchemaRules(
    maker="Mistral",
    source=(
        "client-python, extra/utils/_pydantic_helper.py (rec_strict_json_schema): it closes every object, and sends"
        " everything else as pydantic has it. Looked at in 2026-11"
    ),
    keywords=STANDARD_KEYWORDS,
)

ANTHROPIC = SchemaRules(
    maker="Anthropic",
    source=(
        'platform.claude.com/docs/en/build-with-claude/structured-outputs, "JSON Schema limitations"; anthropic'
        " 2.14.0, lib/_parse/_transform.py. Looked at in 2026-11"
    ),
    keywords=_STRUCTURE | {"const", "default", "allOf", "format", "pattern", "minItems"},
    formats=frozenset(
        {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"},
    ),
    not_in_patterns=re.compile(_LOOK_AROUND.pattern + r"|\\[1-9bB]"),
    recursion="nowhere",
    max_min_items=1,
    described=frozenset({"pattern", "default"}),
    describes_shapes=True,
)

GEMINI = SchemaRules(
    maker="Gemini",
    source=(
        "ai.google.dev/api/generate-content, GenerationConfig.responseJsonSchema: the list of properties, and that"
        " cyclic references stand in properties that are not required. Looked at in 2026-11"
    ),
    keywords=_STRUCTURE | {"format", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "oneOf"},
    formats=frozenset({"date-time", "date", "time"}),
    closed=False,
    typed=False,
    plain_refs=True,
    recursion="optional",
    describes_shapes=True,
    always_binding=True,
)

COHERE = SchemaRules(
    maker="Cohere",
    source=(
        'docs.cohere.com/v2/docs/structured-outputs, "Schema constraints", "Supported schema features" and'
        ' "Unsupported schema features". Looked at in 2026-11'
    ),
    keywords=_STRUCTURE | {"const", "format", "pattern"},
    formats=frozenset({"date-time", "uuid", "date", "time"}),
    not_in_patterns=re.compile(r"[\^$]|\(\?[=!]"),
    closed=False,
    typed=False,
    some_required=True,
    max_properties=200,
    describes_shapes=True,
    always_binding=True,
)

MAKERS: Mapping[str, SchemaRules] = {
    "openai": OPENAI,
    "mistral": MISTRAL,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "cohere": COHERE,
}
