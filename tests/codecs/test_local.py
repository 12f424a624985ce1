"""What `local` alone does of chat completions: an answer has a limit, which a caller's own replaces."""

from __future__ import annotations

import json
from typing import Any

import pytest

from llmclients.codecs.base import Context
from llmclients.codecs.openai_chat.local import DEFAULT_MAX_TOKENS, LocalCodec
from llmclients.types.messages import Message
from llmclients.types.request import ChatRequest


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, {"max_tokens": DEFAULT_MAX_TOKENS}),
        ({"seed": 7, "extra": {"top_k": 3}}, {"max_tokens": DEFAULT_MAX_TOKENS}),
        ({"max_tokens": 2000}, {"max_tokens": 2000}),
        ({"extra": {"max_completion_tokens": 9}}, {"max_completion_tokens": 9}),
        ({"extra": {"n_predict": -1}}, {"n_predict": -1}),
    ],
)
def test_without_a_limit_of_the_caller_s_an_answer_has_one(
    options: dict[str, Any], sent: dict[str, int], stream: bool
) -> None:
    request = ChatRequest(messages=[Message("user", "Hi")], **options)
    payload = json.loads(LocalCodec().encode(request, Context(model="m", stream=stream)).body)

    limits = ("max_tokens", "max_completion_tokens", "n_predict")
    assert {name: value for name, value in payload.items() if name in limits} == sent
    assert request.max_tokens == options.get("max_tokens"), "the caller's request is changed"
