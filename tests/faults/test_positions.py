"""Every position of a reply's and an event's JSON with every other type. A decoder's business: no socket is needed.

`summary` runs the same rows over sockets.
"""

from __future__ import annotations

import pytest

from llmclients import Client
from llmclients.transports.mock import MockTransport, Reply

from .expect import MODELS, Case, cases_of
from .harness import Outcome, call_sync, caught
from .positions import ANSWERS, POSITION_ROWS
from .test_faults import check_attempts, check_error

CASES = [case for case in cases_of(POSITION_ROWS) if case.side == "sync"]


def outcome(case: Case) -> Outcome:
    answer = ANSWERS[case.row.name]
    reply = Reply(chunks=answer.pieces, headers={"content-type": answer.content_type, **dict(answer.headers)})
    mock = MockTransport([reply])
    found = Outcome()
    client = Client(case.provider, model=MODELS[case.provider], base_url="http://127.0.0.1", transport=mock)
    with caught(found):
        call_sync(client, case, found)
    found.exchanges = len(mock.requests)
    return found


@pytest.mark.parametrize("provider", ["ylokh", "openai"])
def test_a_wrong_type_is_an_error_or_does_no_harm(provider: str, subtests: pytest.Subtests) -> None:
    cases = [case for case in CASES if case.provider == provider]
    assert len(cases) > 300
    for case in cases:
        with subtests.test(case.id):
            found = outcome(case)
            check_error(case, found)
            check_attempts(case, found)
