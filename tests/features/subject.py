"""One provider, asked by a client whose transport notes what is sent and answers with recordings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from helpers import Recording, model_of, recordings_of_wire

from llmclients import Client
from llmclients.errors import APIError, ConfigurationError
from llmclients.providers.registry import find_provider
from llmclients.testing import MockTransport, Reply
from llmclients.types.messages import Messages
from llmclients.types.response import ChatResponse

__all__ = ["REFUSED", "Subject", "values_in"]

REFUSED = "refused (`%s`)"


class Subject:
    """A provider under question."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.provider = find_provider(name)
        self.codec = self.provider.load_codec()
        self._answers: dict[tuple[str, bool], ChatResponse | None] = {}  # by recording, whole or streamed
        self.replies, self.streams = (recordings_of_wire(name, kind) for kind in ("replies", "streams"))

    @contextmanager
    def client(self, replies: list[Reply]) -> Iterator[tuple[Client, MockTransport]]:
        """A client of it, and its transport."""
        mock = MockTransport(replies)
        client = Client(
            self.name,
            model=model_of(self.name),
            api_key="key",
            base_url="http://server.test",  # some providers have none, and one starts a server
            retry=None,
            transport=mock,
        )
        with client:
            yield client, mock

    def sent(self, messages: Messages = "Hello!", **options: Any) -> bytes:
        """The body that goes out for this call.

        Raises:
            ConfigurationError: it is refused; nothing went out.
        """
        with self.client([Reply(500)]) as (client, mock):
            try:
                client.chat(messages, **options)
            except ConfigurationError:
                assert mock.requests == [], f"{self.name} refuses {options}, but sends a request"
                raise
            except APIError:
                pass  # the answer to a question that was sent
            (request,) = mock.requests
        return request.body

    def answers(self, cases: list[Recording], *, stream: bool) -> Iterator[ChatResponse]:
        """What its client makes of those recordings that end well."""
        for case in cases:
            key = str(case), stream
            if key not in self._answers:
                self._answers[key] = self._answer(case, stream=stream)
            if (answer := self._answers[key]) is not None:
                yield answer

    def _answer(self, case: Recording, *, stream: bool) -> ChatResponse | None:
        headers = {"content-type": case.content_type} if case.content_type else {}
        with self.client([Reply(body=case.data, headers=headers)]) as (client, _):
            try:
                if not stream:
                    return client.chat("Hello!")
                with client.stream("Hello!") as chunks:
                    for _chunk in chunks:
                        pass
                return chunks.response
            except APIError:
                return None


def values_in(body: bytes) -> list[Any]:
    """Every number and text in a body."""

    def walk(value: Any) -> Iterator[Any]:
        if isinstance(value, dict | list):
            for member in value.values() if isinstance(value, dict) else value:
                yield from walk(member)
        else:
            yield value

    return list(walk(json.loads(body)))
