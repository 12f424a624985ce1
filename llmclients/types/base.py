"""`Model`, the base of the value types: pydantic, but its errors are the library's; and `Text`, their string type."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import VERSION, AfterValidator, BaseModel, ConfigDict, StrictStr, ValidationError
from typing_extensions import Self

from llmclients.errors import InvalidRequestError

__all__ = ["Model", "Text", "is_plain_text"]

# Building all validators takes a program's start longer than its first chat, which needs none of them. Before pydantic
# 2.14 they are built at once: it could not serialize what was not built yet, nor build it for two threads at a time.
_BUILT_ON_FIRST_USE = tuple(map(int, VERSION.split(".")[:2])) >= (2, 14)


class Model(BaseModel):
    """A pydantic model that takes its fields by position or by name, knows no others, and raises the library's error.

    Raises:
        InvalidRequestError: where pydantic would raise `ValidationError`; it names the field, and repeats no values.
    """

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, allow_inf_nan=False, defer_build=_BUILT_ON_FIRST_USE
    )

    def __init__(self, *values: Any, **fields: Any) -> None:
        # Positional values fill the fields in their order; pydantic itself calls this with keywords only.
        names = tuple(type(self).model_fields)
        if len(values) > len(names):
            raise TypeError(f"{type(self).__name__} takes at most {len(names)} values, not {len(values)}")
        try:
            super().__init__(**dict(zip(names, values, strict=False)), **fields)
        except ValidationError as error:
            raise _invalid_request(type(self).__name__, error) from None

    @classmethod
    def model_validate(cls, *args: Any, **kwargs: Any) -> Self:
        try:
            return super().model_validate(*args, **kwargs)
        except ValidationError as error:
            raise _invalid_request(cls.__name__, error) from None

    @classmethod
    def model_validate_json(cls, *args: Any, **kwargs: Any) -> Self:
        try:
            return super().model_validate_json(*args, **kwargs)
        except ValidationError as error:
            raise _invalid_request(cls.__name__, error) from None


_MAX_FINDINGS = 5
_UNION_BRANCHES = frozenset({"str", "int", "float"})


def _invalid_request(model_name: str, error: ValidationError) -> InvalidRequestError:
    """Pydantic's findings in one line, without the values: they may be long, or secret."""
    findings = error.errors(include_url=False, include_context=False, include_input=False)
    texts = []
    for finding in findings:
        # A union reports every branch it tried; the branches' names in the location mean nothing to a caller.
        steps = [str(step) for step in finding["loc"]]
        path = ".".join(
            step for step in steps if step.isdigit() or (step.isidentifier() and step not in _UNION_BRANCHES)
        )
        message = finding["msg"].removeprefix("Value error, ")
        text = f"{path}: {message}" if path else message
        if text not in texts:
            texts.append(text)
    first = findings[0]["loc"]
    argument = str(first[0]) if first else None
    return InvalidRequestError(f"{model_name}: {'; '.join(texts[:_MAX_FINDINGS])}", argument=argument)


def _check_encodable(text: str) -> str:
    """A Python string may hold lone surrogates; UTF-8, and so every wire, cannot."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(f"text has a lone surrogate at position {error.start}: no UTF-8 can carry it") from None
    return text


Text = Annotated[StrictStr, AfterValidator(_check_encodable)]
"""A string, nothing that could be made one, that every wire can carry."""


def is_plain_text(value: Any) -> bool:
    """Whether it is surely a `Text`, told without a validator: a string of ASCII. For paths that are to build none."""
    return type(value) is str and value.isascii()
