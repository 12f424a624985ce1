"""`ResponseFormat`: structured output. The JSON Schema that goes to the model, and the type that its text becomes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_origin

from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
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
from llmclients.types.schema_check import describe_misfits
from llmclients.types.schema_numbers import finite_schema
from llmclients.types.schema_refs import References
from llmclients.types.schema_rules import OPENAI, SchemaRules
from llmclients.types.strict_json import check_json_numbers, load_strict_json
from llmclients.types.strict_schema import strict_schema
from llmclients.types.wrapped_answer import is_object, list_item, unwrap, wrap_schema

__all__ = ["ResponseFormat", "as_response_format"]

_NOT_NAME_CHARACTERS = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME_LENGTH = 64
_MAX_FINDINGS = 5


class ResponseFormat(Model):
    """An answer in JSON.

    Args:
        name: the schema's name, for the model to see.
        json_schema: of an object; None for any JSON object. Of a type, it is made strict where it can be; a type whose
            values are no objects, such as a list, is the property `value` of one.
        description: what the answer is for.
        strict: whether the provider must keep the answer to the schema. Of a type whose schema cannot be strict, False.
        adapter: the pydantic `TypeAdapter` that validates the answer; None: it stays plain JSON values. Never sent.
    """

    name: Text = "answer"
    json_schema: dict[str, Any] | None
    description: Text | None = None
    strict: StrictBool | None = None
    adapter: Any = Field(default=None, exclude=True, repr=False)
    _type_schema: dict[str, Any] | None = PrivateAttr(default=None)
    _is_wrapped: bool = PrivateAttr(default=False)
    _item: tuple[Any, ...] = PrivateAttr(default=())  # what its list is one of, if it is of a list
    _item_adapter: Any = PrivateAttr(default=None)

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

    @property
    def type_schema(self) -> dict[str, Any] | None:
        """The schema as pydantic gives it, of a format that was made of a type; in its object, where that is none."""
        return self._type_schema

    @property
    def is_list(self) -> bool:
        """Whether the answer is a list whose items can be read one by one: it was made of a type `list[T]`."""
        return bool(self._item)

    def type_schema_for(self, rules: SchemaRules) -> dict[str, Any] | None:
        """The schema of its type, rewritten into what a maker takes as far as it can be; None: it has no type."""
        return None if self._type_schema is None else strict_schema(self._type_schema, rules)

    def fitted(self, rules: SchemaRules | None) -> tuple[dict[str, Any] | None, bool | None]:
        """The schema that goes to a maker, and the `strict` beside it: claimed only where the schema keeps the rules.

        Args:
            rules: the maker's; None where nobody knows them, and a caller's claim goes out as it is.

        Raises:
            InvalidRequestError: the caller's own schema claims to be strict, and is not; the message has the places.
        """
        if self._type_schema is not None:
            if rules is None or rules is OPENAI:
                return self.json_schema, self.strict
            schema = strict_schema(self._type_schema, rules)
            if rules.always_binding or describe_misfits(schema, rules) is None:
                return schema, True
            return self._type_schema, False
        found = None
        if self.strict and rules is not None and self.json_schema is not None:
            found = describe_misfits(self.json_schema, rules)
        if found is not None:
            raise InvalidRequestError(
                f"response_format: its schema cannot be strict: {found} (without strict it is sent)",
                argument="response_format",
            )
        return self.json_schema, self.strict

    def parse(self, text: str) -> Any:
        """The answer's text as a value of the adapter's type; without one, as a dict.

        Raises:
            ValueError: it is not JSON, or does not fit; the message says where. Or it has millions of values.
        """
        if has_too_many_values(text):
            raise ValueError("it has too many values")
        if self.adapter is None:
            value = load_strict_json(text)
            if not isinstance(value, dict):
                raise ValueError("it is not a JSON object")
            return value
        check_json_numbers(text)
        if self._is_wrapped:
            whole = load_strict_json(text)
            if (inner := unwrap(whole)) is not whole:
                text = json.dumps(inner)  # pydantic reads JSON otherwise than Python's values
        return _validate(self.adapter, text)

    def parse_item(self, text: str, index: int) -> Any:
        """The text of one item of the list, at this index, as a value of the items' type.

        Raises:
            ValueError: it does not fit; the message says where.
        """
        if self._item_adapter is None:
            self._item_adapter = TypeAdapter(self._item[0])
        return _validate(self._item_adapter, text, (index,))

    @property
    def is_wrapped(self) -> bool:
        """Whether the answer is a property of an object, which `wrapped_answer.unwrap` takes off: its type is none."""
        return self._is_wrapped


def _validate(adapter: TypeAdapter[Any], text: str, place: tuple[int, ...] = ()) -> Any:
    try:
        return adapter.validate_json(text)
    except ValidationError as error:
        findings = error.errors(include_url=False, include_context=False, include_input=False)
        raise ValueError(
            "; ".join(
                f"{'.'.join(map(str, (*place, *finding['loc'])))}: {finding['msg']}".lstrip(": ")
                for finding in findings[:_MAX_FINDINGS]
            )
        ) from None


def as_response_format(value: Any) -> ResponseFormat | None:
    """A response format from what a caller may give as `response_format`; None for plain text.

    Args:
        value: a `ResponseFormat`, which is returned as it is; a type or a `TypeAdapter`; a JSON Schema of an object;
            the dict that chat completions or the Responses API take; `"json"`, `"json_object"` or `"text"`.

    Raises:
        ValueError: it is none of these.
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
        schema = finite_schema(adapter.json_schema())
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, PydanticUserError) as error:
        raise ValueError(f"{value!r} has no JSON Schema: {str(error).partition(chr(10))[0]}") from None
    is_class = isinstance(value, type) and get_origin(value) is None  # to Python 3.10 `list[int]` is a type as well
    is_model = is_class and issubclass(value, BaseModel)
    name = value.__name__ if is_model else str(schema.get("title", "answer"))
    is_wrapped = not is_object(schema)
    if is_wrapped:
        schema = wrap_schema(schema)
    strict = strict_schema(schema)
    is_strict = describe_misfits(strict, OPENAI) is None
    response_format = ResponseFormat(
        name=_schema_name(name), json_schema=strict if is_strict else schema, strict=is_strict, adapter=adapter
    )
    response_format._type_schema = schema
    response_format._is_wrapped = is_wrapped
    response_format._item = list_item(value) if is_wrapped else ()
    return response_format


def _schema_name(title: str) -> str:
    """The title as providers take names: letters, digits, `_` and `-`, not too many."""
    return _NOT_NAME_CHARACTERS.sub("_", title)[:_MAX_NAME_LENGTH]


def _check_object(schema: dict[str, Any]) -> dict[str, Any]:
    """The caller's own schema, which is never rewritten, if it is one of an object."""
    outermost: Mapping[str, Any] = schema
    if isinstance(ref := schema.get("$ref"), str):  # of a recursive type
        outermost = References(schema).resolve(ref)
    type_ = outermost.get("type", "a choice of several" if outermost.keys() & {"anyOf", "oneOf"} else "object")
    if type_ != "object":
        raise ValueError(f"a schema must be of a JSON object, not {type_!r}: put it in a property of one")
    return schema
