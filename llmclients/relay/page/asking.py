"""What the page asks: the members of `POST /page/ask`, checked, and written into the history."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmclients.async_client import AsyncClient
from llmclients.errors import InvalidRequestError, UnsupportedOptionError
from llmclients.history import AnswerWriter, History, StoredConversation, StoredTurn
from llmclients.relay.codecs.base import RelayedCall
from llmclients.relay.codecs.json_fields import get_field
from llmclients.types.content import ImagePart, Part, TextPart
from llmclients.types.messages import Message

__all__ = ["Begun", "Question", "begin", "read_question"]

_ARGUMENTS = frozenset(inspect.signature(AsyncClient.stream).parameters) - {"options"}
_MEMBERS = {"conversation", "parent", "text", "images", "model", "system", "options"}
_MAX_IMAGES = 20
_MAX_MODEL_NAME = 256


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        conversation: its id; None for a new one.
        parent: the turn that is answered or, with a message, the turn before that; None for the very beginning.
        message: a new question; None for one more answer to `parent`.
        model: the model; None for the relay's default.
        system: the system text, from now on.
        options: of the call, and of later ones.
    """

    conversation: str | None
    parent: int | None
    message: Message | None
    model: str | None
    system: str | None
    options: dict[str, Any]

    def probe(self) -> RelayedCall:
        """The call, without what was said before: enough to find out what cannot be sent."""
        return RelayedCall([self.message or Message("user", "-")], self.model, self.options, stream=True)


@dataclass(frozen=True, slots=True)
class Begun:
    """A question and its answer, as the history has them.

    Attributes:
        conversation: in which they are.
        question: None where there is no new one.
        answer: the answer's turn, empty so far.
        writer: writes it.
        call: what to ask.
    """

    conversation: StoredConversation
    question: StoredTurn | None
    answer: StoredTurn
    writer: AnswerWriter
    call: RelayedCall


def read_question(data: Mapping[str, Any]) -> Question:
    """The question in a request's members.

    Raises:
        InvalidRequestError: naming the member that is wrong.
    """
    if unknown := sorted(data.keys() - _MEMBERS):
        raise InvalidRequestError(f"there is no member {unknown[0]!r}", argument=unknown[0])
    options = get_field(data, "options", dict, {})
    for name in options:
        if name in _ARGUMENTS:
            raise UnsupportedOptionError(f"{name} is no option", argument=name)
    conversation = get_field(data, "conversation", str, "") or None
    parent = data.get("parent")
    if parent is not None and (isinstance(parent, bool) or not isinstance(parent, int)):
        raise InvalidRequestError("parent must be a turn's id", argument="parent")
    message = _message(data)
    if message is None and (conversation is None or parent is None):
        raise InvalidRequestError("there is no text, and no turn to answer", argument="text")
    if conversation is None and parent is not None:
        raise InvalidRequestError("a new conversation has no turn to go on from", argument="parent")
    model = get_field(data, "model", str, "").strip() or None
    if len(model or "") > _MAX_MODEL_NAME:
        raise InvalidRequestError(f"model is longer than {_MAX_MODEL_NAME} characters", argument="model")
    system = get_field(data, "system", str, "").strip() or None
    return Question(conversation, parent, message, model, system, options)


def _message(data: Mapping[str, Any]) -> Message | None:
    text, images = get_field(data, "text", str, ""), get_field(data, "images", list, [])
    if len(images) > _MAX_IMAGES:
        raise InvalidRequestError(f"there are more than {_MAX_IMAGES} images", argument="images")
    if not all(isinstance(image, str) and image.startswith("data:image/") for image in images):
        raise InvalidRequestError("each image must be a data: URL of one", argument="images")
    if not images:
        return Message("user", text) if text.strip() else None
    try:
        parts: list[Part] = [ImagePart(image) for image in images]
    except InvalidRequestError as error:
        raise InvalidRequestError(f"images: {error}", argument="images") from None
    if text.strip():
        parts.append(TextPart(text=text))
    return Message("user", parts)


def begin(history: History, asked: Question) -> Begun:
    """Write the question down, and begin its answer. In a thread.

    Raises:
        ConversationNotFoundError: there is no such conversation, or no such turn in it.
    """
    settings: dict[str, Any] = {"model": asked.model, "system": asked.system, "options": asked.options}
    if asked.conversation is None:
        conversation = history.start(source="page", **settings)
    else:
        conversation = history.conversation(asked.conversation)
    question, parent = None, asked.parent
    if asked.message is not None:
        question = history.add(conversation, asked.message, parent=parent)
        parent = question.id
    writer = history.answer(conversation, parent=parent, model=asked.model)
    try:
        if any(getattr(conversation, name) != value for name, value in settings.items()):
            history.configure(conversation, **settings)
        messages = history.messages(conversation, leaf=parent)
        call = RelayedCall(messages, asked.model, asked.options, stream=True)
        return Begun(history.conversation(conversation.id), question, history.turn(writer.turn), writer, call)
    except BaseException as error:
        writer.broke(error)
        raise
