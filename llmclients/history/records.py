"""What the history gives: conversations, turns, hits of a search, costs. Snapshots: they do not follow the file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias

from llmclients.types.usage import Usage, make_usage

__all__ = ["Cost", "SearchHit", "Source", "State", "StoredConversation", "StoredError", "StoredTurn"]

Source: TypeAlias = Literal["terminal", "page", "library"]
State: TypeAlias = Literal["streaming", "complete", "broken"]


@dataclass(frozen=True, slots=True)
class StoredConversation:
    """A conversation, without its turns.

    Attributes:
        id: 16 characters; later ones sort behind earlier ones. A beginning that no other has stands for it.
        title: the first question's beginning, unless it was renamed; None before the first question.
        created, updated: in seconds since 1970.
        provider, model, system: what it goes on with; None where its source has not said.
        source: who began it.
        options: of its calls; what JSON can hold.
        leaf: the last turn of the branch that is shown; None before the first turn.
        length: how many turns that branch has.
    """

    id: str
    title: str | None
    created: float
    updated: float
    provider: str | None
    model: str | None
    system: str | None
    source: str
    options: dict[str, Any]
    leaf: int | None
    length: int

    def to_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {name: getattr(self, name) for name in self.__slots__}


class StoredError(NamedTuple):
    """Why an answer broke off: the name of the error's class, and its message."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One message, and of an answer all that is known about it.

    Attributes:
        id: grows with each turn of the file.
        conversation: the conversation's id.
        parent: the turn before it; None for a first one.
        number: how many turns are before it on its branch.
        siblings: the ids of all turns with this parent, this one's among them, first to last.
        role: as in `Message`.
        text: the text; of an answer that streams, what has been stored of it.
        parts: where the content is more than text: its parts as JSON has them. In place of bytes, `blob` has their
            hash, for `History.blob`.
        tool_calls: each with `id`, `name`, `arguments` as JSON text, and `provider_data` where there is some.
        provider, model: who answered.
        usage: token counts, where the provider sent them.
        cost: in US dollars, where the provider or the caller said so.
        error: why the answer broke off.
        previous_errors: why the attempts before it failed, one line each.
        state: `streaming`, `complete` or `broken`.
        started, first_token, ended: in seconds since 1970.
    """

    id: int
    conversation: str
    parent: int | None
    number: int
    role: str
    text: str
    state: State
    started: float
    parts: Sequence[Mapping[str, Any]] = ()
    reasoning: str | None = None
    tool_calls: Sequence[Mapping[str, Any]] = ()
    tool_call_id: str | None = None
    name: str | None = None
    is_error: bool | None = None
    provider_data: Mapping[str, Any] | None = field(default=None, repr=False)
    provider: str | None = None
    model: str | None = None
    usage: Usage | None = None
    cost: float | None = None
    finish_reason: str | None = None
    error: StoredError | None = None
    previous_errors: Sequence[str] = ()
    first_token: float | None = None
    ended: float | None = None
    siblings: Sequence[int] = ()

    def to_dict(self) -> dict[str, Any]:
        """All of it that is set, for JSON."""
        found: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, Usage):
                value = value.model_dump(exclude_none=True)
            elif isinstance(value, StoredError):
                value = value._asdict()
            if not (value is None or value == ()):
                found[name] = value
        return {"parent": None, **found}


class SearchHit(NamedTuple):
    """A turn with the text that was searched for.

    Attributes:
        conversation: the conversation's id; `title` is its title.
        turn: the turn's id.
        role: who wrote it; `time`: when, in seconds since 1970.
        pieces: the text around the hit, cut where something that was searched for begins or ends; with each piece,
            whether it is that.
    """

    conversation: str
    title: str | None
    turn: int
    role: str
    time: float
    pieces: tuple[tuple[str, bool], ...]

    @property
    def snippet(self) -> str:
        """The text around the hit."""
        return "".join(text for text, _ in self.pieces)


class Cost(NamedTuple):
    """What answers have taken.

    Attributes:
        answers: how many there are.
        usage: the token counts of those whose provider sent them, added up.
        without_usage: how many have none.
        dollars: the cost of those whose cost is known, in US dollars; None if none's is.
        without_cost: how many answers are not in `dollars`.
    """

    answers: int
    usage: Usage
    without_usage: int
    dollars: float | None
    without_cost: int


CONVERSATION_COLUMNS = (
    "c.id, c.title, c.created, c.updated, c.provider, c.model, c.system, c.source, c.options, c.leaf, "
    "ifnull((SELECT depth + 1 FROM turn WHERE id = c.leaf), 0)"
)


def as_conversation(row: Sequence[Any]) -> StoredConversation:
    """The conversation of a row of `CONVERSATION_COLUMNS`."""
    columns = list(row)
    columns[8] = json.loads(columns[8])
    return StoredConversation(*columns)


_NAMES = (
    *("id", "parent", "depth", "role", "text", "state", "started", "parts", "reasoning", "tool_calls"),
    *("tool_call_id", "name", "is_error", "provider_data", "provider", "model", "usage", "cost", "finish_reason"),
    *("error_kind", "error_message", "previous_errors", "first_token", "ended"),
)
TURN_COLUMNS = ", ".join(f"t.{name}" for name in _NAMES)


def as_turn(row: Sequence[Any], conversation: str, siblings: Sequence[int]) -> StoredTurn:
    """The turn of a row of `TURN_COLUMNS`."""
    columns = dict(zip(_NAMES, row, strict=True))
    number, kind, message = columns.pop("depth"), columns.pop("error_kind"), columns.pop("error_message")
    for name in ("parts", "tool_calls", "previous_errors"):
        columns[name] = () if columns[name] is None else json.loads(columns[name])
    if columns["provider_data"] is not None:
        columns["provider_data"] = json.loads(columns["provider_data"])
    if columns["usage"] is not None:
        columns["usage"] = make_usage(**json.loads(columns["usage"]))
    if columns["is_error"] is not None:
        columns["is_error"] = bool(columns["is_error"])
    error = None if kind is None else StoredError(kind, message)
    return StoredTurn(**columns, number=number, conversation=conversation, siblings=siblings, error=error)
