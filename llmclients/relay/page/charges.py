"""`Charge`: what an answer of the page is to the relay, from its beginning to its end, whoever looks at it.

To the log, the metrics, the limits of keys and a relay that is about to end, it is a call like any other. But it does
not end with the request that asked for it: so it takes that request's place in all of them.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from llmclients.relay.accounts import Account
from llmclients.relay.operations import Operations
from llmclients.relay.records import RequestRecord
from llmclients.types.response import ChatResponse

__all__ = ["Charge"]


class Charge:
    """One answer's. It begins at once, and goes on until `end`. Of the relay's loop.

    Args:
        operations: whom it is told.
        record: what was handed on of the request's.
        account: whose request it was; its limits have let it begin.
    """

    def __init__(self, operations: Operations, record: RequestRecord, account: Account | None) -> None:
        self._record, self._account = record, account
        record.status = 200
        self._held = ExitStack()
        self._held.enter_context(operations.request(self._record))
        self._held.enter_context(operations.stream())

    def begins(self) -> None:
        """The provider's first piece is there."""
        if self._record.first_byte_at is None:
            self._record.first_byte_at = time.monotonic()

    def answered(self, response: ChatResponse) -> None:
        """What came of it, whole or not."""
        self._record.answered(response)

    def end(self, outcome: str, error: BaseException | None = None) -> None:
        """It has ended. Only the first call counts."""
        if self._account is not None:
            self._account.end(self._record.model, self._record.usage)
            self._account = None
        if error is not None:
            self._record.failed(error)
        self._record.outcome = outcome
        self._held.close()
