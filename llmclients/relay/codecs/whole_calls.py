"""`WholeCalls`: the calls of a streamed answer, for the wires on which a call comes whole, as an object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from llmclients.errors import APIResponseError, InvalidRequestError
from llmclients.relay.codecs.blocks import PendingCall
from llmclients.types.messages import ToolCall
from llmclients.types.response import FinishReason, ToolCallDelta

__all__ = ["WholeCalls", "readable_calls"]


def readable_calls(calls: Sequence[ToolCall], reason: FinishReason | None) -> Sequence[ToolCall]:
    """The calls without the last one, if the answer was cut in it: nobody could make half a call."""
    return calls[:-1] if calls and reason == "length" and not calls[-1].is_readable else calls


class WholeCalls:
    """Collects the pieces of an answer's calls."""

    def __init__(self) -> None:
        self._pending: dict[int, PendingCall] = {}  # by their indexes

    def add(self, deltas: Iterable[ToolCallDelta]) -> None:
        """The next pieces."""
        for delta in deltas:
            self._pending.setdefault(delta.index, PendingCall(delta.index)).add(delta)

    def calls(self, reason: FinishReason | None) -> Sequence[ToolCall]:
        """All calls, once the answer has ended for this reason.

        Raises:
            APIResponseError: one of them has text that no reply can carry.
        """
        deltas = [pending.whole() for pending in self._pending.values()]
        try:
            calls = [ToolCall(delta.id or "", delta.name or "", delta.arguments) for delta in deltas]
        except InvalidRequestError as error:  # which the relay's client is not to blame for
            raise APIResponseError(f"a call of the upstream answer cannot be sent: {error}") from None
        return readable_calls(calls, reason)
