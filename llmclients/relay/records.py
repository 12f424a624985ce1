"""`RequestRecord`: what an operator may know of one request, for the log and the metrics. Never what was asked.

Nothing of a prompt, an answer or a key gets into a record: of an error it has the kind, and which field was wrong, but
not its message, which may repeat what the request had.
"""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, Any

from llmclients.errors import APIStatusError, ConfigurationError
from llmclients.relay.errors import RequestRejected
from llmclients.types.response import ChatResponse
from llmclients.types.usage import Usage

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["RequestRecord", "error_kind"]


class RequestRecord:
    """One request, while it is served and after.

    Attributes:
        method: the request's.
        path: its path.
        wire: the server codec's name; "" for a path that is none's.
        model: the model that was asked for, or "".
        key: the name of the key's owner, or "".
        status: the reply's HTTP status; 0: there was no reply.
        usage: the tokens it took, as far as the provider tells them, else an estimate: four bytes are a token.
        answered_by: the provider, and the model by the provider's own name, or "".
        error: the kind of what went wrong, or "".
        is_whole: whether the reply went out in one piece.
        outcome: how it ended, in the relay's own words.
        body_bytes: how long the request's body was.
        is_logged: whether it is counted and logged: not if another record goes on with it.
    """

    __slots__ = (
        *(
            "answered_by",
            "begun",
            "body_bytes",
            "error",
            "first_byte_at",
            "is_logged",
            "is_whole",
            "key",
            "method",
            "model",
            "outcome",
            "path",
        ),
        *("status", "usage", "wire"),
    )

    def __init__(self, method: str = "", path: str = "") -> None:
        self.method, self.path = method, path
        self.wire = self.model = self.key = self.answered_by = self.error = self.outcome = ""
        self.status = self.body_bytes = 0
        self.is_whole = False
        self.is_logged = True
        self.usage: Usage | None = None
        self.begun = time.monotonic()
        self.first_byte_at: float | None = None

    def reply_begins(self, status: int) -> None:
        """The reply's head goes out."""
        self.status = status
        self.first_byte_at = time.monotonic()

    def handed_on(self) -> Self:
        """The record of an answer that goes on without its request; this one is told to nobody."""
        other = copy.copy(self)
        self.is_logged = False
        return other

    def answered(self, response: ChatResponse) -> None:
        """What came of the upstream's answer, whole or not."""
        reported = response.usage
        self.answered_by = "/".join(filter(None, (response.provider, response.model)))
        characters = len(response.text) + len(response.reasoning or "")
        if reported is not None and (reported.input_tokens is not None or reported.output_tokens is not None):
            self.usage = reported
        elif characters or response.tool_calls:
            self.usage = Usage(input_tokens=self.body_bytes // 4, output_tokens=characters // 4)

    def counted(self, usage: Usage | None, answered_by: str) -> None:
        """What an answer took that was passed on as it came; None: nothing was answered."""
        self.usage, self.answered_by = usage, answered_by

    def failed(self, error: BaseException) -> None:
        """What went wrong."""
        self.error = error_kind(error)

    def fields(self, now: float) -> dict[str, Any]:
        """What a log has of it; what is not known is left out."""
        usage = self.usage
        begins = None if self.is_whole else self.first_byte_at
        first = None if begins is None else round(begins - self.begun, 4)
        found: dict[str, Any] = {
            "method": self.method,
            "path": self.path,
            "wire": self.wire,
            "model": self.model,
            "answered_by": self.answered_by,
            "key": self.key,
            "status": self.status,
            "seconds": round(now - self.begun, 4),
            "first_byte_seconds": first,
            "input_tokens": None if usage is None else usage.input_tokens,
            "output_tokens": None if usage is None else usage.output_tokens,
            "error": self.error,
            "outcome": self.outcome,
        }
        return {name: value for name, value in found.items() if value not in (None, "")}


def error_kind(error: BaseException) -> str:
    """An error in a few words that are the program's own: its class, its status, the field that was wrong."""
    if isinstance(error, RequestRejected):
        return error.failure.code or error.failure.error_type
    kind = type(error).__name__
    if isinstance(error, APIStatusError):
        return f"{kind} {error.status_code}"
    if isinstance(error, ConfigurationError) and error.argument:
        return f"{kind}: {error.argument}"
    return kind
