"""`ResponseFormat`: structured output. The JSON Schema that goes to the model, and the type that its text becomes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import (
    BaseModel,
    Field,
    PydanticSchemaGenerationError,
    PydanticUserError,
    StrictBool,
    TypeAdapter,
    ValidationError,
)
from pydantic.errors import PydanticInvalidForJsonSchema

from llmclients.errors import InvalidRequestError
from llmclients.types.base import Model, Text
from llmclients.types.limits import has_too_many_values

__all__ = ["ResponseFormat", "as_response_format", "strict_schema"]

_NOT_NAME_CHARACTERS = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME_LENGTH = 64
_MAX_FINDINGS = 5


class ResponseFormat(Model):
    """An answer in JSON.

    Args:
        name: the schema's name, for the model to see.
        json_schema: of an object; None for any JSON object.
        description: what the answer is for.
        strict: whether the provider must keep the answer to the schema.
        adapter: the pydantic `TypeAdapter` that validates the answer; None: it stays plain JSON values. Never sent.
    """

    name: Text = "answer"
    json_schema: dict[str, Any] | None
    description: Text | None = None
    strict: StrictBool | None = None
    adapter: Any = Field(default=None, exclude=True, repr=False)

    if TYPE_CHECKING:

        def __init__(
            self,
            *,
            name: str = "answer",
            json_schema: dict[str, Any] | None,
            description: str | None = None,
            strict: bool | None = None,
            adapter: TypeAdapter[Any] | None = None,
        ) -> None: ...

    def parse(self, text: str) -> Any:
        """The answer's text as a value of the adapter's type; without one, as a dict.

        Raises:
            ValueError: it is not JSON, or does not fit; the message says where. Or it has millions of values.
        """
        if has_too_many_values(text):
            raise ValueError("it has too many values")
        if self.adapter is None:
            try:
                value = json.loads(text)
            except RecursionError:  # a model that opens brackets until it is stopped
                raise ValueError("it is nested too deeply") from None
            if not isinstance(value, dict):
                raise ValueError("it is not a JSON object")
            return value
        try:
            return self.adapter.validate_json(text)
        except ValidationError as error:
            findings = error.errors(include_url=False, include_context=False, include_input=False)
            raise ValueError(
                "; ".join(
                    f"{'.'.join(map(str, finding['loc']))}: {finding['msg']}".lstrip(": ")
                    for finding in findings[:_MAX_FINDINGS]
                )
            ) from None


def as_response_format(value: Any) -> ResponseFormat | None:
    """A response format from what a caller may give as `response_format`; None for plain text.

    Args:
        value: a `ResponseFormat`, which is returned as it is; a type or a `TypeAdapter`; a JSON Schema; the dict that
            chat completions or the Responses API take; `"json"`, `"json_object"` or `"text"`.

    Raises:
        ValueError: it is none of these, or its schema is not that of an object.
    """
    if isinstance(value, ResponseFormat):
        return value
    if isinstance(value, str):
        if value not in ("json", "json_object", "text"):
            raise ValueError(f"there is no format {value!r}: give a pydantic model, a JSON Schema or 'json'")
        return None if value == "text" else ResponseFormat(json_schema=None)
    try:
        return _from_dict(value) if isinstance(value, Mapping) else _from_type(value)
    except InvalidRequestError as error:
        raise ValueError(str(error)) from None


def _from_dict(value: Mapping[str, Any]) -> ResponseFormat | None:
    type_ = value.get("type")
    if type_ in ("text", "json_object"):
        return as_response_format(type_)
    if type_ == "json_schema":  # chat completions nest its fields once more, the Responses API does not
        inner = value.get("json_schema", {name: field for name, field in value.items() if name != "type"})
        if not isinstance(inner, Mapping) or not isinstance(inner.get("schema"), Mapping):
            raise ValueError("a json_schema needs its schema, a dict")
        fields = {name: field for name, field in inner.items() if name != "schema"}
        return ResponseFormat.model_validate({**fields, "json_schema": _check_object(dict(inner["schema"]))})
    if "json_schema" in value:  # as a ResponseFormat is saved
        return ResponseFormat.model_validate(dict(value))
    name = _schema_name(str(value.get("title", "")))
    return ResponseFormat(name=name or "answer", json_schema=_check_object(dict(value)))


def _from_type(value: Any) -> ResponseFormat:
    try:
        adapter = value if isinstance(value, TypeAdapter) else TypeAdapter(value)
        schema = _check_object(adapter.json_schema())
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, PydanticUserError) as error:
        raise ValueError(f"{value!r} has no JSON Schema: {str(error).partition(chr(10))[0]}") from None
    is_model = isinstance(value, type) and issubclass(value, BaseModel)
    name = value.__name__ if is_model else str(schema.get("title", "answer"))
    return ResponseFormat(name=_schema_name(name), json_schema=strict_schema(schema), strict=True, adapter=adapter)


def _schema_name(title: str) -> str:
    """The title as providers take names: letters, digits, `_` and `-`, not too many."""
    return _NOT_NAME_CHARACTERS.sub("_", title)[:_MAX_NAME_LENGTH]


def _check_object(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema itself, if it is not one of something else than an object."""
    type_ = schema.get("type", "a choice of several" if schema.keys() & {"anyOf", "oneOf"} else "object")
    if type_ != "object":
        raise ValueError(f"an answer must be a JSON object, not {type_!r}: put it in a field of a model")
    return schema


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the schema as strict modes want it: every property required, no others allowed, no `default: null`.

    The same as the official OpenAI SDK makes of a model: an `allOf` of one entry is replaced by the entry, and
    a `$ref` that has other keywords beside it by what it refers to, with these keywords.

    Raises:
        ValueError: such a `$ref` refers to nothing inside the schema.
    """
    root = copy.deepcopy(dict(schema))
    strict: dict[str, Any] = _make_strict(root, root)
    return strict


def _make_strict(schema: Any, root: Mapping[str, Any]) -> Any:
    """Changes the schema in place, from the outside in, and returns it, or what it is replaced by."""
    if not isinstance(schema, dict):
        return schema
    for name in ("$defs", "definitions"):
        if isinstance(schema.get(name), dict):
            schema[name] = {key: _make_strict(value, root) for key, value in schema[name].items()}
    if schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    if isinstance(schema.get("properties"), dict):
        schema["required"] = list(schema["properties"])
        schema["properties"] = {key: _make_strict(value, root) for key, value in schema["properties"].items()}
    if isinstance(schema.get("items"), dict):
        schema["items"] = _make_strict(schema["items"], root)
    if isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [_make_strict(variant, root) for variant in schema["anyOf"]]
    if isinstance(all_of := schema.get("allOf"), list):
        if len(all_of) == 1:
            del schema["allOf"]
            schema.update(_make_strict(all_of[0], root))
        else:
            schema["allOf"] = [_make_strict(entry, root) for entry in all_of]
    if "default" in schema and schema["default"] is None:
        del schema["default"]
    if isinstance(ref := schema.get("$ref"), str) and len(schema) > 1:
        del schema["$ref"]
        return _make_strict({**_resolve(ref, root), **schema}, root)
    return schema


def _resolve(ref: str, root: Mapping[str, Any]) -> dict[str, Any]:
    value: Any = root
    for key in ref.removeprefix("#/").split("/"):
        value = value.get(key) if isinstance(value, Mapping) else None
    if not ref.startswith("#/") or not isinstance(value, Mapping):
        raise ValueError(f"the schema has no {ref}")
    return copy.deepcopy(dict(value))
