"""The JSON of an answer while it streams: its value so far, the items of its list, the arguments of its tool calls."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import StringIO
from typing import Any

from llmclients.calls.call import Call
from llmclients.errors import InvalidRequestError
from llmclients.types.partial_json import PartialJSON
from llmclients.types.response import PartialToolCall
from llmclients.types.response_format import ResponseFormat
from llmclients.types.wrapped_answer import WRAPPER_KEY, unwrap

__all__ = ["Objects", "PartialAnswer"]

# Nothing here runs while a stream is read: the accumulator gathers text, and each reader takes what is new there when
# it is asked. A stream whose JSON nobody looks at pays nothing for it.


class _GrowingJSON:
    """The JSON in a text buffer that others write into. Another buffer is another answer, and begins anew."""

    def __init__(self) -> None:
        self._buffer: StringIO | None = None
        self._position = 0
        self._failure: str | None = None
        self.reader = PartialJSON(WRAPPER_KEY)

    def value(self, buffer: StringIO) -> Any:
        """The value so far; of a text that is no JSON, as it was before that could be seen."""
        self.read(buffer)
        return self.reader.value

    def read(self, buffer: StringIO) -> str | None:
        """Take what is new in the buffer. What is wrong with the text, if something is."""
        if buffer is not self._buffer:
            self._buffer, self._position, self._failure = buffer, 0, None
            self.reader = PartialJSON(WRAPPER_KEY)
        buffer.seek(self._position)
        new = buffer.read()  # to its end, where the next piece is written
        self._position += len(new)
        if new and self._failure is None:
            try:
                self.reader.feed(new)
            except ValueError as error:
                self._failure = str(error)
        return self._failure

    def text(self, start: int, end: int) -> str:
        """A piece of the buffer's text."""
        assert self._buffer is not None
        self._buffer.seek(start)
        found = self._buffer.read(end - start)
        self._buffer.seek(0, 2)
        return found


class PartialAnswer:
    """What a stream's answer, and its tool calls, are so far."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._text = _GrowingJSON()
        self._format: ResponseFormat | None = None
        self._is_wrapped = False
        self._arguments: dict[int, _GrowingJSON] = {}

    def value(self) -> Any:
        """The answer so far; None before anything.

        Raises:
            InvalidRequestError: no JSON was asked for.
        """
        call = self._call
        response_format = call.response_format
        if response_format is not self._format or response_format is None:  # each provider's call has its own
            self._format = _required_format(call, "partial")
            self._is_wrapped = self._format.is_wrapped
        value = self._text.value(call.accumulator.text_buffer)
        return unwrap(value) if self._is_wrapped else value

    def tool_calls(self) -> list[PartialToolCall]:
        """The tool calls so far, in their order."""
        return [
            PartialToolCall(id, name, self._arguments.setdefault(index, _GrowingJSON()).value(buffer))
            for index, id, name, buffer in self._call.accumulator.open_calls()
        ]

    def objects(self) -> Objects:
        """A new walk over the answer's objects.

        Raises:
            InvalidRequestError: no JSON was asked for, or an answer that may begin anew.
        """
        response_format = _required_format(self._call, "objects()")
        if self._call.restarts:
            raise InvalidRequestError(
                "objects() cannot be taken back, as an answer that begins anew would want: ask without restart",
                argument="restart",
            )
        return Objects(self._call, response_format, self._text)


class Objects:
    """The objects of one answer, in their order: a list's items, or the answer itself."""

    def __init__(self, call: Call, response_format: ResponseFormat, text: _GrowingJSON) -> None:
        self._call = call
        self._format = response_format
        self._is_list = response_format.is_list
        self._text = text
        self._count = 0
        self._buffer = call.accumulator.text_buffer

    def complete(self) -> Iterable[Any]:
        """The items that are complete by now and were not given yet.

        Raises:
            StructuredOutputError: while they are gone through: the next does not fit, or what follows is no JSON.
        """
        if not self._is_list:
            return ()
        buffer = self._call.accumulator.text_buffer
        if buffer is not self._buffer:  # the next turn of a tool loop, or an attempt of which nothing was seen yet
            if self._count:
                raise self._call.misfit("the model has called tools after its first objects")
            self._buffer = buffer
        failure = self._text.read(buffer)
        if self._call.runs_tools:
            failure = None  # words before a call; those of the answer itself are told at its end
        reader = self._text.reader
        if failure is None and len(reader.item_ends) == self._count:
            return ()
        return self._items(reader, failure)

    def _items(self, reader: PartialJSON, failure: str | None) -> Iterator[Any]:
        ends = reader.item_ends
        while self._count < len(ends):
            start = ends[self._count - 1] if self._count else reader.items_begin
            assert start is not None
            item = self._text.text(start, ends[self._count]).lstrip(", \t\n\r")
            try:
                value = self._format.parse_item(item, self._count)
            except ValueError as error:
                raise self._call.misfit(str(error)) from None
            self._count += 1
            yield value
        if failure is not None:
            raise self._call.misfit(failure)

    def rest(self) -> Iterator[Any]:
        """What remains when the answer has come to its end."""
        yield from self.complete()
        response = self._call.response()
        if not self._is_list and response.finish_reason != "tool_calls":
            yield response.parsed


def _required_format(call: Call, who: str) -> ResponseFormat:
    if call.response_format is None:
        raise InvalidRequestError(f"{who} is of answers in JSON: ask with response_format", argument="response_format")
    return call.response_format
