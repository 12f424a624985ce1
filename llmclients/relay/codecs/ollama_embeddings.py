"""Ollama's requests for embeddings, and the replies to them, in terms of chat completions' `/embeddings`.

The wire: docs/protocols/ollama.md, "Ollama". There are two addresses: `/api/embed`, and the older `/api/embeddings`,
which takes one text. Options of a model's own server say nothing to another one, and are not read; a text that is too
long is an error there, which is what `truncate: false` asks for, and cut nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from llmclients.errors import APIResponseError, InvalidRequestError
from llmclients.relay.codecs.json_fields import check_known, get_field, get_name
from llmclients.relay.codecs.json_reply import encode_json
from llmclients.types.usage import Usage

__all__ = ["EMBED", "EMBEDDINGS", "EmbeddingsAsked", "native_usage", "read_embeddings"]

EMBED = "api/embed"
EMBEDDINGS = "api/embeddings"

_SHARED = frozenset({"model", "options", "keep_alive"})


@dataclass(frozen=True, slots=True)
class EmbeddingsAsked:
    """A request for embeddings.

    Attributes:
        model: the model.
        passed: the request in chat completions' form; None where there is no text, and nothing to ask.
        is_one: whether the reply has one embedding, by itself.
    """

    model: str
    passed: dict[str, Any] | None
    is_one: bool

    def reply(self, body: bytes) -> bytes:
        """The reply, of the provider's.

        Raises:
            APIResponseError: that is none.
        """
        vectors, tokens, model = _answer(body) if body else ([], None, self.model)
        if self.is_one:
            return encode_json({"embedding": vectors[0] if vectors else []})
        counted = {} if tokens is None else {"prompt_eval_count": tokens}
        return encode_json({"model": model or self.model, "embeddings": vectors, **counted})


def read_embeddings(path: str, payload: Mapping[str, Any]) -> EmbeddingsAsked:
    """What a request to one of the two addresses asks for.

    Raises:
        InvalidRequestError: naming the member that is wrong.
    """
    model, is_one = get_name(payload, "model"), path == EMBEDDINGS
    check_known(payload, _SHARED | ({"prompt"} if is_one else {"input", "truncate", "dimensions"}), "")
    texts = get_field(payload, "prompt", str, "") if is_one else get_field(payload, "input", (str, list), "")
    if isinstance(texts, list) and not all(isinstance(text, str) for text in texts):
        raise InvalidRequestError("input must be a text, or a list of texts", argument="input")
    if not texts:  # as with an Ollama, which loads the model then
        return EmbeddingsAsked(model, None, is_one)
    more = {} if (size := get_field(payload, "dimensions", int, 0)) == 0 else {"dimensions": size}
    return EmbeddingsAsked(model, {"model": model, "input": texts, **more}, is_one)


def _answer(body: bytes) -> tuple[list[Any], int | None, str | None]:
    """The embeddings of chat completions' reply, the tokens of what was asked, and the model."""
    try:
        reply = from_json(body)
        entries = sorted(reply["data"], key=lambda entry: int(entry.get("index", 0)))
        vectors = [entry["embedding"] for entry in entries]
        usage, model = reply.get("usage"), reply.get("model")
    except (ValueError, KeyError, TypeError, AttributeError):
        vectors = [None]
    if not all(isinstance(vector, list) for vector in vectors):
        raise APIResponseError("the provider's reply has no embeddings")
    tokens = usage.get("prompt_tokens") if isinstance(usage, dict) else None
    return vectors, tokens if type(tokens) is int else None, model if isinstance(model, str) else None


def native_usage(body: bytes) -> Usage | None:
    """The tokens that an Ollama's own reply tells; None where it tells none."""
    try:
        tokens = from_json(body).get("prompt_eval_count")
    except (ValueError, AttributeError):
        return None
    return Usage(input_tokens=tokens) if type(tokens) is int and tokens >= 0 else None
