"""The raw-text wires from the server's side: a flattened prompt in, nothing but the text out.

The wire: docs/protocols/raw-text.md, "Raw text".

Their clients send a whole chat as one text, `User: …\\nAssistant: …\\nUser: …\\nAssistant:`. A chat model answers that
text badly: SmolLM2, told a word and asked for it a turn later, names it when it gets three messages, and denies it when
it gets one text. So `unflatten` makes messages of the text again, but only where it has exactly the shape that
`format_prompt` gives to a chat of alternating turns; flattened again, the messages are that text. Any other text stays
one user message. Nothing in a text can say whether a user typed such a line: no server of these wires can tell.
`yqcloud` sends its system text apart from the prompt, so there a `System:` line has no rank.
"""

from __future__ import annotations

import re

from llmclients.codecs.raw_text.prompt import format_prompt
from llmclients.errors import APIResponseError
from llmclients.relay.codecs.json_reply import encode_json, encode_text
from llmclients.relay.errors import Failure
from llmclients.types.choice import weightier_reason
from llmclients.types.messages import Message
from llmclients.types.response import ChatResponse, Chunk, FinishReason

__all__ = ["TEXT", "TextEncoder", "error_body", "reply_body", "unflatten"]

TEXT = "text/plain; charset=utf-8"

_TURN = re.compile(r"^(System|User|Assistant): ", re.MULTILINE)
_END = "\nAssistant:"


def unflatten(prompt: str, *, system_line: bool) -> list[Message]:
    """The messages that a flattened prompt is made of; one user message when it is not clearly one.

    Args:
        prompt: the text, not empty.
        system_line: whether the first line may be the system message.
    """
    whole = [Message("user", prompt)]
    if not prompt.endswith(_END):
        return whole
    text = prompt.removesuffix(_END)
    starts = list(_TURN.finditer(text))
    if not starts or starts[0].start() != 0:
        return whole
    ends = [start.start() - 1 for start in starts[1:]] + [len(text)]
    turns = [
        Message(start[1].lower(), text[start.end() : end])  # type: ignore[arg-type]
        for start, end in zip(starts, ends, strict=True)
    ]
    roles = [turn.role for turn in turns]
    if system_line and roles[0] == "system":
        del roles[0]
    alternating = ["user", "assistant"] * (len(roles) // 2) + ["user"]
    if roles != alternating or not all(turn.text.strip() for turn in turns) or _flat(turns) != prompt:
        return whole
    return turns


def _flat(turns: list[Message]) -> str:
    return format_prompt(turns, add_special_tokens=True)


class TextEncoder:
    """Text as it comes. The wire has nothing to say how an answer ended: a bad end can only be a cut connection."""

    def __init__(self) -> None:
        self._empty = True
        self._finish_reason: FinishReason | None = None

    def feed(self, chunk: Chunk) -> bytes:
        self._finish_reason = weightier_reason(self._finish_reason, chunk.finish_reason)
        self._empty = self._empty and not chunk.text
        return encode_text(chunk.text)

    def finish(self) -> bytes:
        _check_end(self._finish_reason, empty=self._empty)
        return b""

    def fail(self, failure: Failure) -> None:
        return None


def reply_body(response: ChatResponse) -> bytes:
    """A whole reply.

    Raises:
        APIResponseError: it is empty, or ended in an error.
    """
    _check_end(response.finish_reason, empty=not response.text)
    return encode_text(response.text)


def _check_end(reason: FinishReason | None, *, empty: bool) -> None:
    if reason == "error":
        raise APIResponseError("the upstream answer ended in an error")
    if empty:
        raise APIResponseError("the upstream answer is empty")


def error_body(failure: Failure) -> bytes:
    """The JSON body of an error status. What the services send is not known; their clients read `message`."""
    return encode_json({"code": failure.status, "message": failure.message})
