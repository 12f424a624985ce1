"""Scripted providers behind a `Router`, and configurations of it."""

from __future__ import annotations

import json
from typing import Any

from relaytools import GOOD_REPLY, GOOD_STREAM

from llmclients import AsyncClient, Message
from llmclients.relay import RelayConfig
from llmclients.relay.codecs.base import RelayedCall
from llmclients.relay.routing import Router
from llmclients.testing import FakeClock
from llmclients.transports.mock import MockTransport, Reply


class Upstreams:
    """Scripted providers behind a router: what each host or key answers in turn, else well; and what was asked."""

    def __init__(self, **answers: list[Reply | None]) -> None:
        self.answers = answers
        self.asked: list[str] = []  # host, key and model
        self.closed: list[str] = []
        self.clock = FakeClock()

    def make_client(self, provider: str, **arguments: Any) -> AsyncClient:
        closed = self.closed

        class Client(AsyncClient):
            async def close(self) -> None:
                closed.append(arguments["base_url"].split("/")[2])

        return Client(provider, transport=MockTransport(self.answer), **arguments)

    def answer(self, request: Any) -> Reply:
        host, key = request.url.split("/")[2], dict(request.headers)["Authorization"].removeprefix("Bearer ")
        if request.url.endswith("/models"):
            return Reply(json={"data": [{"id": f"{host}-1"}, {"id": "gpt-9"}]})
        body = json.loads(request.body)
        self.asked.append(f"{host} {key} {body['model']}")
        script = self.answers.get(key) or self.answers.get(host)
        if script and (answer := script.pop(0)) is not None:
            return answer
        if body.get("stream"):
            return Reply(chunks=GOOD_STREAM, headers={"content-type": "text/event-stream"})
        return Reply(json=GOOD_REPLY)

    def router(self, config: dict[str, Any]) -> Router:
        return Router(RelayConfig.from_dict(config), self.make_client, self.clock)


def upstream(name: str, *keys: str, **members: Any) -> dict[str, Any]:
    return {"provider": "openai", "base_url": f"http://{name}/v1", "api_keys": list(keys) or ["k"], **members}


def pair(*keys: str, **first: Any) -> dict[str, Any]:
    """One upstream by default, and another to fall back on."""
    members = {"fallbacks": ["two/spare"], **first}
    return {"default": "one", "upstreams": {"one": upstream("one", *keys, **members), "two": upstream("two")}}


def one(*keys: str) -> dict[str, Any]:
    return {"default": "one", "upstreams": {"one": upstream("one", *keys)}}


def call(model: str | None = "m", **options: Any) -> RelayedCall:
    return RelayedCall([Message("user", "Hi")], model=model, options=options)


def status(code: int, **headers: str) -> Reply:
    shown = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(code, json={"error": {"message": "no", "code": "why"}}, headers=shown)
