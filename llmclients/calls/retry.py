"""Whether a failed call is made again, and when. The only importer of tenacity, which comes with the first failure."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from llmclients.config.values import RetryPolicy
from llmclients.errors import RETRIED_STATUSES, APIError, APIStatusError

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Retries", "retry_after"]

_NUMBER = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)


def retry_after(headers: Mapping[str, str], unix_time: float) -> float | None:
    """The seconds that a provider asks to wait: `retry-after-ms`, else `Retry-After` in seconds or as an HTTP date.

    None when it does not say, or says something that is no such value; zero or less counts as not said.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds) and float(milliseconds) > 0:
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(value):
        return float(value) or None
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:  # an HTTP date is in GMT, also in the old form that does not say so
            date = date.replace(tzinfo=timezone.utc)
        seconds = date.timestamp() - unix_time
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


class Retries:
    """One call's retries: told of each failure, says how long to wait before the next attempt, or that there is none.

    Args:
        deadline: on the scale of the `now` given to `wait_after`, or None.
        rng: the source of jitter.
    """

    def __init__(self, policy: RetryPolicy, deadline: float | None, rng: random.Random) -> None:
        self._policy = policy
        self._deadline = deadline
        self._rng = rng
        self.attempts = 1

    def wait_after(self, error: APIError, now: float) -> float | None:
        """Seconds to wait before the next attempt; None when `error` is the last word.

        Told to wait longer than the policy's cap or past the deadline, a call gives up at once.
        """
        # Only here, as most programs never come by: it takes longer to load than a first chat does everything else.
        from tenacity import DoSleep, RetryCallState, Retrying, stop_after_attempt, wait_exponential

        policy = self._policy
        doubled = wait_exponential(multiplier=policy.initial_wait, max=policy.max_wait)
        exhausted = stop_after_attempt(policy.attempts)
        # A controller for each decision: tenacity keeps its state per thread, and a call may go on in another.
        controller = Retrying(
            retry=self._is_worthwhile,
            wait=lambda state: self._wait(state, doubled(state)),
            stop=lambda state: exhausted(state) or self._is_over(state, now),
            reraise=True,
        )
        controller.begin()
        state = RetryCallState(controller, fn=None, args=(), kwargs={})
        state.attempt_number = self.attempts
        state.set_exception((type(error), error, error.__traceback__))
        try:
            decision = controller.iter(state)
        except APIError:
            return None
        self.attempts += 1
        return float(decision) if isinstance(decision, DoSleep) else None

    def _is_worthwhile(self, state: RetryCallState) -> bool:
        error = _error(state)
        statuses = self._policy.statuses
        if isinstance(error, APIStatusError) and (error.status_code in statuses) != (
            error.status_code in RETRIED_STATUSES
        ):
            return error.status_code in statuses  # the caller's own opinion
        return error.retryable

    def _wait(self, state: RetryCallState, seconds: float) -> float:
        told = _told(state)
        return seconds * (1 - self._policy.jitter * self._rng.random()) if told is None else told

    def _is_over(self, state: RetryCallState, now: float) -> bool:
        if self._deadline is not None and now + state.upcoming_sleep >= self._deadline:
            return True
        told = _told(state)
        return told is not None and told > self._policy.max_retry_after


def _error(state: RetryCallState) -> APIError:
    error = state.outcome.exception() if state.outcome else None
    assert isinstance(error, APIError)
    return error


def _told(state: RetryCallState) -> float | None:
    return getattr(_error(state), "retry_after", None)
