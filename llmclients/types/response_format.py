"""What form an answer is to have: JSON of a type or a schema, and the answer read as that."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field, PydanticSchemaGenerationError, PydanticUserError, StrictBool, TypeAdapter
from pydantic import ValidationError as PydanticError
from pydantic.errors import PydanticInvalidForJsonSchema

from llmclients.errors import InvalidRequestError
from llmclients.types.base import Model, Text

__all__ = ["ResponseFormat", "as_response_format", "strict_schema"]

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]+")


class ResponseFormat(Model):
    """JSON as an answer.

    Args:
        name: the schema's name, for the model to see.
        json_schema: of an object; None for any JSON object.
        description: what the answer is for.
        strict: whether the provider must keep the answer to the schema.
        adapter: what reads the answer; without one, it stays plain JSON values. Never sent.
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
        """The answer's text as the type, or as JSON values.

        Raises:
            ValueError: it is not JSON, or does not fit; the message says where.
        """
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
        except PydanticError as error:
            findings = error.errors(include_url=False, include_context=False, include_input=False)
            raise ValueError(
                "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}".lstrip(": ") for one in findings[:5])
            ) from None


def as_response_format(form: Any) -> ResponseFormat | None:
    """What a caller may give as `response_format`: a type, a schema, chat completions' form, or `"json"`.

    Raises:
        ValueError: it is none of these, or no object.
    """
    if isinstance(form, ResponseFormat):
        return form
    if isinstance(form, str):
        if form not in ("json", "json_object", "text"):
            raise ValueError(f"there is no format {form!r}: give a pydantic model, a JSON Schema or 'json'")
        return None if form == "text" else ResponseFormat(json_schema=None)
    try:
        return _of_dict(form) if isinstance(form, Mapping) else _of_type(form)
    except InvalidRequestError as error:
        raise ValueError(str(error)) from None


def _of_dict(form: Mapping[str, Any]) -> ResponseFormat | None:
    kind = form.get("type")
    if kind in ("text", "json_object"):
        return as_response_format(kind)
    if kind == "json_schema":
        inner = form.get("json_schema", {key: value for key, value in form.items() if key != "type"})
        if not isinstance(inner, Mapping) or not isinstance(inner.get("schema"), Mapping):
            raise ValueError("a json_schema needs its schema, a dict")
        fields = {key: value for key, value in inner.items() if key != "schema"}
        return ResponseFormat.model_validate({**fields, "json_schema": _object(dict(inner["schema"]))})
    if "json_schema" in form:  # as it saves
        return ResponseFormat.model_validate(dict(form))
    title = _NOT_IN_A_NAME.sub("_", str(form.get("title", "")))[:64]
    return ResponseFormat(name=title or "answer", json_schema=_object(dict(form)))


def _of_type(form: Any) -> ResponseFormat:
    try:
        adapter = form if isinstance(form, TypeAdapter) else TypeAdapter(form)
        schema = _object(adapter.json_schema())
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, PydanticUserError) as error:
        raise ValueError(f"{form!r} has no JSON Schema: {str(error).partition(chr(10))[0]}") from None
    is_model = isinstance(form, type) and issubclass(form, BaseModel)
    name = form.__name__ if is_model else str(schema.get("title", "answer"))
    return ResponseFormat(
        name=_NOT_IN_A_NAME.sub("_", name)[:64], json_schema=strict_schema(schema), strict=True, adapter=adapter
    )


def _object(schema: dict[str, Any]) -> dict[str, Any]:
    kind = schema.get("type", "a choice of several" if schema.keys() & {"anyOf", "oneOf"} else "object")
    if kind != "object":
        raise ValueError(f"an answer must be a JSON object, not {kind!r}: put it in a field of a model")
    return schema


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as strict modes want it: every property required, no others allowed, no `default: null`.

    As the official OpenAI SDK makes it of a model: an `allOf` of one is that one, and a `$ref` with words of its own
    beside it is written out.
    """
    whole = copy.deepcopy(dict(schema))
    strict: dict[str, Any] = _strict(whole, whole)
    return strict


def _strict(schema: Any, root: Mapping[str, Any]) -> Any:
    if not isinstance(schema, dict):
        return schema
    for name in ("$defs", "definitions"):
        if isinstance(schema.get(name), dict):
            schema[name] = {key: _strict(value, root) for key, value in schema[name].items()}
    if schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    if isinstance(schema.get("properties"), dict):
        schema["required"] = list(schema["properties"])
        schema["properties"] = {key: _strict(value, root) for key, value in schema["properties"].items()}
    if isinstance(schema.get("items"), dict):
        schema["items"] = _strict(schema["items"], root)
    if isinstance(schema.get("anyOf"), list):
        schema["anyOf"] = [_strict(variant, root) for variant in schema["anyOf"]]
    if isinstance(all_of := schema.get("allOf"), list):
        if len(all_of) == 1:
            del schema["allOf"]
            schema.update(_strict(all_of[0], root))
        else:
            schema["allOf"] = [_strict(entry, root) for entry in all_of]
    if "default" in schema and schema["default"] is None:
        del schema["default"]
    if isinstance(ref := schema.get("$ref"), str) and len(schema) > 1:
        del schema["$ref"]
        return _strict({**_resolved(ref, root), **schema}, root)
    return schema


def _resolved(ref: str, root: Mapping[str, Any]) -> dict[str, Any]:
    value: Any = root
    for key in ref.removeprefix("#/").split("/"):
        value = value.get(key) if isinstance(value, Mapping) else None
    if not ref.startswith("#/") or not isinstance(value, Mapping):
        raise ValueError(f"the schema has no {ref}")
    return copy.deepcopy(dict(value))
