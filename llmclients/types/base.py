"""`Model`, the base of the value types: pydantic, but its errors are the library's; and `Text`, their string type."""

# The modules of the models that every client needs are without `from __future__ import annotations`. It makes texts of
# the fields' types, and pydantic has to compile each anew: a third of what it takes to make these classes, for every
# program that makes a client.

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Annotated, Any, TypeVar

from pydantic import VERSION, AfterValidator, BaseModel, ConfigDict, StrictStr, ValidationError
from typing_extensions import Self

from llmclients.errors import InvalidRequestError
from llmclients.types.printing import LIMIT, Pairs, ShortRepr, shorten

__all__ = ["Model", "Text", "is_plain_text", "make_model"]

# Building all validators takes a program's start longer than its first chat, which needs none of them. Before pydantic
# 2.14 they are built at once: it could not serialize what was not built yet, nor build it for two threads at a time.
_BUILT_ON_FIRST_USE = tuple(map(int, VERSION.split(".")[:2])) >= (2, 14)


# What `dir()` of an instance lists of pydantic's names. The others are for who writes models, and are there as ever.
_LISTED = {"model_copy", "model_dump", "model_dump_json", "__copy__", "__deepcopy__", "__iter__", "__replace__"}
_UNLISTED = {"keys", *vars(BaseModel), *dir(BaseModel)} - {*dir(object), *_LISTED}


class Model(ShortRepr, BaseModel):
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

    def _shown(self) -> Pairs:
        """Each field that is set to something else than its default."""
        fields = type(self).model_fields
        for name, value in self.__dict__.items():
            field = fields.get(name)
            if field is None or not field.repr:
                continue
            if field.is_required() or not _is_default(value, field.get_default(call_default_factory=True)):
                yield name, value

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """What pydantic, rich and devtools make their own forms of."""
        return shorten(self._shown(), LIMIT - len(type(self).__name__) - 2)

    def __str__(self) -> str:
        return repr(self)

    def __dir__(self) -> Iterable[str]:
        return (name for name in super().__dir__() if name not in _UNLISTED and "pydantic" not in name)


_PLAIN = (str, int, float, list, tuple, dict)


def _is_default(value: Any, default: Any) -> bool:
    """Whether they are the same, without asking other people's `__eq__`."""
    return value is default or (type(value) is type(default) and isinstance(value, _PLAIN) and value == default)


ModelT = TypeVar("ModelT", bound=Model)


def make_model(model: type[ModelT], /, **fields: Any) -> ModelT:
    """An instance of values that are known to be right, its other fields at their defaults.

    It is pydantic's `model_construct`, which looks each default up anew: a third of what opening a stream cost.
    """
    defaults, mutable = _defaults(model)
    members = {**defaults, **fields}
    for name, new in mutable:
        if name not in fields:
            members[name] = new()
    made = object.__new__(model)
    set_attribute = object.__setattr__  # pydantic's own looks for fields and their validators
    # The four things that pydantic's own constructor sets.
    set_attribute(made, "__dict__", members)
    set_attribute(made, "__pydantic_fields_set__", set(fields))
    set_attribute(made, "__pydantic_extra__", None)
    set_attribute(made, "__pydantic_private__", None)
    return made


@cache
def _defaults(model: type[Model]) -> tuple[dict[str, Any], tuple[tuple[str, Callable[[], Any]], ...]]:
    """All fields in their order, at their defaults; and for those whose default no two instances may share, by name,
    what makes it.
    """
    fields = model.model_fields
    constant = {name: None if field.is_required() else field.default for name, field in fields.items()}
    mutable = [
        (
            name,
            type(field.default) if field.default in ([], {}) else partial(field.get_default, call_default_factory=True),
        )
        for name, field in fields.items()
        if field.default_factory or isinstance(field.default, list | dict)
    ]
    return constant, tuple(mutable)


_MAX_FINDINGS = 5
_UNION_BRANCHES = frozenset({"str", "int", "float"})


def _invalid_request(model_name: str, error: ValidationError) -> InvalidRequestError:
    """Pydantic's findings in one line, without the values: they may be long, or secret."""
    findings = error.errors(include_url=False, include_context=False, include_input=False)
    numbers = {
        one["loc"][:-1] for one in findings if one["type"] in ("float_type", "finite_number")
    }  # their branch `int` says no more
    texts = []
    for finding in findings:
        if finding["type"] == "int_type" and finding["loc"][:-1] in numbers:
            continue
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
