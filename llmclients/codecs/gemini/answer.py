"""The reader of Gemini's replies: objects to chunks. A whole reply is one object, a stream is many.

The wire: docs/protocols/gemini.md, "Whole replies".
"""

# Theory of operation.
#
# A stream has no events of different types: each object is written as a whole reply is, with what is new since the one
# before. So there is one reader for both, and it keeps only what one object cannot tell:
#
# - How many calls there were. Calls come whole, and often without an id. They get one that is the same however the
#   reply came (`llmclients_RESPONSE_NUMBER`), and `request.py` leaves it out again: the API matches results by their
#   order.
# - Whether a finish reason has come. Some servers send token counts, or a signature, in an object after it.
# - The parts so far, for `provider_data`. The API wants a part with a `thoughtSignature`, or of a type that has neither
#   text nor a call, back where it stood. Text and calls alone can be written anew. So an answer has `provider_data` as
#   soon as one part of it is opaque in this way, and then it is all parts: with the chunk of the finish reason, and
#   again, for what it is by then, with every chunk after it. Some servers give a finish reason with every object: of
#   more than `_MAX_REPEATED` parts, only `rest` has them, at the end.
#
# A reply may have several candidates. Each of them besides the first is read by an `Answer` of its own.
#
# Nearly every object of a stream is a piece of text with token counts. `Answer.chunk` reads it on a path of its own,
# which gives way to `_other_chunk` at the first sign of anything else. Both must come to the same chunk.

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from llmclients.codecs.gemini.fields import (
    first_candidate,
    other_candidates,
    other_parts,
    parse_block_reason,
    parse_finish_reason,
    parse_logprobs,
    parse_usage,
)
from llmclients.codecs.gemini.names import CODEC_NAME, INVENTED_ID
from llmclients.codecs.json_fields import get_optional_str, unexpected_type
from llmclients.types.limits import check_call_count, check_choice_count
from llmclients.types.response import (
    Chunk,
    FinishReason,
    OtherPart,
    TokenLogprob,
    ToolCallDelta,
    make_chunk,
    make_text_chunk,
)

__all__ = ["Answer"]

_MAX_REPEATED = 100
"""The most parts that a chunk after the finish reason has."""
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_-]+")


class Answer:
    """Takes the objects one by one, and makes a chunk of each.

    Args:
        whole: whether there is only one, a reply.

    Attributes:
        begun: whether one of them had a candidate, or said why there is none.
        finished: whether a finish reason has come.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self.begun = False
        self.finished = False
        self._calls = 0
        self._seen_calls: set[str] = set()  # calls that can be told from all others
        self._response_id = ""
        self._content = _Content()
        self._has_sent = self._are_late = False
        self._others: dict[int, Answer] = {}  # of candidates besides the first, by their index

    def chunk(self, payload: dict[str, Any]) -> Chunk:
        """The chunk of the next object.

        Raises:
            APIResponseError: a member is not of the type that the protocol says.
        """
        try:  # nearly every event of every stream is new text, and says how many tokens it is by now
            (candidate,) = payload["candidates"]
            content = candidate["content"]
            (part,) = content["parts"]
            text = part["text"]
            usage = payload["usageMetadata"]
        except (LookupError, TypeError, ValueError):
            return self._other_chunk(payload)
        if (
            type(text) is not str
            or len(part) != 1
            or content.get("role") != "model"
            or candidate.get("index")
            or candidate.get("finishReason")
            or candidate.get("logprobsResult")
            or self.finished
        ):
            return self._other_chunk(payload)
        self.begun = True
        self._content.add_text(text)
        chunk = make_text_chunk(
            text, get_optional_str(payload, "modelVersion"), get_optional_str(payload, "responseId"), payload
        )
        members = chunk.__dict__
        members["role"] = "assistant"
        members["usage"] = None if usage is None else parse_usage(usage)
        return chunk

    def _other_chunk(self, payload: dict[str, Any]) -> Chunk:
        """The chunk of an object that may be anything."""
        self._response_id = self._response_id or get_optional_str(payload, "responseId") or ""
        text, role, reasoning = "", None, None
        calls: Sequence[ToolCallDelta] = ()
        others: Sequence[OtherPart] = ()
        reason: FinishReason | None = None
        logprobs: Sequence[TokenLogprob] = ()
        candidate = first_candidate(payload, whole=self._whole)
        if candidate is not None:
            self.begun = True
            content = candidate.get("content")
            if content is not None:
                if type(content) is not dict:
                    raise unexpected_type("content", content)
                role = "assistant" if content.get("role") == "model" else None
                parts = content.get("parts")
                if parts:
                    text, reasoning, calls = self._read(parts)
                    others = other_parts(parts)
            if candidate.get("finishReason"):
                reason = parse_finish_reason(candidate["finishReason"], called=self._calls > 0)
            if candidate.get("logprobsResult"):
                logprobs = parse_logprobs(candidate["logprobsResult"])
        elif payload.get("promptFeedback"):
            reason = parse_block_reason(payload["promptFeedback"])
        if reason is not None:
            self.begun = self.finished = True
        usage = payload.get("usageMetadata")
        return make_chunk(
            text,
            role,
            reasoning,
            calls,
            reason,
            None if usage is None else parse_usage(usage),
            get_optional_str(payload, "modelVersion"),
            get_optional_str(payload, "responseId"),
            payload,
            logprobs,
            self._provider_data() if self.finished and self._content.is_opaque else None,
            others,
            self._other_choices(payload, candidate) if payload.get("candidates") != [candidate] else (),
        )

    def _other_choices(self, payload: dict[str, Any], first: dict[str, Any] | None) -> Sequence[Chunk]:
        """The pieces of the candidates besides the first. Each candidate is read as an answer of its own."""
        pieces = []
        for index, candidate in other_candidates(payload, first).items():
            answer = self._others.get(index)
            if answer is None:
                check_choice_count(len(self._others) + 2)
                answer = self._others[index] = Answer()
                answer._response_id = f"{self._response_id}-{index}"  # its calls have ids of their own
            pieces.append(_as_piece(answer._other_chunk({"candidates": [{**candidate, "index": 0}]}), index, candidate))
        return pieces or ()

    def _provider_data(self) -> dict[str, Any] | None:
        """The parts so far; None where they are many, for each chunk would copy all: see `rest`."""
        parts = self._content.parts()
        self._are_late = self._has_sent and len(parts) > _MAX_REPEATED
        self._has_sent = True
        return None if self._are_late else {CODEC_NAME: parts}

    def rest(self) -> Chunk | None:
        """The answer has ended: its parts, if the last chunk did not have them, and those of other candidates."""
        rests = ((index, answer.rest()) for index, answer in self._others.items())
        others = [_as_piece(chunk, index, None) for index, chunk in rests if chunk is not None]
        parts = {CODEC_NAME: self._content.parts()} if self._are_late else None
        return make_chunk(provider_data=parts, other_choices=others) if others or self._are_late else None

    def _read(self, parts: Any) -> tuple[str, str | None, Sequence[ToolCallDelta]]:
        """The new text, that of the reasoning, and the calls."""
        if type(parts) is not list:
            raise unexpected_type("content.parts", parts)
        text, thoughts = "", None
        calls: list[ToolCallDelta] = []
        for part in parts:
            if type(part) is not dict:
                raise unexpected_type("content.parts[]", part)
            if part.get("functionCall") is not None and self._is_repeated(part):
                continue
            piece = part.get("text")
            if piece is None:
                if part.get("functionCall") is not None:
                    calls.append(self._call(part["functionCall"]))
            elif type(piece) is not str:
                if part.get("thought"):
                    continue
                raise unexpected_type("content.parts[].text", piece)
            elif part.get("thought"):
                thoughts = piece if thoughts is None else thoughts + piece
            else:
                text = text + piece if text else piece
            self._content.add(part)
        return text, thoughts or None, calls or ()

    def _is_repeated(self, part: dict[str, Any]) -> bool:
        """Whether a call is the same as one before: only an id or a signature tells, for a model may call twice."""
        call = part["functionCall"]
        has_id = type(call) is dict and bool(call.get("id"))
        if not has_id and not part.get("thoughtSignature"):
            return False
        text = json.dumps(call if has_id else part, sort_keys=True)
        if text in self._seen_calls:
            return True
        self._seen_calls.add(text)
        return False

    def _call(self, call: Any) -> ToolCallDelta:
        if type(call) is not dict:
            raise unexpected_type("functionCall", call)
        name, arguments = call.get("name"), call.get("args")
        if type(name) is not str or not name:
            raise unexpected_type("functionCall.name", name)
        if arguments and type(arguments) is not dict:  # an empty list is an empty object, as PHP writes it
            raise unexpected_type("functionCall.args", arguments)
        index = self._calls
        self._calls += 1
        check_call_count(self._calls)
        return ToolCallDelta(
            index=index,
            id=get_optional_str(call, "id") or self._invented_id(index),
            name=name,
            arguments=json.dumps(arguments or {}, ensure_ascii=False),
        )

    def _invented_id(self, index: int) -> str:
        """An id that no other call of a conversation has, if responses have ids. `request.py` recognizes it."""
        return INVENTED_ID + "_".join(filter(None, (_NOT_IN_AN_ID.sub("-", self._response_id), str(index))))


def _as_piece(chunk: Chunk, index: int, candidate: dict[str, Any] | None) -> Chunk:
    """The chunk as one of `other_choices`."""
    members = chunk.__dict__
    members["index"] = index
    members["raw"] = candidate
    return chunk


class _Content:
    """The parts of an answer, as they must go back if one of them is opaque.

    Neighbouring pieces of text are put together; one with a signature stays by itself, as the API asks for.

    Attributes:
        is_opaque: whether a part has something that text and calls, written anew, would lose.
    """

    def __init__(self) -> None:
        self.is_opaque = False
        self._parts: list[dict[str, Any]] = []
        self._text = bytearray()  # pieces of text that are not in `_parts` yet; grows without being copied
        self._thought = False

    def add(self, part: dict[str, Any]) -> None:
        if part.keys() <= {"text", "thought"} and part.get("text") is not None:
            self.add_text(part["text"], thought=bool(part.get("thought")))
        elif part:
            self._close()
            self._parts.append(part)
            self.is_opaque = self.is_opaque or part.keys() != {"functionCall"}

    def add_text(self, text: str, *, thought: bool = False) -> None:
        if thought != self._thought:
            self._close()
            self._thought = thought
        try:
            self._text += text.encode()
        except UnicodeEncodeError:  # half a character, whose other half may come: see `codecs/json_text.py`
            self._text += text.encode("utf-8", "surrogatepass")

    def parts(self) -> list[dict[str, Any]]:
        self._close()
        return list(self._parts)

    def _close(self) -> None:
        if self._text:
            thought = {"thought": True} if self._thought else {}
            self._parts.append({"text": self._text.decode("utf-8", "surrogatepass"), **thought})
            self._text.clear()
