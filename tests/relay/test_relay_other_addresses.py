"""What the relay has besides chats: one model, token counts, embeddings and completions, by the makers' SDKs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from relaytools import HI, post, relay_over, send
from sdks import anthropic, anthropic_sdk, openai, openai_sdk

from llmclients import AsyncClient
from llmclients.relay import RelayServer
from llmclients.testing import Cut
from llmclients.transports.mock import MockTransport, Reply

WARNING = "x-llmclients-warning"
TOOL: Any = {"name": "f", "description": "d" * 400, "input_schema": {"type": "object", "properties": {}}}


def test_one_model_is_described_in_both_forms() -> None:
    def listed(request: Any) -> Reply:
        return Reply(json={"data": [{"id": "up-1"}, {"id": "org/up-2:free"}]})

    with relay_over(listed) as (relay, _):
        for prefix in ("/openai/v1", "/v1"):
            with openai_sdk(relay.url, prefix) as client:
                assert client.models.retrieve("up-1").id == "up-1"
                assert client.models.retrieve("org/up-2:free").object == "model"
                with pytest.raises(
                    openai.NotFoundError, match="there is no model 'up-3': there are up-1, org/up-2:free"
                ):
                    client.models.retrieve("up-3")
        for prefix in ("/anthropic", ""):
            with anthropic_sdk(relay.url, prefix) as other:
                assert other.models.retrieve("org/up-2:free").display_name == "org/up-2:free"
                with pytest.raises(anthropic.NotFoundError, match="up-3"):
                    other.models.retrieve("up-3")


# --- token counts -----------------------------------------------------------------------------------------------------


def test_tokens_that_nobody_counts_are_estimated_and_the_reply_says_so() -> None:
    def without_counts(request: Any) -> Reply:
        return Reply(404, json={"error": {"message": "no such address"}})

    with (
        relay_over(without_counts) as (relay, mock),
        anthropic_sdk(relay.url) as client,
        openai_sdk(relay.url) as other,
    ):
        count = client.messages.with_raw_response.count_tokens
        short, long = count(model="m", messages=HI), count(model="m", messages=HI, tools=[TOOL])  # type: ignore[arg-type]
        assert "an estimate" in short.headers[WARNING]
        assert 1 <= short.parse().input_tokens < 20 < 100 < long.parse().input_tokens < 200
        picture = [
            {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://e.example"}}]}
        ]
        assert count(model="m", messages=picture).parse().input_tokens > 1000  # type: ignore[arg-type]
        assert mock.requests == []  # whose wire has no such question
        counted = other.responses.input_tokens.with_raw_response.count(model="m", input="x" * 4000)
        assert "an estimate" in counted.headers[WARNING]
        assert (counted.parse().object, 1000 <= counted.parse().input_tokens < 1100) == ("response.input_tokens", True)
        assert mock.requests[-1].url == "http://upstream/v1/responses/input_tokens"
        with pytest.raises(anthropic.BadRequestError, match="role is user or assistant"):
            client.messages.count_tokens(model="m", messages=[{"role": "judge", "content": "Hi"}])  # type: ignore[typeddict-item]


def test_a_provider_that_counts_is_asked() -> None:
    def counts(request: Any) -> Reply:
        return Reply(json={"object": "response.input_tokens", "input_tokens": 77})

    with relay_over(counts, "anthropic/claude") as (relay, mock), anthropic_sdk(relay.url) as client:
        answer = client.messages.with_raw_response.count_tokens(
            model="claude-9",
            messages=HI,  # type: ignore[arg-type]
            extra_body={"context_management": {"edits": []}},
        )
        assert (answer.parse().input_tokens, WARNING in answer.headers) == (77, False)
        (asked,) = mock.requests
        assert asked.url.endswith("/v1/messages/count_tokens")
        assert json.loads(asked.body) == {"model": "claude-9", "messages": HI}
    with relay_over(counts) as (relay, _), openai_sdk(relay.url) as other:
        assert other.responses.input_tokens.count(model="m", input="Hi").input_tokens == 77
    with relay_over([Reply(429, headers={"retry-after": "7"})]) as (relay, _), openai_sdk(relay.url) as other:
        with pytest.raises(openai.RateLimitError) as caught:
            other.responses.input_tokens.count(model="m", input="Hi")
        assert caught.value.response.headers["retry-after"] == "7"


# --- what passes ------------------------------------------------------------------------------------------------------

EMBEDDING = {
    "object": "list",
    "model": "e-1",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}],
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}


def completion(text: str, **members: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": None, "logprobs": None}
    return {"id": "c", "object": "text_completion", "created": 0, "model": "m", "choices": [choice], **members}


def passing(request: Any) -> Reply:
    if request.url.endswith("/embeddings"):
        return Reply(json=EMBEDDING)
    if json.loads(request.body).get("stream"):
        events = [b"data: " + json.dumps(completion(text)).encode() + b"\n\n" for text in ("Ro", "me")]
        return Reply(chunks=[*events, b"data: [DONE]\n\n"], headers={"content-type": "text/event-stream"})
    return Reply(json=completion("Rome"))


def test_embeddings_and_completions_pass_with_the_providers_key_and_model() -> None:
    with relay_over(passing) as (relay, mock), openai_sdk(relay.url) as client:
        found = client.embeddings.create(model="e-1", input=["a"], encoding_format="float", dimensions=2)
        assert found.data[0].embedding == [0.5, -1.0]
        asked = mock.requests[-1]
        assert (asked.url, dict(asked.headers)["Authorization"]) == (
            "http://upstream/v1/embeddings",
            "Bearer upstream-key",
        )
        assert json.loads(asked.body) == {
            "model": "e-1",
            "input": ["a"],
            "encoding_format": "float",
            "dimensions": 2,
        }
        assert client.completions.create(model="m", prompt="The capital", logit_bias={"5": 1}).choices[0].text == "Rome"
        stream = client.completions.create(model="m", prompt="The capital", stream=True)
        assert [event.choices[0].text for event in stream] == ["Ro", "me"]
        assert send(relay.url, "/v1/embeddings", {"input": "a"}).status == 200
        assert json.loads(mock.requests[-1].body)["model"] == "up-1"


def test_what_passes_fails_as_a_chat_does() -> None:
    broken = Reply(chunks=[b"data: {}\n\n", Cut()], headers={"content-type": "text/event-stream"})
    refused = Reply(401, json={"error": {"message": "the key upstream-key is wrong", "code": "invalid_api_key"}})
    with relay_over([refused, broken]) as (relay, _), openai_sdk(relay.url) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.embeddings.create(model="e-1", input="a")
        assert "upstream-key" not in str(caught.value)
        with pytest.raises(openai.APIConnectionError):
            list(client.completions.create(model="m", prompt="a", stream=True))
        assert send(relay.url, "/v1/embeddings", b"[]").status == 400


@pytest.mark.parametrize("provider", ["anthropic/m", "gemini/m", "yqcloud"])
def test_a_provider_whose_wire_has_no_such_thing_is_said_to(provider: str) -> None:
    mock = MockTransport([])
    key = {} if provider == "yqcloud" else {"api_key": "k"}
    with RelayServer(AsyncClient(provider, transport=mock, retry=None, **key)) as relay:
        answer = send(relay.url, "/openai/v1/embeddings", {"input": "a", "model": "m"})
        assert (answer.status, answer.json["error"]["type"]) == (404, "not_found_error")
        assert "has no embeddings" in answer.json["error"]["message"]


@pytest.mark.local
def test_the_local_model_counts_and_completes_and_has_any_name(small_model: Path) -> None:
    with RelayServer("local") as relay, anthropic_sdk(relay.url) as client, openai_sdk(relay.url) as other:
        answer = client.messages.with_raw_response.count_tokens(model="any", messages=HI)  # type: ignore[arg-type]
        assert (5 < answer.parse().input_tokens < 100, WARNING in answer.headers) == (True, False)
        assert other.completions.create(model="any", prompt="The capital of Italy is", max_tokens=4).choices[0].text
        assert other.models.retrieve("any").id == "any"
        with pytest.raises(openai.APIStatusError):
            other.embeddings.create(model="any", input="a")
        assert post(relay.url, "openai", {"messages": HI, "max_tokens": 2}).status == 200


def test_the_upstream_of_a_relay_may_be_a_relay() -> None:
    with relay_over(passing) as (first, _):
        client = AsyncClient("openai/m", base_url=first.url + "/openai/v1", api_key="k", trust_env=False, retry=None)
        with RelayServer(client) as second, openai_sdk(second.url) as sdk:
            assert sdk.embeddings.create(model="e-1", input="a", encoding_format="float").data[0].embedding
            stream = sdk.completions.create(model="m", prompt="a", stream=True)
            assert [event.choices[0].text for event in stream] == ["Ro", "me"]
