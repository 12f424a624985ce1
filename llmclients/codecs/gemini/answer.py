"""What the objects of one reply of Gemini's come to: a whole reply is one object, a stream is many (PROTOCOLS 12.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from llmclients.codecs.json_fields import get_int, get_list, get_optional_str, unexpected_type
from llmclients.types.response import (
    Chunk,
    FinishReason,
    TokenLogprob,
    ToolCallDelta,
    Usage,
    make_chunk,
    make_text_chunk,
)

__all__ = ["Answer"]

FINISH_REASONS: Mapping[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
}
"""Whatever is not here is an `error`: an unknown ending must not pass for a good one. Its word stays in `raw`."""

_COUNTS = (
    *("promptTokenCount", "toolUsePromptTokenCount", "candidatesTokenCount", "thoughtsTokenCount"),
    *("totalTokenCount", "cachedContentTokenCount"),
)
_COUNT_TYPES = frozenset({int, type(None)})
_ALL_FIELDS = set(Usage.model_fields)
_new = object.__new__


class _OpenUsage(Usage, defer_build=True):  # nothing is ever validated as one
    """Counts under construction: attributes are set as any object's, not through pydantic's `__setattr__`."""

    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__  # the interpreter has one slot for the two: only both make it fast


_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9_-]+")


class Answer:
    """Takes the objects one by one, and makes a chunk of each.

    Attributes:
        begun: whether one of them had a candidate, or said why there is none.
        finished: whether a finish reason has come.
    """

    def __init__(self) -> None:
        self.begun = False
        self.finished = False
        self._calls = 0
        self._response_id = ""
        self._content = _Content()

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
        members["usage"] = None if usage is None else _usage(usage)
        return chunk

    def _other_chunk(self, payload: dict[str, Any]) -> Chunk:
        """The chunk of an object that may be anything."""
        self._response_id = self._response_id or get_optional_str(payload, "responseId") or ""
        text, role, reasoning = "", None, None
        calls: Sequence[ToolCallDelta] = ()
        reason: FinishReason | None = None
        logprobs: Sequence[TokenLogprob] = ()
        candidate = _first_candidate(payload)
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
            if candidate.get("finishReason"):
                reason = self._finish_reason(candidate["finishReason"])
            if candidate.get("logprobsResult"):
                logprobs = _logprobs(candidate["logprobsResult"])
        elif payload.get("promptFeedback"):
            reason = _block_reason(payload["promptFeedback"])
        if reason is not None:
            self.begun = self.finished = True
        usage = payload.get("usageMetadata")
        return make_chunk(
            text,
            role,
            reasoning,
            calls,
            reason,
            None if usage is None else _usage(usage),
            get_optional_str(payload, "modelVersion"),
            get_optional_str(payload, "responseId"),
            payload,
            logprobs,
            {"gemini": self._content.parts()} if self.finished and self._content.opaque else None,
        )

    def _read(self, parts: Any) -> tuple[str, str | None, Sequence[ToolCallDelta]]:
        """The new text, that of the reasoning, and the calls."""
        if type(parts) is not list:
            raise unexpected_type("content.parts", parts)
        text, thoughts = "", None
        calls: list[ToolCallDelta] = []
        for part in parts:
            if type(part) is not dict:
                raise unexpected_type("content.parts[]", part)
            piece = part.get("text")
            if piece is None:
                if part.get("functionCall") is not None:
                    calls.append(self._call(part["functionCall"]))
            elif type(piece) is not str:
                raise unexpected_type("content.parts[].text", piece)
            elif part.get("thought"):
                thoughts = piece if thoughts is None else thoughts + piece
            else:
                text = text + piece if text else piece
            self._content.add(part)
        return text, thoughts or None, calls or ()

    def _call(self, call: Any) -> ToolCallDelta:
        if type(call) is not dict:
            raise unexpected_type("functionCall", call)
        name, arguments = call.get("name"), call.get("args")
        if type(name) is not str or not name:
            raise unexpected_type("functionCall.name", name)
        if arguments is not None and type(arguments) is not dict:
            raise unexpected_type("functionCall.args", arguments)
        index = self._calls
        self._calls += 1
        return ToolCallDelta(
            index=index,
            id=get_optional_str(call, "id") or self._invented_id(index),
            name=name,
            arguments=json.dumps(arguments or {}, ensure_ascii=False),
        )

    def _invented_id(self, index: int) -> str:
        """An id that no other call of a conversation has. gemini_request knows it again."""
        return "_".join(filter(None, ("llmclients", _NOT_IN_AN_ID.sub("-", self._response_id), str(index))))

    def _finish_reason(self, word: Any) -> FinishReason:
        if type(word) is not str:
            raise unexpected_type("finishReason", word)
        reason = FINISH_REASONS.get(word, "error")
        return "tool_calls" if reason == "stop" and self._calls else reason


class _Content:
    """The parts of an answer, as they must come back if one of them has something that text and calls do not tell.

    Neighbouring pieces of text are put together; one with a signature stays by itself, as the API asks for.
    """

    def __init__(self) -> None:
        self.opaque = False
        self._parts: list[dict[str, Any]] = []
        self._text = bytearray()  # pieces of text that are not in `_parts` yet; grows without being copied
        self._thought = False

    def add(self, part: dict[str, Any]) -> None:
        if part.keys() <= {"text", "thought"} and part.get("text") is not None:
            self.add_text(part["text"], thought=bool(part.get("thought")))
        elif part:
            self._close()
            self._parts.append(part)
            self.opaque = self.opaque or part.keys() != {"functionCall"}

    def add_text(self, text: str, *, thought: bool = False) -> None:
        if thought != self._thought:
            self._close()
            self._thought = thought
        self._text += text.encode()

    def parts(self) -> list[dict[str, Any]]:
        self._close()
        return list(self._parts)

    def _close(self) -> None:
        if self._text:
            thought = {"thought": True} if self._thought else {}
            self._parts.append({"text": self._text.decode(), **thought})
            self._text.clear()


# --- the members of an object ---------------------------------------------------------------------------------------


def _first_candidate(payload: dict[str, Any]) -> dict[str, Any] | None:
    """The candidate with index 0. The others, where several were asked for, stay in `raw`."""
    candidates = payload.get("candidates")
    if candidates is None:
        return None
    if type(candidates) is not list:
        raise unexpected_type("candidates", candidates)
    for candidate in candidates:
        if type(candidate) is not dict:
            raise unexpected_type("candidates[]", candidate)
        if not candidate.get("index"):
            return candidate
    return None


def _block_reason(feedback: Any) -> FinishReason | None:
    """Why a prompt was not answered at all, if it was blocked."""
    if type(feedback) is not dict:
        raise unexpected_type("promptFeedback", feedback)
    return "content_filter" if feedback.get("blockReason") else None


def _usage(usage: Any) -> Usage:
    """The counts. Every event of a stream has them, so they are set without validating them again."""
    if type(usage) is not dict:
        raise unexpected_type("usageMetadata", usage)
    counts = [*map(usage.get, _COUNTS)]
    if not _COUNT_TYPES.issuperset(map(type, counts)):
        counts = [get_int(usage, name) for name in _COUNTS]
    prompt, results, answer, thoughts, total, cached = counts
    made = _new(_OpenUsage)
    made.__dict__ = {
        "input_tokens": prompt if results is None else results + (prompt or 0),
        "output_tokens": answer if thoughts is None else thoughts + (answer or 0),
        "total_tokens": total,
        "reasoning_tokens": thoughts,
        "cached_tokens": cached,
    }
    made.__pydantic_fields_set__ = _ALL_FIELDS
    made.__pydantic_extra__ = None
    made.__pydantic_private__ = None
    made.__class__ = Usage  # type: ignore[assignment]
    return made


def _logprobs(result: Any) -> list[TokenLogprob]:
    """The chosen tokens, each with the likeliest in its place."""
    if type(result) is not dict:
        raise unexpected_type("logprobsResult", result)
    chosen = [_token(entry) for entry in get_list(result, "chosenCandidates")]
    for token, place in zip(chosen, get_list(result, "topCandidates"), strict=False):
        if type(place) is not dict:
            raise unexpected_type("topCandidates[]", place)
        token.top = [_token(entry) for entry in get_list(place, "candidates")]
    return chosen


def _token(entry: Any) -> TokenLogprob:
    if type(entry) is not dict:
        raise unexpected_type("a token", entry)
    token, logprob = entry.get("token", ""), entry.get("logProbability", 0.0)  # what has its default is not sent
    if type(token) is not str or type(logprob) not in (float, int):
        raise unexpected_type("a token's log probability", logprob)
    return TokenLogprob(token=token, logprob=logprob)
