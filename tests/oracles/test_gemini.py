"""The official SDK, google-genai, as oracle: it must send what our codec sends."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from llmclients.codecs.base import Context
from llmclients.codecs.gemini.codec import GeminiCodec, GeminiOptions
from llmclients.types.content import AudioPart, FilePart, ImagePart, TextPart
from llmclients.types.messages import Message, ToolCall
from llmclients.types.request import ChatRequest
from oracles.gemini_sdk import sdk

from .later import later

if TYPE_CHECKING:
    from google.genai import types
else:
    types = later("google.genai.types")

CODEC = GeminiCodec()
OK = b'{"candidates":[{"content":{"parts":[{"text":"ok"}]},"finishReason":"STOP"}]}'

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,8}", fullmatch=True)
IDS = st.from_regex(r"fc-[a-z0-9]{1,6}", fullmatch=True)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=3)
SIGNATURES = st.binary(min_size=1, max_size=6)


@dataclass
class Asked:
    """The same request, for us and for the SDK."""

    messages: list[Message] = field(default_factory=list)
    contents: list[types.Content] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)
    codec_options: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)


@st.composite
def media(draw: st.DrawFn) -> tuple[Any, types.Part]:
    kind, media_type = draw(
        st.sampled_from([(ImagePart, "image/png"), (AudioPart, "audio/wav"), (FilePart, "application/pdf")])
    )
    if draw(st.booleans()):
        data = draw(st.binary(min_size=1, max_size=9))
        return kind(data, media_type=media_type), types.Part.from_bytes(data=data, mime_type=media_type)
    url = draw(st.sampled_from(["gs://bucket/a", "https://generativelanguage.googleapis.com/v1beta/files/x"]))
    return kind(url, media_type=media_type), types.Part.from_uri(file_uri=url, mime_type=media_type)


@st.composite
def user_turns(draw: st.DrawFn) -> tuple[list[Message], list[types.Content]]:
    if draw(st.booleans()):
        text = draw(TEXTS)
        return [Message("user", text)], [types.UserContent(parts=[types.Part(text=text)])]
    texts = draw(st.lists(TEXTS, min_size=1, max_size=2))
    found = draw(st.lists(media(), max_size=2))
    return (
        [Message("user", [*(TextPart(text=text) for text in texts), *(ours for ours, _ in found)])],
        [types.UserContent(parts=[*(types.Part(text=text) for text in texts), *(theirs for _, theirs in found)])],
    )


@st.composite
def model_turns(draw: st.DrawFn) -> tuple[list[Message], list[types.Content]]:
    """An answer, sometimes with calls and their results, sometimes with signatures that only `provider_data` keeps."""
    text = draw(TEXTS)
    calls = draw(
        st.lists(st.tuples(NAMES, OBJECTS, st.none() | IDS), max_size=3, unique_by=lambda call: call[2] or id(call))
    )
    signature = draw(st.none() | SIGNATURES)
    parts = [types.Part(text=text)]
    parts += [
        types.Part(function_call=types.FunctionCall(id=wire_id, name=name, args=args)) for name, args, wire_id in calls
    ]
    provider_data = None
    if signature is not None:
        parts[-1].thought_signature = signature
        plain: list[dict[str, Any]] = [{"text": text}]
        plain += [
            {"functionCall": {**({"id": wire_id} if wire_id else {}), "name": name, "args": args}}
            for name, args, wire_id in calls
        ]
        plain[-1]["thoughtSignature"] = base64.b64encode(signature).decode()
        provider_data = {"gemini": plain}
    ids = [wire_id or f"llmclients_{place}" for place, (_, _, wire_id) in enumerate(calls)]
    asked = [ToolCall(ours, name, args) for ours, (name, args, _) in zip(ids, calls, strict=True)]
    messages = [Message("assistant", text, tool_calls=asked or None, provider_data=provider_data)]
    contents = [types.ModelContent(parts=parts)]
    results = [(draw(TEXTS), draw(st.booleans())) for _ in calls]
    if calls:
        contents.append(
            types.UserContent(
                parts=[
                    types.Part(
                        function_response=types.FunctionResponse(
                            id=wire_id, name=name, response={"error" if failed else "output": result}
                        )
                    )
                    for (name, _, wire_id), (result, failed) in zip(calls, results, strict=True)
                ]
            )
        )
        messages += draw(
            st.permutations(
                [
                    Message("tool", result, tool_call_id=ours, is_error=failed)
                    for ours, (result, failed) in zip(ids, results, strict=True)
                ]
            )
        )
    return messages, contents


SAMPLING = (
    ("temperature", "temperature", st.integers(0, 2) | st.floats(0, 2)),
    ("top_p", "top_p", st.floats(0, 1)),
    ("max_tokens", "max_output_tokens", st.integers(1, 9999)),
    ("stop", "stop_sequences", st.lists(TEXTS, min_size=1, max_size=3)),
    ("seed", "seed", st.integers(0, 2**31 - 1)),
    ("presence_penalty", "presence_penalty", st.floats(-2, 2)),
    ("frequency_penalty", "frequency_penalty", st.floats(-2, 2)),
    ("logprobs", "response_logprobs", st.booleans()),
)
SCHEMAS = st.sampled_from(
    [
        {"type": "object", "properties": {"a": {"type": "string", "description": "é"}}, "required": ["a"]},
        {"type": "object", "properties": {}, "additionalProperties": False},
        {"$defs": {"X": {"type": "object"}}, "type": "object", "properties": {"x": {"$ref": "#/$defs/X"}}},
    ]
)
CHOICES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    asked = Asked()
    for messages, contents in [draw(user_turns()), *draw(st.lists(user_turns() | model_turns(), max_size=4))]:
        asked.messages += messages
        asked.contents += contents
    if draw(st.booleans()):
        text = draw(TEXTS)
        place = draw(st.sampled_from([0, len(asked.messages)]))
        asked.messages.insert(place, Message(draw(st.sampled_from(["system", "developer"])), text))
        asked.config["system_instruction"] = types.Content(parts=[types.Part(text=text)])
    for ours, theirs, values in SAMPLING:
        if draw(st.booleans()):
            asked.options[ours] = asked.config[theirs] = draw(values)
    if draw(st.booleans()):
        asked.codec_options["top_k"] = asked.config["top_k"] = draw(st.integers(1, 64))
    _draw_tools(draw, asked)
    if draw(st.booleans()):
        asked.config["response_mime_type"] = "application/json"
        asked.options["response_format"] = "json"
        if draw(st.booleans()):
            schema = draw(SCHEMAS)
            asked.options["response_format"] = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            asked.config["response_json_schema"] = schema
    thinking = draw(st.sampled_from([None, {"thinking_budget": 0}, {"thinking_budget": -1, "include_thoughts": True}]))
    if thinking is not None:
        asked.codec_options |= thinking
        asked.config["thinking_config"] = types.ThinkingConfig(**thinking)
    if draw(st.booleans()):
        safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
        asked.codec_options |= {"safety_settings": safety, "cached_content": "cachedContents/c"}
        asked.config |= {"safety_settings": safety, "cached_content": "cachedContents/c"}
    return asked


def _draw_tools(draw: st.DrawFn, asked: Asked) -> None:
    declared = draw(st.lists(st.tuples(NAMES, st.none() | TEXTS, SCHEMAS), max_size=2, unique_by=lambda tool: tool[0]))
    declared = [tool for tool in declared if tool[0] not in CHOICES]
    if not declared:
        return
    asked.options["tools"] = [
        {"name": name, "parameters": schema, **({"description": about} if about else {})}
        for name, about, schema in declared
    ]
    functions = [
        types.FunctionDeclaration(name=name, description=about, parameters_json_schema=schema)
        for name, about, schema in declared
    ]
    asked.config["tools"] = [types.Tool(function_declarations=functions)]
    choice = draw(st.sampled_from([None, *CHOICES, declared[0][0]]))
    if choice is not None:
        asked.options["tool_choice"] = choice
        named = None if choice in CHOICES else [choice]
        asked.config["tool_config"] = types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(
                mode=CHOICES.get(choice, "ANY"), allowed_function_names=named
            )
        )


CALLERS_OWN = ("args", "response", "parametersJsonSchema", "responseJsonSchema")


def in_one_spelling(value: Any) -> Any:
    """Of members that the API reads in two: the SDK writes some in snake case, and bytes in the alphabet for URLs."""
    if isinstance(value, list):
        return [in_one_spelling(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    spelt = {}
    for name, entry in value.items():
        name = re.sub("_([a-z])", lambda found: found[1].upper(), name)
        spelt[name] = entry if name in CALLERS_OWN else in_one_spelling(entry)
        if name in ("thoughtSignature", "data"):
            spelt[name] = entry.replace("-", "+").replace("_", "/")
    return spelt


@given(asked=requests(), model=st.sampled_from(["gemini-2.5-x", "models/x", "tunedModels/y"]), stream=st.booleans())
def test_the_sdk_sends_the_same(asked: Asked, model: str, stream: bool) -> None:
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, content=b"data: " + OK + b"\r\n\r\n" if stream else OK)

    client = sdk(answer)
    config = types.GenerateContentConfig(**asked.config)
    if stream:
        list(client.models.generate_content_stream(model=model, contents=asked.contents, config=config))
    else:
        client.models.generate_content(model=model, contents=asked.contents, config=config)

    context = Context(model=model, stream=stream, api_key="g-test", options=GeminiOptions(**asked.codec_options))
    ours = CODEC.encode(ChatRequest.from_messages(asked.messages, **asked.options), context)
    (theirs,) = sent
    expected = in_one_spelling(json.loads(theirs.content))
    if expected["generationConfig"] == {}:
        del expected["generationConfig"]
    assert json.loads(ours.body) == expected
    assert (theirs.method, theirs.url.raw_path.decode()) == (ours.method, ours.path)
    for name in ("Content-Type", "x-goog-api-key"):
        assert dict(ours.headers)[name] == theirs.headers[name]
