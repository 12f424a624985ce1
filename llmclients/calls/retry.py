"""Whether a failed call is tried again, when, and if not, why not. The only importer of tenacity."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import timezone
from typing import NamedTuple

from llmclients.config.values import RetryPolicy
from llmclients.errors import RETRIED_STATUSES, APIError, APIResponseError, APIStatusError

__all__ = ["Decision", "Retries", "parse_retry_after"]

_NUMBER = r"(?a)\d+(\.\d*)?|\.\d+"


def parse_retry_after(headers: Mapping[str, str], unix_time: float) -> float | None:
    """The seconds that a provider asks to wait: `retry-after-ms`, else `Retry-After` in seconds or as an HTTP date.

    None when it does not say, or says something that is no such value; zero or less counts as not said.
    """
    milliseconds = headers.get("retry-after-ms", "").strip()
    if re.fullmatch(_NUMBER, milliseconds) and float(milliseconds) > 0:
        return float(milliseconds) / 1000
    value = headers.get("retry-after", "").strip()
    if re.fullmatch(_NUMBER, value):
        return float(value) or None
    from email.utils import parsedate_to_datetime  # for the rare header that has a date

    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:  # an HTTP date is in GMT, also in the old form that does not say so
            date = date.replace(tzinfo=timezone.utc)
        seconds = date.timestamp() - unix_time
    except (TypeError, ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


class Decision(NamedTuple):
    """What comes after a failure: `wait` seconds and another attempt; or none, and the reason why not."""

    wait: float | None
    reason: str = ""


class Retries:
    """One call's retries: told of each failure, decides whether another attempt follows, and when.

    Args:
        deadline: in seconds, on the scale of the `now` given to `decide`; None for no deadline.
        rng: the source of jitter.
    """

    def __init__(self, policy: RetryPolicy, deadline: float | None, rng: random.Random) -> None:
        self._policy = policy
        self.deadline = deadline
        self._rng = rng
        self.attempts = 1

    def decide(self, error: APIError, now: float, *, is_restart: bool = False) -> Decision:
        """What comes after `error`. Told to wait longer than the policy's cap or past the deadline, a call gives up.

        Args:
            error: the failure.
            now: seconds, on the deadline's scale.
            is_restart: whether an answer under way would begin anew. Then malformed bytes are a break like any other:
                the connection and the server were good until then.
        """
        policy = self._policy
        is_break = is_restart and type(error) is APIResponseError
        if not is_break and not is_retryable(error, policy):
            return Decision(None, "another attempt cannot help")
        # Only here, as most programs never come by: it takes longer to load than a first chat does everything else.
        from tenacity import RetryCallState, stop_after_attempt, wait_exponential

        # tenacity's strategies are plain functions of a state. Its controllers are not used: they keep their state by
        # thread, and a call may go on in another one.
        state = RetryCallState(None, None, (), {})  # type: ignore[arg-type] # a state without a controller, or a function
        state.attempt_number = self.attempts
        if stop_after_attempt(policy.attempts)(state):
            return Decision(None, f"all {policy.attempts} attempts of the policy are made")
        asked = error.retry_after if isinstance(error, APIStatusError) else None
        if asked is not None and asked > policy.max_retry_after:
            return Decision(None, f"asked to wait {asked:g} s, more than max_retry_after allows")
        wait = asked
        if wait is None:
            backoff = wait_exponential(multiplier=policy.initial_wait, max=policy.max_wait)(state)
            wait = backoff * (1 - policy.jitter * self._rng.random())
        if self.deadline is not None and now + wait >= self.deadline:
            return Decision(None, "the deadline would have passed")
        self.attempts += 1
        return Decision(wait)


def is_retryable(error: APIError, policy: RetryPolicy) -> bool:
    """Whether the same call can be tried again: by the error, unless the policy has another opinion of its status."""
    if isinstance(error, APIStatusError) and error.status_code in policy.statuses ^ RETRIED_STATUSES:
        return error.status_code in policy.statuses
    return error.retryable
