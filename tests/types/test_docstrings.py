"""Docstrings in the three usual forms say the same of a function and its parameters."""

from __future__ import annotations

import inspect

from tables import table

from llmclients.types.docstrings import ParsedDocstring, parse_docstring

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
WHOLE = ParsedDocstring(
    "Say a thing.\n\nMore about it: with a colon.",
    {"a": "the first, which goes on", "b": "the second", "c": "the rest"},
)


@table("text", [GOOGLE, NUMPY, SPHINX], ids=["Google", "NumPy", "Sphinx"])
def test_the_usual_forms_say_the_same(text: str) -> None:
    assert parse_docstring(inspect.cleandoc(text)) == WHOLE


@table(
    "text, found",
    [
        ("", ParsedDocstring()),
        ("Only words.", ParsedDocstring("Only words.")),
        ("Words.\n\nNote:\nnot a section", ParsedDocstring("Words.\n\nNote:\nnot a section")),
        ("Words.\n\nRaises:\n    ValueError: if bad\n", ParsedDocstring("Words.")),
        ("Words.\n\nNotes\n-----\nMore.", ParsedDocstring("Words.")),
        ("Args:\n    a: first", ParsedDocstring("", {"a": "first"})),
        (
            "Words.\nArgs:\n\n    a: first\n\n    b: second\nafter",
            ParsedDocstring("Words.", {"a": "first", "b": "second"}),
        ),
    ],
)
def test_less_than_that_is_enough(text: str, found: ParsedDocstring) -> None:
    assert parse_docstring(text) == found
