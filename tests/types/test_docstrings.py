"""Docstrings in the three usual forms say the same of a function and its parameters."""

from __future__ import annotations

import inspect

import pytest

from llmclients.types.docstrings import Description, described

GOOGLE = """Say a thing.

More about it: with a colon.

Args:
    a: the first,
        which goes on
    b (int, optional): the second
    **c: the rest
    d:

Returns:
    e: nothing of the kind
"""
NUMPY = """Say a thing.

More about it: with a colon.

Parameters
----------
a : str
    the first,
    which goes on
b
    the second
**c : dict
    the rest

Returns
-------
e : int
    nothing of the kind
"""
SPHINX = """Say a thing.

More about it: with a colon.

:param a: the first,
    which goes on
:param int b: the second
:type b: int
    of a kind
:parameter c: the rest
:returns: nothing of the kind
"""
WHOLE = Description(
    "Say a thing.\n\nMore about it: with a colon.",
    {"a": "the first, which goes on", "b": "the second", "c": "the rest"},
)


@pytest.mark.parametrize("text", [GOOGLE, NUMPY, SPHINX], ids=["Google", "NumPy", "Sphinx"])
def test_the_usual_forms_say_the_same(text: str) -> None:
    assert described(inspect.cleandoc(text)) == WHOLE


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Description()),
        ("Only words.", Description("Only words.")),
        ("Words.\n\nNote:\nnot a section", Description("Words.\n\nNote:\nnot a section")),
        ("Words.\n\nRaises:\n    ValueError: if bad\n", Description("Words.")),
        ("Words.\n\nNotes\n-----\nMore.", Description("Words.")),
        ("Args:\n    a: first", Description("", {"a": "first"})),
        ("Words.\nArgs:\n\n    a: first\n\n    b: second\nafter", Description("Words.", {"a": "first", "b": "second"})),
    ],
)
def test_less_than_that_is_enough(text: str, found: Description) -> None:
    assert described(text) == found
