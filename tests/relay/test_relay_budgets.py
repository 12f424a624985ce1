"""What a client's key may use: requests, tokens, money; how it is told; and what another configuration leaves of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from relaytools import HI, PREFIX, WIRES, post, send

from llmclients.relay import RelayConfig, RelayServer, accounts
from llmclients.relay.accounts import Account, Accounts
from llmclients.relay.config import ClientKeyConfig, Price
from llmclients.relay.errors import RequestRejected
from llmclients.relay.operations import Operations
from llmclients.relay.page.charges import Charge
from llmclients.relay.records import RequestRecord
from llmclients.testing import FakeClock
from llmclients.types.response import ChatResponse
from llmclients.types.usage import Usage

MIDNIGHT = 86400.0 * 20000


def account(**limits: Any) -> tuple[Account, FakeClock]:
    clock = FakeClock(MIDNIGHT + 3600)
    return Account(ClientKeyConfig("alice", "sesame", **limits), {"gpt-*": Price(2, 8, 0.5)}, clock), clock


def refused(of: Account) -> tuple[str, dict[str, str]]:
    with pytest.raises(RequestRejected) as caught:
        of.begin()
    failure = caught.value.failure
    assert failure.status == 429
    return failure.code or "", dict(failure.headers)


def use(of: Account, tokens: int, model: str = "gpt-5") -> None:
    of.begin()
    of.end(model, Usage(input_tokens=tokens - 1, output_tokens=1))


def test_requests_come_evenly_over_the_minute() -> None:
    alice, clock = account(requests_per_minute=6)
    for _ in range(6):
        use(alice, 1)
    assert refused(alice) == ("rate_limit_exceeded", {"retry-after": "10"})
    clock.advance(10)
    use(alice, 1)
    assert refused(alice)[1] == {"retry-after": "10"}
    clock.advance(3600)  # saves up no more than a minute's
    for _ in range(6):
        use(alice, 1)
    refused(alice)


def test_tokens_count_when_an_answer_has_ended_and_leave_a_debt() -> None:
    alice, clock = account(tokens_per_minute=60)
    use(alice, 90)
    assert refused(alice) == ("rate_limit_exceeded", {"retry-after": "31"})
    clock.advance(31)
    alice.begin()


def test_at_once_there_may_be_so_many() -> None:
    alice, _ = account(concurrent=2)
    alice.begin()
    alice.begin()
    assert refused(alice) == ("rate_limit_exceeded", {"retry-after": "1"})
    alice.end("", None)
    alice.begin()


def test_a_day_s_tokens_and_money_come_back_at_midnight() -> None:
    alice, clock = account(tokens_per_day=100)
    use(alice, 100)
    assert refused(alice) == ("insufficient_quota", {"retry-after": str(23 * 3600), "x-should-retry": "false"})
    clock.advance(23 * 3600)
    use(alice, 1)

    bob, clock = account(money_per_day=1)
    bob.begin()
    bob.end("gpt-5", Usage(input_tokens=300_000, cached_tokens=200_000, output_tokens=75_000))  # 0.2 + 0.1 + 0.6
    use(bob, 50_000)  # 0.1
    assert refused(bob)[0] == "insufficient_quota"
    with pytest.raises(RequestRejected) as caught:
        bob.check_model("llama")
    assert (caught.value.failure.status, caught.value.failure.param) == (403, "model")


def test_other_limits_leave_what_was_used() -> None:
    clock = FakeClock(MIDNIGHT)
    config = ClientKeyConfig("alice", "sesame", tokens_per_day=100, requests_per_minute=2)
    accounts = Accounts(None, [config], clock=clock)
    alice = accounts.find("sesame")
    assert alice is not None
    use(alice, 60)
    accounts.update(None, [ClientKeyConfig("alice", "other", tokens_per_day=50)], {}, None)
    assert (accounts.find("sesame"), accounts.find("other")) == (None, alice)
    assert refused(alice)[0] == "insufficient_quota"


CONFIG: dict[str, Any] = {
    "default": "yqcloud",
    "upstreams": {"yqcloud": {"base_url": "http://127.0.0.1:1"}},
    "keys": {"alice": {"key": "a-sesame", "requests_per_minute": 8}, "bob": {"key": "b-sesame"}},
}


def test_an_answer_that_outlives_its_request_is_charged_once_when_it_has_ended() -> None:
    alice, _ = account(concurrent=1, tokens_per_day=5)
    alice.begin()
    operations, record = Operations(), RequestRecord("POST", "/page/ask")
    charge = Charge(operations, record.handed_on(), alice)
    assert (refused(alice)[0], operations.under_way, record.is_logged) == ("rate_limit_exceeded", 1, False)
    charge.answered(ChatResponse(text="Hi", usage=Usage(input_tokens=2, output_tokens=1)))
    for _ in range(2):
        charge.end("complete")
    assert operations.under_way == 0
    use(alice, 2)
    assert refused(alice)[0] == "insufficient_quota"


def test_a_limit_is_told_in_each_wire_s_form_and_holds_for_one_key_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "SystemClock", FakeClock)
    with RelayServer(RelayConfig.from_dict(CONFIG)) as relay:
        for wire in ("openai", "anthropic", "openai-responses", "yqcloud") * 2:
            assert post(relay.url, wire, headers={"x-api-key": "a-sesame"}).status != 429
        for wire in WIRES:
            answer = post(relay.url, wire, headers={"Authorization": "Bearer a-sesame"})
            assert (answer.status, answer.headers["retry-after"]) == (429, "8"), wire
            assert "this key may have 8 requests a minute" in json.dumps(answer.json)
            assert post(relay.url, wire, {"model": "m", "messages": HI}, {"x-api-key": "b-sesame"}).status != 429
        assert send(relay.url, PREFIX["openai"] + "/models", method="GET").status == 401
