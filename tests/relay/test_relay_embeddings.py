"""Ollama's embeddings and its list of loaded models, asked by its own SDK: in front of an Ollama, of others, of neither."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from relaytools import relay_over, send
from sdks import ollama, ollama_sdk

from llmclients.transports.mock import Reply

NATIVE = b'{"model": "e-1", "embeddings": [[0.5, 1]],  "total_duration": 7, "prompt_eval_count": 4}'


def in_openais_form(request: Any) -> Reply:
    """A server of OpenAI's wire, whose embeddings come in another order; `no-list` is none."""
    if request.url.endswith("/models"):
        return Reply(json={"data": [{"id": "e-1"}, {"id": "e-2"}]})
    asked = json.loads(request.body)
    if asked["model"].startswith("no-"):
        return Reply(json={"data": [{"embedding": "AAAA"}]} if asked["model"] == "no-list" else {"object": "list"})
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    entries = [{"index": index, "embedding": [float(len(text)), 0.5]} for index, text in enumerate(texts)]
    return Reply(json={"data": entries[::-1], "model": "e-1-large", "usage": {"prompt_tokens": 9, "total_tokens": 9}})


def test_embeddings_of_a_server_of_openais_wire(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "llmclients.relay")
    with relay_over(in_openais_form) as (relay, mock), ollama_sdk(relay.url + "/ollama") as client:
        found = client.embed("e-1", ["a", "abc"], dimensions=2, truncate=True, keep_alive="1h", options={"num_ctx": 9})
        assert (found.embeddings, found.model, found.prompt_eval_count) == ([[1.0, 0.5], [3.0, 0.5]], "e-1-large", 9)
        assert json.loads(mock.requests[-1].body) == {"model": "e-1", "input": ["a", "abc"], "dimensions": 2}
        assert client.embed("e-1", "ab").embeddings == [[2.0, 0.5]]
        assert client.embeddings("e-1", "abcd").embedding == [4.0, 0.5]
        before = len(mock.requests)
        assert (client.embed("e-1", "").embeddings, client.embeddings("e-1", "").embedding) == ([], [])  # loads a model
        for ask, named in (
            ({"input": "a"}, "model is missing"),
            ({"model": "e-1", "input": [1]}, "a list of texts"),
            ({"model": "e-1", "input": "a", "surprise": 1}, "surprise"),
            ({"model": "e-1", "input": "a", "dimensions": "2"}, "dimensions"),
        ):
            answer = send(relay.url, "/api/embed", ask)
            assert (answer.status, named in answer.json["error"]) == (400, True), answer.raw
        assert len(mock.requests) == before
        for model in ("no-list", "no-data"):
            with pytest.raises(ollama.ResponseError, match="has no embeddings") as caught:
                client.embed(model, "a")
            assert caught.value.status_code == 502
    assert "POST /ollama/api/embed ollama e-1: HTTP 200" in caplog.messages[0]
    assert "9+? tokens, by openai/e-1" in caplog.messages[0]


def test_embeddings_of_an_ollama_pass_as_they_are_and_openais_programs_get_them_too() -> None:
    def answer(request: Any) -> Reply:
        if request.url.endswith("/v1/embeddings"):
            return in_openais_form(request)
        return Reply(json={"embedding": [2]}) if request.url.endswith("/embeddings") else Reply(body=NATIVE)

    with relay_over(answer, "ollama/m") as (relay, mock), ollama_sdk(relay.url) as client:
        assert client.embed("e-1", "a", truncate=False, options={"num_ctx": 9}).embeddings == [[0.5, 1]]
        assert client.embeddings("e-1", "a").embedding == [2]
        assert send(relay.url, "/api/embed", {"model": "e-1", "input": "a", "newer": 1}).raw == NATIVE
        assert send(relay.url, "/v1/embeddings", {"model": "e-1", "input": "a"}).json["model"] == "e-1-large"
        sent = [(request.url.removeprefix("http://upstream"), json.loads(request.body)) for request in mock.requests]
    assert [path for path, _ in sent] == ["/api/embed", "/api/embeddings", "/api/embed", "/v1/embeddings"]
    assert (sent[0][1]["truncate"], sent[0][1]["options"], sent[2][1]["newer"]) == (False, {"num_ctx": 9}, 1)


def test_a_wire_without_embeddings_says_so_and_every_model_is_loaded() -> None:
    with relay_over(provider="yqcloud") as (relay, mock), ollama_sdk(relay.url) as client:
        for ask in (client.embed, client.embeddings):
            with pytest.raises(ollama.ResponseError, match="its wire has none") as caught:
                ask("m", "text")
            assert caught.value.status_code == 404
        assert mock.requests == []
        (model,) = client.ps().models
        assert (model.model, model.expires_at and model.expires_at.year) == ("gpt-4", 9999)
