"""Tool calls as JSON text: the schema that makes a model write them, and `CallReader`, which reads them back.

The wire: docs/protocols/openai-dialects.md, "The local model's server".
"""

# Theory of operation
#
# llama.cpp takes tools, but lets a model write any text before a call, also where one is required: a small model then
# writes text for ever. What it does keep to is a JSON schema. So a call that must come is asked for as an answer like
# this:
#
#     {"<tool_call>": "weather", "arguments": {"city": "Oslo"}}
#
# or, where there may be several, a list of such. No schema of a caller has a member of that name, so a reply says by
# itself what it is: a decoder knows nothing of the request.
#
# `CallReader` is in one of four states. In UNDECIDED the text so far may be the beginning of a call, and is held back:
# a few characters, and none of an answer that does not begin with a bracket. From there it is TEXT for good, or NAME: a
# call has begun, and its text is held until its arguments begin. In ARGUMENTS they go out as they come, until their
# bracket is closed; then it is NAME again, for another call or the end.

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from llmclients.codecs.base import StreamDecoder
from llmclients.errors import APIResponseError
from llmclients.types.limits import check_call_count
from llmclients.types.response import Chunk, ToolCallDelta
from llmclients.types.tools import Tool

__all__ = ["CallDecoder", "CallReader", "calls_schema", "read_calls"]

_MARK = "<tool_call>"
_PLAIN_VALUES = frozenset({"enum", "const", "default", "examples"})
"""Where a schema has values, not schemas."""
_NAMED = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
"""Where it has schemas by name."""
_BEGIN = '{"' + _MARK + '":'
_CALL = re.compile(r'[\s\[\]{},]*"<tool_call>"\s*:\s*"([^"]*)"\s*,\s*"arguments"\s*:\s*')
_MAX_HEAD = 4096
"""Characters that are held back at the most. A name has 128."""
_UNDECIDED, _TEXT, _NAME, _ARGUMENTS = range(4)


def calls_schema(tools: Sequence[Tool], *, parallel: bool, answer: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The schema of a call of one of the tools.

    Args:
        tools: at least one.
        parallel: whether it is a list of such calls.
        answer: the schema of an answer that may come instead.
    """
    place = "#/anyOf/0/items/anyOf" if parallel else "#/anyOf"
    calls: list[dict[str, Any]] = []
    for index, tool in enumerate(tools):
        arguments = _moved(tool.parameters, f"{place}/{index}/properties/arguments")
        if not arguments.get("properties", True) and not arguments.get("additionalProperties"):
            arguments = {"const": {}}  # between the brackets of an empty object, a model may write blanks for ever
        properties = {_MARK: {"const": tool.name}, "arguments": arguments}
        calls.append({"type": "object", "properties": properties, "required": [*properties]})
        calls[-1]["additionalProperties"] = False
    replies = [{"type": "array", "items": {"anyOf": calls}, "minItems": 1}] if parallel else calls
    if answer is not None:
        replies = [*replies, _moved(answer, f"#/anyOf/{len(replies)}")]
    return {"anyOf": replies}


def _moved(schema: Any, place: str, *, is_named: bool = False) -> Any:
    """A schema with the references that it needs to stand at this place of another.

    Args:
        schema: a schema, or what stands in one.
        place: a JSON pointer.
        is_named: whether its members are schemas by names of the caller's, and not keywords.
    """
    if isinstance(schema, list):
        return [_moved(value, place) for value in schema]
    if not isinstance(schema, Mapping):
        return schema
    moved = dict(schema)
    for name, value in schema.items():
        if is_named or name not in _PLAIN_VALUES:
            moved[name] = _moved(value, place, is_named=not is_named and name in _NAMED)
    if not is_named and isinstance(ref := schema.get("$ref"), str) and ref.startswith("#"):
        moved["$ref"] = place + ref[1:]
    return moved


class CallReader:
    """The text of one answer, in pieces, to text and pieces of tool calls.

    Attributes:
        is_text: whether it is text, and stays so.
        calls: how many calls have begun.
    """

    def __init__(self) -> None:
        self.is_text = False
        self.calls = 0
        self._state = _UNDECIDED
        self._held = ""
        self._depth = 0  # of the arguments' brackets
        self._in_string = self._is_escaped = False

    def add(self, piece: str, answer_id: str | None) -> tuple[str, list[ToolCallDelta]]:
        """The next piece. Returns the text, and the pieces of calls, that are sure now.

        Args:
            piece: may be empty.
            answer_id: that of the reply; a call's is made of it.
        """
        found: list[ToolCallDelta] = []
        while piece:
            if self._state == _TEXT:
                return piece, found
            if self._state == _ARGUMENTS:
                arguments, piece = self._split(piece if self._depth else piece.lstrip())
                if found and found[-1].index == self.calls - 1:
                    found[-1].arguments += arguments
                elif arguments:
                    found.append(ToolCallDelta(index=self.calls - 1, arguments=arguments))
                continue
            self._held += piece
            if self._state == _UNDECIDED and (text := self._decide()):
                return text, found
            piece = ""
            if self._state == _NAME and (begin := _CALL.match(self._held)):
                piece, self._held = self._held[begin.end() :], ""
                self._state = _ARGUMENTS
                found.append(self._begin(begin[1], answer_id))
            elif self._state == _NAME and len(self._held) > _MAX_HEAD:
                raise APIResponseError("a tool call of the reply has no name")
        return "", found

    def end(self) -> str:
        """The answer has ended. Returns what was held back, if it is text."""
        is_call = self._state == _NAME or _compact(self._held).startswith(_BEGIN[:-2])
        return "" if is_call else self._let_go()

    def _decide(self) -> str:
        """Leave UNDECIDED, if what is held tells what it is. Returns it, where it is text."""
        begin = _compact(self._held[:_MAX_HEAD])
        if begin.startswith(_BEGIN):
            self._state = _NAME
        elif not _BEGIN.startswith(begin) or len(self._held) > _MAX_HEAD:
            self._state, self.is_text = _TEXT, True
            return self._let_go()
        return ""

    def _let_go(self) -> str:
        held, self._held = self._held, ""
        return held

    def _begin(self, name: str, answer_id: str | None) -> ToolCallDelta:
        number = self.calls
        self.calls += 1
        check_call_count(self.calls)
        self._depth = 0
        unique = (answer_id or "").removeprefix("chatcmpl-")
        return ToolCallDelta(index=number, id="_".join(filter(None, ("call", unique, str(number)))), name=name)

    def _split(self, piece: str) -> tuple[str, str]:
        """The part of a piece that belongs to the arguments, and what is behind their end."""
        for index, character in enumerate(piece):
            if self._in_string:
                if self._is_escaped:
                    self._is_escaped = False
                elif character == "\\":
                    self._is_escaped = True
                elif character == '"':
                    self._in_string = False
            elif character == '"':
                self._in_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if self._depth == 0:
                    self._state = _NAME
                    return piece[: index + 1], piece[index + 1 :]
        return piece, ""


def _compact(text: str) -> str:
    """The beginning of a call without blanks, and without the bracket of its list."""
    return re.sub(r"\s", "", text).removeprefix("[")


def read_calls(chunk: Chunk, reader: CallReader) -> Chunk:
    """A chunk with the calls that its text is, by the reader of its answer; one of plain text as it is."""
    text, calls = reader.add(chunk.text, chunk.id)
    reason = chunk.finish_reason
    if reason is not None:
        text += reader.end()
        if reason == "stop" and reader.calls:
            reason = "tool_calls"
    if text == chunk.text and not calls and reason == chunk.finish_reason:
        return chunk
    return chunk.model_copy(update={"text": text, "tool_calls": [*chunk.tool_calls, *calls], "finish_reason": reason})


class CallDecoder:
    """A stream decoder that reads the calls in another's text."""

    def __init__(self, inner: StreamDecoder) -> None:
        self.done = False
        self._inner = inner
        self._reader = CallReader()

    def feed(self, data: bytes) -> Iterator[Chunk]:
        return self._read(self._inner.feed(data))

    def finish(self) -> Iterator[Chunk]:
        return self._read(self._inner.finish())

    def _read(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            yield chunk if self._reader.is_text else read_calls(chunk, self._reader)
        self.done = self._inner.done
