"""The parts of a request to Gemini: contents, tools, response formats and sampling options.

The wire: docs/protocols/gemini.md, "Requests".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from llmclients.codecs.base import given
from llmclients.codecs.gemini.names import CODEC_NAME, INVENTED_ID
from llmclients.errors import APIResponseError, InvalidRequestError
from llmclients.types.content import MediaPart, Part
from llmclients.types.messages import Message, ToolCall
from llmclients.types.request import ChatRequest
from llmclients.types.schema_rules import GEMINI

if TYPE_CHECKING:
    from llmclients.types.tools import Tool

__all__ = ["contents", "generation_config", "system_instruction", "thinking_config", "tool_config", "tools"]

_TYPE_OF_SUFFIX = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "heic": "image/heic",
    "heif": "image/heif",
    "mp3": "audio/mp3",
    "wav": "audio/wav",
    "aiff": "audio/aiff",
    "aac": "audio/aac",
    "ogg": "audio/ogg",
    "flac": "audio/flac",
    "mp4": "video/mp4",
    "mov": "video/quicktime",
    "webm": "video/webm",
    "pdf": "application/pdf",
    "txt": "text/plain",
    "html": "text/html",
    "csv": "text/csv",
}

_BUDGETS = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "auto": -1}
"""Tokens of thinking for each effort, as Google's endpoint for chat completions has them; -1: the model decides."""


# --- messages -------------------------------------------------------------------------------------------------------


def system_instruction(messages: Iterable[Message]) -> dict[str, Any] | None:
    """What system and developer messages say, wherever they stand: the wire has one place for it.

    Raises:
        InvalidRequestError: one of them has more than text.
    """
    found = [message for message in messages if message.role in ("system", "developer")]
    if any(isinstance(part, MediaPart) for message in found for part in message.parts):
        raise InvalidRequestError("Gemini takes only text in a system message", argument="messages")
    parts = [_part(part) for message in found for part in message.parts]
    return {"parts": parts} if parts else None


def contents(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """The messages besides those of the system.

    An answer goes back as its `provider_data` has it. An empty one is left out: the API rejects contents without parts.
    The results of one turn go together, in the order of their calls, by which the API matches them.

    Raises:
        InvalidRequestError: nothing is left to send, or a tool's result belongs to no call.
    """
    found: list[dict[str, Any]] = []
    calls: dict[str, tuple[int, ToolCall]] = {}
    rest = (message for message in messages if message.role not in ("system", "developer"))
    for role, group in groupby(rest, key=lambda message: message.role):
        if role == "tool":
            found.append({"role": "user", "parts": _results(list(group), calls)})
            continue
        for message in group:
            calls.update((call.id, (place, call)) for place, call in enumerate(message.tool_calls or ()))
            parts = _provider_data(message) or [
                *(_part(part) for part in message.parts),
                *(_call(call) for call in message.tool_calls or ()),
            ]
            if parts:
                found.append({"role": "model" if role == "assistant" else "user", "parts": parts})
    if not found:
        raise InvalidRequestError("Gemini needs a message that is not the system's", argument="messages")
    return found


def _provider_data(message: Message) -> list[Any] | None:
    """The parts of an answer as they came, where it has them."""
    parts = message.provider_data.get(CODEC_NAME) if message.provider_data and message.role == "assistant" else None
    if parts is not None and not isinstance(parts, list):
        raise InvalidRequestError(f"provider_data[{CODEC_NAME!r}] must be a list of parts", argument="messages")
    return parts


def _part(part: Part) -> dict[str, Any]:
    if not isinstance(part, MediaPart):
        return {"text": part.text}
    if part.url is None:
        return {"inlineData": {"mimeType": part.media_type, "data": part.base64}}
    return {"fileData": {**given(mimeType=part.media_type or _type_of_url(part.url)), "fileUri": part.url}}


def _type_of_url(url: str) -> str | None:
    """The type by the name at the end of a URL; None for a page, such as a video's, or an uploaded file."""
    path = url.partition("#")[0].partition("?")[0]
    return _TYPE_OF_SUFFIX.get(path.rpartition("/")[2].rpartition(".")[2].lower())


def _call(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = call.arguments
    except APIResponseError as error:
        raise InvalidRequestError(str(error), argument="messages") from None
    return {"functionCall": {**_wire_id(call.id), "name": call.name, "args": arguments}}


def _wire_id(call_id: str | None) -> dict[str, Any]:
    return {"id": call_id} if call_id and not call_id.startswith(INVENTED_ID) else {}


def _results(messages: Sequence[Message], calls: dict[str, tuple[int, ToolCall]]) -> list[dict[str, Any]]:
    """The results of one turn. Those of calls that are not known come last, in their own order."""
    placed = [(calls.get(message.tool_call_id or "", (len(calls), None)), message) for message in messages]
    placed.sort(key=lambda entry: entry[0][0])
    return [_result(message, call) for (_, call), message in placed]


def _result(message: Message, call: ToolCall | None) -> dict[str, Any]:
    """A tool's result. Its text stays text, also where it is JSON: the wire's own objects would round long numbers."""
    name = call.name if call is not None else message.name
    if not name:
        raise InvalidRequestError(
            f"the result of the tool call {message.tool_call_id!r} needs the function's name: "
            "no assistant message before it has that call",
            argument="messages",
        )
    response: dict[str, Any] = {
        **_wire_id(message.tool_call_id),
        "name": name,
        "response": {"error" if message.is_error else "output": message.text},
    }
    media = [_part(part) for part in message.parts if isinstance(part, MediaPart)]
    if media:
        response["parts"] = media
    return {"functionResponse": response}


# --- tools ----------------------------------------------------------------------------------------------------------


def tools(declared: Iterable[Tool]) -> list[dict[str, Any]]:
    """All functions, in one tool, with plain JSON Schema."""
    return [{"functionDeclarations": list(_declarations(declared))}]


def _declarations(declared: Iterable[Tool]) -> Iterator[dict[str, Any]]:
    for tool in declared:
        if not (tool.name[0].isalpha() or tool.name[0] == "_"):
            raise InvalidRequestError(
                f"tools: {tool.name!r}: on this wire a name begins with a letter or _", argument="tools"
            )
        yield {"name": tool.name, **given(description=tool.description), "parametersJsonSchema": tool.parameters}


def tool_config(choice: str) -> dict[str, Any]:
    """A `tool_choice`."""
    mode = {"auto": "AUTO", "none": "NONE", "required": "ANY"}.get(choice)
    config = {"mode": mode} if mode else {"mode": "ANY", "allowedFunctionNames": [choice]}
    return {"functionCallingConfig": config}


# --- sampling and response format -----------------------------------------------------------------------------------


def generation_config(request: ChatRequest, top_k: int | None) -> dict[str, Any]:
    """The sampling, the length and the response format, as far as they are set."""
    stop, response_format, logprobs = request.stop, request.response_format, request.logprobs
    if logprobs is None and request.top_logprobs is not None:
        logprobs = True  # the count alone is rejected
    return given(
        temperature=request.temperature,
        topP=request.top_p,
        topK=top_k,
        maxOutputTokens=request.max_tokens,
        candidateCount=request.n,
        stopSequences=[stop] if isinstance(stop, str) else stop,
        seed=request.seed,
        presencePenalty=request.presence_penalty,
        frequencyPenalty=request.frequency_penalty,
        responseMimeType=None if response_format is None else "application/json",
        responseJsonSchema=None if response_format is None else response_format.fitted(GEMINI)[0],
        responseLogprobs=logprobs,
        logprobs=request.top_logprobs,
    )


def thinking_config(
    model: str, effort: str | None, budget: int | None, include_thoughts: bool | None
) -> dict[str, Any]:
    """How much the model thinks, and whether it shows its thoughts.

    Gemini 3 and later take a level, in the caller's word; those before a budget in tokens. With an effort, thoughts are
    shown, unless `include_thoughts` is False, or nothing is thought: then the API would reject it.

    Raises:
        InvalidRequestError: both an effort and a budget, or an effort that has no budget.
    """
    config: dict[str, Any] = {}
    if effort is not None and budget is not None:
        raise InvalidRequestError("give reasoning_effort or thinking_budget, not both", argument="thinking_budget")
    if effort is not None and not _takes_a_budget(model):
        config["thinkingLevel"] = effort.upper()
    elif effort is not None:
        budget = _BUDGETS.get(effort.lower())
        if budget is None:
            raise InvalidRequestError(
                f"{model} takes a reasoning_effort of {', '.join(_BUDGETS)}, or thinking_budget= in tokens, "
                f"not {effort!r}",
                argument="reasoning_effort",
            )
    if budget is not None:
        config["thinkingBudget"] = budget
    if include_thoughts is None and effort is not None and effort.lower() != "none":
        include_thoughts = True
    if include_thoughts is not None:
        config["includeThoughts"] = include_thoughts
    return config


def _takes_a_budget(model: str) -> bool:
    """Whether the model is of a generation before the third. One whose name does not say is taken for a newer one."""
    generation = re.search(r"gemini-([0-9]+)", model)
    return generation is not None and int(generation[1]) < 3
