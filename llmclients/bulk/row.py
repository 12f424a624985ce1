"""`RowReader`: what one row of the input asks for: its messages, model and options, its id, and the hashes of both."""

# A row is text, or an object with `prompt` or `messages`, and besides those `id`, `model`, `system` and any option of a
# call. With a template that is text, the members are its columns, and only `id` keeps its meaning: a column that is
# called `user` or `n` is no option. A template that is a function gives such a row itself.
#
# Two hashes tell rows apart. `request` is of all that is sent, as the caller wrote it: the client's provider, address,
# model and options are in it by way of the hash's key. `key` is of the row's id. A row without one has the hash of its
# request as its id; the second row with the same request gets `-2` behind it, and so on: who asks the same thing
# several times wants several answers.

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from llmclients.bulk.index import Index
from llmclients.bulk.inputs import Unreadable
from llmclients.bulk.template import Template
from llmclients.calls.arguments import with_system
from llmclients.errors import InvalidRequestError
from llmclients.types.messages import Message, as_messages

__all__ = ["SPECIAL", "BadRow", "Row", "RowReader", "plain"]

_NO_REQUEST = bytes(16)
_KINDS = (b"id", b"number", b"line", b"request", b"prompt", b"again")
SPECIAL = frozenset({"id", "prompt", "messages", "model", "system"})
"""The members of a row that are no options of a call."""


class Row(NamedTuple):
    """A row that can be asked.

    Attributes:
        number: its place in the input, from 0.
        columns: its own columns, as far as the output is to have them.
    """

    number: int
    id: str | int
    key: bytes
    request: bytes
    messages: list[Message]
    model: str | None
    options: Mapping[str, Any]
    columns: Mapping[str, Any] | None


class BadRow(NamedTuple):
    """A row that cannot.

    Attributes:
        id: None also where it is another row's.
        error: why, with the line that it stands in.
    """

    number: int
    id: str | int | None
    key: bytes
    error: InvalidRequestError
    columns: Mapping[str, Any] | None
    request: bytes = _NO_REQUEST


class RowReader:
    """Reads the rows of one run.

    Args:
        template: makes prompts, or rows, of rows.
        columns: which of a row's own columns the output is to have: names, or True for all that are no options.
        options: those of all rows; a row's own come before them.
        model: that of rows that name none.
        system: the system text of rows that have none.
        known: the names of all options.
        asked: what all requests have in common, for their hashes.
        is_table: whether rows are of a table, whose cells are text.
        unit: what the input's lines are called.
    """

    def __init__(
        self,
        *,
        template: Template | None,
        columns: Collection[str] | bool,
        options: Mapping[str, Any],
        model: str | None,
        system: str | None,
        known: Collection[str],
        asked: bytes,
        is_table: bool,
        unit: str,
    ) -> None:
        self._template = template
        self._columns = columns
        self._options = options
        self._model = model
        self._system = system
        self._known = known
        common = blake2b(asked, digest_size=32).digest()
        self._hashes = {kind: blake2b(digest_size=16, key=common, person=kind) for kind in _KINDS}
        self._is_table = is_table
        self._unit = unit

    def read(self, number: int, line: int, raw: Any, index: Index) -> Row | BadRow:
        """What a row asks for, or why it does not."""
        columns = self._kept_columns(raw) if self._columns else None
        id: str | int | None = None
        try:
            if type(raw) is Unreadable:
                raise InvalidRequestError(raw.reason)
            members = self._members(raw)
            id = _id(members)
            request, asked = self._request(members)
            if id is None:
                key, id = self._numbered(request, index)
            else:
                key = self._hash(b"id" if type(id) is str else b"number", str(id).encode("utf-8", "surrogatepass"))
                if index.occurrence(key) > 1:
                    taken, id = id, None
                    raise InvalidRequestError(f"the id {taken!r} is another row's, which came before it")
            return Row(number, id, key, request, *asked, columns)
        except InvalidRequestError as error:
            why = error
        except Exception as error:  # noqa: BLE001 - a function of the caller's: one row is no reason to stop the others
            why = InvalidRequestError(f"the template's function raised {type(error).__name__}: {error}")
        located = InvalidRequestError(f"{self._unit} {line}: {why}", argument=why.argument)
        return BadRow(number, id, self._hash(b"line", b"%d" % number), located, columns)

    def _members(self, raw: Any) -> Mapping[str, Any]:
        """The row as a dict with what its request is made of."""
        template = self._template
        if template is None:
            return self._plain_members(raw)
        if template.function is not None:
            made = _members_of(template.function(raw))
            id = raw.get("id") if isinstance(raw, Mapping) else None
            return {**made, "id": id} if made.get("id") is None and id is not None else made
        if isinstance(raw, str):
            raw = {"prompt": raw}
        if not isinstance(raw, Mapping):
            raise InvalidRequestError(f"a row must be text or an object, not {type(raw).__name__}")
        prompt = template.fill(raw)
        return {"id": raw["id"], "prompt": prompt} if raw.get("id") is not None else {"prompt": prompt}

    def _plain_members(self, raw: Any) -> Mapping[str, Any]:
        members = _members_of(raw)
        if self._is_table:
            return {
                name: _from_cell(name, value)
                for name, value in members.items()
                if value is not None and (name in SPECIAL or name in self._known)
            }
        if self._columns and any(name not in SPECIAL and name not in self._known for name in members):
            kept = self._columns
            return {
                name: value
                for name, value in members.items()
                if name in SPECIAL or name in self._known or not (kept is True or name in kept)
            }
        return members

    def _request(self, members: Mapping[str, Any]) -> tuple[bytes, tuple[list[Message], str | None, Mapping[str, Any]]]:
        """The hash of the request, and its messages, model and options."""
        prompt, messages = members.get("prompt"), members.get("messages")
        if (prompt is None) == (messages is None):
            if prompt is not None:
                raise InvalidRequestError("it has both prompt and messages")
            raise InvalidRequestError(
                f"it has no prompt and no messages, only {', '.join(map(str, members)) or 'nothing'}: a template= can "
                "make a prompt of other columns"
            )
        if prompt is not None and not isinstance(prompt, str):
            raise InvalidRequestError(f"prompt must be text, not {type(prompt).__name__}", argument="prompt")
        model = members.get("model") or self._model
        system = members.get("system") or self._system
        asking: Any = prompt if messages is None else messages
        checked = as_messages(asking)
        if system is not None:
            checked = with_system(system, checked)
        options = {name: value for name, value in members.items() if name not in SPECIAL}
        if options or messages is not None or model is not None or system is not None:
            asked = [asking, model, system, options]
            try:
                text = _DUMP(asked)
            except (TypeError, ValueError) as error:
                raise InvalidRequestError(f"it cannot be sent: {error}") from None
            request = self._hash(b"request", text.encode())
        else:
            assert prompt is not None
            request = self._hash(b"prompt", prompt.encode("utf-8", "surrogatepass"))
        return request, (checked, model, {**self._options, **options} if options else self._options)

    def _numbered(self, request: bytes, index: Index) -> tuple[bytes, str]:
        """The key and the id of a row that has none."""
        count = index.occurrence(request)
        if count == 1:
            return request, request.hex()
        return self._hash(b"again", request + b"%d" % count), f"{request.hex()}-{count}"

    def _hash(self, kind: bytes, data: bytes) -> bytes:
        hasher = self._hashes[kind].copy()
        hasher.update(data)
        return hasher.digest()

    def _kept_columns(self, raw: Any) -> Mapping[str, Any] | None:
        if isinstance(raw, str):
            raw = {"prompt": raw}
        if not isinstance(raw, Mapping):
            return None
        if self._columns is not True:
            assert not isinstance(self._columns, bool)
            return {name: raw.get(name) for name in self._columns}
        as_data = self._template is not None
        return {
            name: value
            for name, value in raw.items()
            if name != "id" and (as_data or (name not in SPECIAL and name not in self._known))
        }


def plain(value: Any) -> Any:
    """What stands for an object in a hash: types and functions by what the model is shown of them."""
    from llmclients.types.response_format import ResponseFormat, as_response_format  # few rows have either
    from llmclients.types.tools import Tool

    dump = getattr(value, "model_dump", None)
    if callable(dump) and not isinstance(value, type):
        return dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | set | frozenset):
        return list(value)
    try:
        return plain(Tool.coerce(value))
    except (InvalidRequestError, TypeError):
        made = as_response_format(value)
        assert isinstance(made, ResponseFormat)
        return plain(made)


_DUMP = json.JSONEncoder(sort_keys=True, default=plain).encode


def _members_of(raw: Any) -> Mapping[str, Any]:
    if isinstance(raw, str):
        return {"prompt": raw}
    if isinstance(raw, Mapping):
        if "role" in raw and "content" in raw:
            return {"messages": [raw]}
        return raw
    if isinstance(raw, Message):
        return {"messages": [raw]}
    if isinstance(raw, Sequence) and not isinstance(raw, bytes):
        return {"messages": raw}
    raise InvalidRequestError(f"a row must be text, an object or a list of messages, not {type(raw).__name__}")


def _id(members: Mapping[str, Any]) -> str | int | None:
    id = members.get("id")
    if id is None or (isinstance(id, str | int) and not isinstance(id, bool) and id != ""):
        return id
    raise InvalidRequestError(f"id must be text or a whole number, not {id!r}", argument="id")


def _from_cell(name: str, value: Any) -> Any:
    """A cell's value: of an option, what its text is in JSON, if it is JSON."""
    if not isinstance(value, str) or name in ("id", "prompt", "model", "system"):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
