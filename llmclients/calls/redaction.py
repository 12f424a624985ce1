"""`Mask`: stars in place of a request's secrets, in texts and JSON values; and the search for them in chained errors.

A server may repeat what it was sent, a library may show it, and errors are logged.
"""

# What is a secret, and in which forms a server may repeat it, is in `secrets`. Here is how it is looked for:
#
# - Case does not count: header names and values come back in any.
# - A server may cut: `sk-abcdefgh...`, `...wxyz`, or an excerpt that ends in the middle. So of a long secret, its
#   beginnings and its ends are masked, from 8 characters on; of one as long as a key, what is within it, too, from 16
#   on, if it is spelt as it is. Less is no use to anybody, and may be a word that means something else.
# - Whatever the request was, URLs in an error show neither a password before their host nor a key in their query.
#
# All of it is linear in the text: the places are found by `str.find`, and each search goes on behind what it has found.
# Of 16 characters within a secret, 8 begin at one of its places 8, 16, 24, …: those are looked for.

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

from llmclients.calls.secrets import SECRET_NAME, Secrets
from llmclients.types.base import Model

__all__ = ["Mask", "chained_errors"]

T = TypeVar("T")

_STARS = "***"
_PIECE = 8
_INNER_PIECE = 2 * _PIECE
_LONGEST_KEY = 512  # there are so many places to look for in longer ones
_LONG = 12  # characters from which pieces of a secret count: of a shorter one they may be words

_SECRET_HEADER = "(?i:authorization['\"]?: |cookie['\"]?: )"
_SEPARATORS = range(0xE000, 0xF900)  # for private use: in Unicode, they have no meaning
_USER_INFO = "(?<=://)[^\\s/?#@'\"<>\ue000-\uf8ff]{1,1000}(?=@)"
_QUERY_KEY = rf"(?i)([?&;][\w.-]{{0,40}}(?:{SECRET_NAME})[\w.-]{{0,40}}=)[^\s&#'\"<>\ue000-\uf8ff]+"


class Mask:
    """Puts stars in place of the secrets of a request, wherever they stand in a text or a JSON value."""

    def __init__(self, secrets: Secrets) -> None:
        self._phrases = secrets.phrases
        self._whole = secrets.values
        self._long = [value for value in secrets.values if len(value) >= _LONG]
        self._plain = [value for value in secrets.plain if _INNER_PIECE <= len(value) <= _LONGEST_KEY]

    def finds_in(self, text: str) -> bool:
        """Whether one stands there, or a header that has one: a proxy's is none of the request's own."""
        return self._text(text, urls=True) != text or bool(re.search(_SECRET_HEADER, text))

    def __call__(self, value: T, *, urls: bool = False) -> T:
        """The value without secrets: a text, bytes, a message or response, or lists, tuples and dicts of them.

        With `urls` also without those that a URL shows, whosever they are. An answer can be about such URLs.

        All texts in it are looked through as one: a body may have a hundred thousand. They are kept apart by a
        character that no secret has.
        """
        texts = list(_texts(value))
        used = set().union(*texts)
        separator = next((c for c in map(chr, _SEPARATORS) if c not in used), None)
        if separator is None:
            masked = [self._text(text, urls=urls) for text in texts]
        else:
            masked = self._text(separator.join(texts), urls=urls).split(separator)
        return value if masked == texts or not texts else _with_texts(value, iter(masked))

    def _text(self, text: str, *, urls: bool) -> str:
        if spans := sorted(self._spans(_lower(text))):
            pieces, shown_from, end = [], 0, -1
            for start, stop in spans:
                if start > end:  # not a part of the last one, nor right behind it
                    pieces += [text[shown_from:start], _STARS]
                end = shown_from = max(end, stop)
            text = "".join(pieces) + text[shown_from:]
        if urls and "://" in text:
            text = re.sub(_USER_INFO, _STARS, text)
        return re.sub(_QUERY_KEY, rf"\1{_STARS}", text) if urls and "=" in text else text

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where secrets, and pieces of them, begin and end; in any order, and they may overlap."""
        for phrase in self._phrases:
            for start in _places(phrase, text):
                end = start + len(phrase)
                if not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()):
                    yield start, end
        for secret in self._whole:
            for start in _places(secret, text):
                yield start, start + len(secret)
        if self._long:
            backwards, size = text[::-1], len(text)
            for secret in self._long:
                yield from _beginnings(secret, text)
                yield from ((size - end, size - start) for start, end in _beginnings(secret[::-1], backwards))
        for secret in self._plain:
            for at in range(_PIECE, len(secret) - _PIECE, _PIECE):
                yield from _inner_pieces(secret, at, text)


# --- values ---------------------------------------------------------------------------------------------------------


def _texts(value: Any) -> Iterator[str]:
    """All texts in a value, in their order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes | bytearray):
        yield value.decode("latin-1")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(name)
            yield from _texts(item)
    elif type(value) in (list, tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, Model):
        yield from _texts(list(vars(value).values()))


def _with_texts(value: Any, texts: Iterator[str]) -> Any:
    """The same value with these texts, in the order of `_texts`."""
    if isinstance(value, str):
        return next(texts)
    if isinstance(value, bytes | bytearray):
        return next(texts).encode("latin-1")
    if isinstance(value, dict):
        return {_with_texts(name, texts): _with_texts(item, texts) for name, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_with_texts(item, texts) for item in value)
    if isinstance(value, Model):
        return value.model_copy(update={name: _with_texts(item, texts) for name, item in vars(value).items()})
    return value


# --- places ---------------------------------------------------------------------------------------------------------


def _lower(text: str) -> str:
    """The text in lower case, as long as it was: a few letters become two."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(c if len(c.lower()) > 1 else c.lower() for c in text)


def _places(part: str, text: str) -> Iterator[int]:
    """Where a part of the text begins, without overlaps."""
    start = text.find(part)
    while start >= 0:
        yield start
        start = text.find(part, start + len(part))


def _beginnings(secret: str, text: str) -> Iterator[tuple[int, int]]:
    """Where the text has the secret's beginning, and how far that goes."""
    head = secret[:_PIECE]
    start = text.find(head)
    while start >= 0:
        pairs = enumerate(zip(secret, text[start : start + len(secret)], strict=False))
        same = next((index for index, (one, other) in pairs if one != other), min(len(secret), len(text) - start))
        yield start, start + same
        start = text.find(head, start + same)


def _inner_pieces(secret: str, at: int, text: str) -> Iterator[tuple[int, int]]:
    """Where the text has `_INNER_PIECE` characters of the secret or more, with those at this place among them."""
    part = secret[at : at + _PIECE]
    start = text.find(part)
    while start >= 0:
        before = behind = 0
        while before < min(at, start) and secret[at - before - 1] == text[start - before - 1]:
            before += 1
        end = start + _PIECE
        while behind < min(len(secret) - at - _PIECE, len(text) - end) and (
            secret[at + _PIECE + behind] == text[end + behind]
        ):
            behind += 1
        if before + _PIECE + behind >= _INNER_PIECE:
            yield start - before, end + behind
        start = text.find(part, end + behind)


def chained_errors(error: BaseException) -> Iterator[BaseException]:
    """The exceptions chained to `error` by `__cause__` or `__context__`, each once."""
    todo, seen = [error.__cause__, error.__context__], set[int]()
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            yield one
            todo += [one.__cause__, one.__context__]
