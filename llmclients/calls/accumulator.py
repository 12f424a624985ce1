"""`Accumulator`: chunks to a response: the one reducer, for `chat`, for `stream.response`, for an error's `partial`."""

# Several choices are rare, and nothing of the others may get into the text of the first: a program that prints
# `chunk.text` must not print two answers mixed. So codecs put the pieces of the others into `Chunk.other_choices`, as
# chunks that have an `index`. Each of these choices has an accumulator of its own, in `_OtherChoices`, and a reader of
# its own of `<think>` tags where the first has one. Without other choices none of this exists.

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from typing import TYPE_CHECKING, Any, TypeAlias

from llmclients.types.base import make_model
from llmclients.types.choice import Choice, weightier_reason
from llmclients.types.halves import Halves, cleaned, has_halves, is_torn
from llmclients.types.limits import MAX_TOOL_CALLS, check_call_count, check_choice_count
from llmclients.types.messages import ToolCall
from llmclients.types.response import (
    ChatResponse,
    Chunk,
    FinishReason,
    OtherPart,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    make_chunk,
)

if TYPE_CHECKING:  # few models write any
    from llmclients.calls.think_tags import ThinkTags

__all__ = ["Accumulator"]

NewTags: TypeAlias = "Callable[[], ThinkTags | None]"
"""Makes what reads the tags of one choice; None where the provider writes none."""


class Accumulator:
    """Takes chunks one by one; `response()` is what they make together so far.

    Text grows in a buffer, not in a list of pieces: an answer of a million chunks takes the memory of its text. From
    the first chunk with half a character on, each is mended on its way.

    Args:
        new_tags: makes what reads the tags of a choice besides the first, whose tags the caller reads.
    """

    def __init__(self, new_tags: NewTags | None = None) -> None:
        self._new_tags = new_tags
        self._halves: Halves | None = None
        self._reset()

    def _reset(self) -> None:
        if self._halves is not None:
            del self.add  # the method again, not the instance's attribute
        self._started = False  # by something else than text
        self._text = StringIO()
        self._write = self._text.write
        self._reasoning: StringIO | None = None
        self._calls: dict[int, _Call] = {}
        self._finish_reason: FinishReason | None = None
        self._usage: Usage | None = None
        self._logprobs: list[TokenLogprob] = []
        self._provider_data: dict[str, Any] | None = None
        self._other_parts: list[OtherPart] = []
        self._other_choices: _OtherChoices | None = None
        self._model: str | None = None
        self._id: str | None = None
        self._raw: Any = None
        self._halves = None

    def add(self, chunk: Chunk) -> Chunk:
        """Take the next chunk. One marked `restarted` discards what came before it.

        Returns the chunk to hand out: nearly always the same.

        Raises:
            APIResponseError: the answer has more than `MAX_TOOL_CALLS` tool calls.
        """
        found = chunk.__dict__  # a dozen attributes of each chunk of each stream: a dict's members take half the time
        text = found["text"]
        if (
            not text  # as in a chunk that is marked `restarted`
            or found["reasoning"]
            or found["tool_calls"]
            or found["finish_reason"]
            or found["usage"]  # a model is true, whatever it holds
            or found["logprobs"]
            or found["other_parts"]
            or found["other_choices"]
            or found["provider_data"] is not None
        ):
            return self._add_more_than_text(chunk)
        if not text.isascii() and not text.isprintable() and has_halves(text):  # the first two are quick
            return self._add_more_than_text(chunk)
        self._write(text)
        self._model = found["model"] or self._model
        self._id = found["id"] or self._id
        return chunk

    def finish(self) -> Chunk | None:
        """The answer has ended: a last chunk, if half a character was held back for its other half."""
        rest = self._halves.rest() if self._halves else None
        last = None if rest is None else self.add(rest)
        others = self._other_choices.finish() if self._other_choices else None
        return (last or make_chunk()).model_copy(update={"other_choices": others}) if others else last

    def _add_more_than_text(self, chunk: Chunk) -> Chunk:
        found = chunk.__dict__
        if found["restarted"]:
            self._reset()
            return chunk
        text = found["text"]
        if self._halves is not None or (
            (not text.isascii() or found["reasoning"] or found["tool_calls"] or found["provider_data"])
            and is_torn(chunk)
        ):
            if self._halves is None:
                self._halves = Halves()
                self.add = self._add_more_than_text  # type: ignore[method-assign] # from now on, this is every chunk's way
            chunk = self._halves.mend(chunk)
            found = chunk.__dict__
            text = found["text"]
        self._started = True
        if text:
            self._write(text)
        self._model = found["model"] or self._model
        self._id = found["id"] or self._id
        if reasoning := found["reasoning"]:
            self._reasoning = self._reasoning or StringIO()
            self._reasoning.write(reasoning)
        for delta in found["tool_calls"]:
            call = self._calls.get(delta.index)
            if call is None:
                check_call_count(len(self._calls) + 1, MAX_TOOL_CALLS)
                call = self._calls[delta.index] = _Call()
            call.add(delta)
        reason = found["finish_reason"]
        if reason is not None and weightier_reason(self._finish_reason, reason) != self._finish_reason:
            self._finish_reason, self._raw = reason, found["raw"]
        if found["usage"] is not None:
            self._usage = found["usage"]
        if found["logprobs"]:
            self._logprobs.extend(found["logprobs"])
        if found["provider_data"] is not None:
            self._provider_data = found["provider_data"]
        if found["other_parts"]:
            self._other_parts.extend(found["other_parts"])
        return self._add_other_choices(chunk) if found["other_choices"] else chunk

    def _add_other_choices(self, chunk: Chunk) -> Chunk:
        if self._other_choices is None:
            self._other_choices = _OtherChoices(self._new_tags)
        pieces = self._other_choices.add(chunk.other_choices)
        if all(new is old for new, old in zip(pieces, chunk.other_choices, strict=True)):
            return chunk
        return chunk.model_copy(update={"other_choices": pieces, "raw": cleaned(chunk.raw)})

    @property
    def started(self) -> bool:
        """Whether a chunk of the answer has come."""
        return self._started or self._text.tell() > 0

    @property
    def text_buffer(self) -> StringIO:
        """The text so far, to be read where it stands. Who reads in it leaves its position at its end."""
        return self._text

    def open_calls(self) -> Iterator[tuple[int, str, str, StringIO]]:
        """The tool calls so far, in their order: index, id, name, and the arguments, as `text_buffer` is the text."""
        for index, call in sorted(self._calls.items()):
            yield index, call.id, call.name, call.arguments

    def response(self, raw: Any = None) -> ChatResponse:
        """The response so far.

        Args:
            raw: the reply, where it came as a whole; else it is the event with the finish reason.
        """
        reason = self._finish_reason
        if raw is None:  # a whole reply's reader has done it; of an event, any member may have half a character
            raw = cleaned(self._raw)
        return make_model(
            ChatResponse,
            text=self._text.getvalue(),
            reasoning=self._reasoning.getvalue() if self._reasoning else None,
            tool_calls=[call.whole() for _, call in sorted(self._calls.items())],
            finish_reason="tool_calls" if reason == "stop" and self._calls else reason,  # a call may come after it
            usage=self._usage,
            model=self._model,
            id=self._id,
            raw=raw,
            logprobs=self._logprobs or None,
            provider_data=self._provider_data,
            other_parts=[*self._other_parts],
            other_choices=self._other_choices.choices() if self._other_choices else [],
        )


class _Call:
    """A tool call under assembly: id and name come once, arguments piece by piece."""

    def __init__(self) -> None:
        self.id = ""
        self.name = ""
        self.arguments = StringIO()
        self._provider_data: dict[str, Any] | None = None

    def add(self, delta: ToolCallDelta) -> None:
        self.id = self.id or delta.id or ""
        self.name = self.name or delta.name or ""
        self.arguments.write(delta.arguments)
        if delta.provider_data is not None:
            self._provider_data = delta.provider_data

    def whole(self) -> ToolCall:
        arguments = self.arguments.getvalue() or "{}"
        return ToolCall(id=self.id, name=self.name, arguments=arguments, provider_data=self._provider_data)


class _OtherChoices:
    """The choices besides the first, by their index.

    Args:
        new_tags: makes what reads the tags of one of them.
    """

    def __init__(self, new_tags: NewTags | None = None) -> None:
        self._new_tags = new_tags
        self._choices: dict[int, tuple[Accumulator, ThinkTags | None]] = {}

    def add(self, pieces: Iterable[Chunk]) -> list[Chunk]:
        """Take the next pieces. Returns those to hand out: nearly always the same.

        Raises:
            APIResponseError: the reply has more than `MAX_CHOICES`, or one of them more than `MAX_TOOL_CALLS` calls.
        """
        return [self._add(piece) for piece in pieces]

    def _add(self, piece: Chunk) -> Chunk:
        if piece.index not in self._choices:
            check_choice_count(len(self._choices) + 2)
            self._choices[piece.index] = Accumulator(), None if self._new_tags is None else self._new_tags()
        accumulator, tags = self._choices[piece.index]
        return accumulator.add(piece if tags is None else tags.read(piece))

    def finish(self) -> list[Chunk]:
        """The answer has ended: what was held back of each."""
        rest: list[Chunk] = []
        for index, (accumulator, tags) in self._choices.items():
            held = None if tags is None else tags.rest()
            chunks = (None if held is None else accumulator.add(held), accumulator.finish())
            rest += [chunk.model_copy(update={"index": index}) for chunk in chunks if chunk is not None]
        return rest

    def choices(self) -> list[Choice]:
        """Each as far as it has come, in the order of their indexes."""
        responses = {index: accumulator.response() for index, (accumulator, _) in sorted(self._choices.items())}
        return [response.choices[0].model_copy(update={"index": index}) for index, response in responses.items()]
