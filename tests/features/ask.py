"""The features, and how each is asked for. A cell is never a guess: what is neither sent, refused nor absent, raises."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmclients.errors import ConfigurationError
from llmclients.testing import Reply
from llmclients.testing.codec_suite.samples import FIELD_VALUES, SCHEMA, TOOLS
from llmclients.types.content import AudioPart, FilePart, ImagePart
from llmclients.types.messages import Message
from llmclients.types.response import ChatResponse

from .subject import REFUSED, Subject, values_in

__all__ = ["TABLES", "Ask"]

YES, ABSENT = "yes", "–"
_DATA = b"The bytes of a part."
_URL = "https://server.test/part"
_TYPES = {"image": "image/png", "audio": "audio/wav", "file": "application/pdf"}

Ask = Callable[[Subject], str]


# --- what is asked for ----------------------------------------------------------------------------------------------


def _asked(subject: Subject, ways: Sequence[tuple[Any, Mapping[str, Any], Mapping[str, Any], Any]]) -> str:
    """`yes` if one of the ways to ask is sent and seen in the body; else the error by which the first is refused.

    A way: messages, the options without the feature, those with it, and what of it must be in the body, or None.
    """
    errors = []
    for messages, before, options, mark in ways:
        try:
            body = subject.sent(messages, **options)
        except ConfigurationError as error:
            errors.append(type(error).__name__)
            continue
        plain = subject.sent(**before) if messages == "Hello!" else b""
        assert body != plain, f"{subject.name} drops {options} silently"
        found = values_in(body)
        assert mark is None or mark in found or any(isinstance(text, str) and str(mark) in text for text in found), (
            f"{subject.name} drops {mark!r} silently: {body!r}"
        )
        return YES
    return REFUSED % errors[0]


def option(name: str, *values: Any, shown: bool = False, of: Mapping[str, Any] | None = None) -> Ask:
    """A field of ChatRequest; `shown`: it is on every wire as it is."""
    needed, defaults = FIELD_VALUES[name]

    def ask(subject: Subject) -> str:
        before = {key: value for key, value in (of or needed).items() if key in subject.codec.fields}
        return _asked(
            subject,
            [("Hello!", before, {**before, name: value}, value if shown else None) for value in values or defaults],
        )

    return ask


def system(subject: Subject) -> str:
    text = "You are a system text."
    return _asked(subject, [([Message("system", text), Message("user", "Hello!")], {}, {}, text)])


def part(kind: Callable[..., Any], name: str, form: str) -> Ask:
    def ask(subject: Subject) -> str:
        rule = subject.codec.parts.get(name)
        media_type = sorted(rule.media_types)[0] if rule and rule.media_types else _TYPES[name]
        if form == "url":
            given = [(kind(_URL), _URL), (kind(_URL, media_type=media_type), _URL)]
        else:
            mark = _DATA.decode() if media_type.startswith("text/") else base64.b64encode(_DATA).decode()
            given = [(kind(_DATA, media_type=media_type), mark)]
        text = {"type": "text", "text": "Look at this."}
        return _asked(subject, [(Message("user", [text, one]), {}, {}, mark) for one, mark in given])

    return ask


# --- what comes of itself -------------------------------------------------------------------------------------------


def brought(holds: Callable[[ChatResponse], object], *, stream: bool) -> Ask:
    """Something in an answer to `chat` or `stream`."""

    def ask(subject: Subject) -> str:
        whole = not stream and subject.codec.whole_replies
        answers = subject.answers(subject.replies if whole else subject.streams, stream=stream)
        return YES if any(holds(answer) for answer in answers) else ABSENT

    return ask


def whole_reply(subject: Subject) -> str:
    if not subject.codec.whole_replies:
        return ABSENT
    assert any(answer.text for answer in subject.answers(subject.replies, stream=False)), f"{subject.name}: no reply"
    return YES


def streaming(subject: Subject) -> str:
    assert any(answer.text for answer in subject.answers(subject.streams, stream=True)), f"{subject.name}: no stream"
    return YES


def reasoning(subject: Subject) -> str:
    kinds = (brought(lambda answer: answer.reasoning, stream=stream)(subject) for stream in (False, True))
    return YES if YES in kinds else ABSENT


def listing(subject: Subject) -> str:
    with subject.client([Reply(500)]) as (client, mock):
        try:
            names = client.models()
        except Exception:  # noqa: BLE001 - it was asked, and nothing answered
            names = None
    assert (names is None) == (len(mock.requests) == 1)
    return YES if mock.requests else ABSENT


def state(subject: Subject) -> str:
    """Something that the wire keeps over a conversation's turns: sent in both."""
    answer = next(
        case for case in (subject.replies if subject.codec.whole_replies else subject.streams) if not case.fails
    )
    headers = {"content-type": answer.content_type} if answer.content_type else {}
    with subject.client([Reply(body=answer.data, headers=headers) for _ in range(2)]) as (client, mock):
        conversation = client.conversation()
        kept = subject.codec.conversation_state(mock.clock.time())
        mock.clock.advance(100)
        for _ in range(2):
            conversation.chat("Hello!")
    if not kept:
        return ABSENT
    for request in mock.requests:
        assert set(kept.values()) <= set(map(str, values_in(request.body))), f"{subject.name} forgets {kept}"
    return YES


TABLES: Mapping[str, Mapping[str, Ask]] = {
    "Answers": {
        "whole replies": whole_reply,
        "streaming": streaming,
        "usage": brought(lambda answer: answer.usage, stream=False),
        "usage while streaming": brought(lambda answer: answer.usage, stream=True),
        "reasoning text": reasoning,
        "model listing": listing,
        "conversation state": state,
    },
    "Options": {
        "system text": system,
        **{
            f"`{name}`": option(name, FIELD_VALUES[name][1][0], shown=True)
            for name in ("temperature", "top_p", "max_tokens", "stop", "seed", "presence_penalty", "frequency_penalty")
        },
        "`reasoning_effort`": option("reasoning_effort"),
        "`logprobs`": option("logprobs"),
    },
    "More options": {
        "`n`": option("n", 2, shown=True),
        "`logit_bias`": option("logit_bias"),
        "`user`": option("user", shown=True),
        "`metadata`": option("metadata"),
        **{f"`{name}`": option(name, shown=True) for name in ("service_tier", "verbosity", "prompt_cache_key")},
    },
    "Tools and formats": {
        "`tools`": option("tools", TOOLS),
        "forced `tool_choice`": option("tool_choice", "weather_now", "required", of={"tools": TOOLS}),
        "`parallel_tool_calls`": option("parallel_tool_calls", False, of={"tools": TOOLS}),
        "a schema": option("response_format", SCHEMA),
        "JSON mode": option("response_format", "json"),
    },
    "Parts": {
        "image by URL": part(ImagePart, "image", "url"),
        "image": part(ImagePart, "image", "data"),
        "audio": part(AudioPart, "audio", "data"),
        "file": part(FilePart, "file", "data"),
    },
}
"""By table and column, how the cell is found."""
