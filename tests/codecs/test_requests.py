"""Requests option by option, as exact bytes, and what no wire can carry. Whole requests are recorded in `tests/wire/`."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from helpers import every_provider, recordings
from tables import table

from llmclients.codecs.base import Codec, Context, encode_json
from llmclients.config.client import ClientSettings
from llmclients.config.values import RetryPolicy
from llmclients.errors import (
    APIResponseError,
    ConfigurationError,
    InvalidRequestError,
    MissingAPIKeyError,
    UnsupportedOptionError,
)
from llmclients.providers.registry import find_provider
from llmclients.types.content import ImagePart, TextPart
from llmclients.types.messages import Message, as_messages
from llmclients.types.request import ChatRequest
from llmclients.types.response_format import ResponseFormat
from llmclients.types.tools import Tool

RAW_TEXT = ("yqcloud", "yqcloud-legacy", "ai365vip")
ALL = ("ylokh", *RAW_TEXT, "openai")
NEWER = ("tools", "tool_choice", "parallel_tool_calls", "response_format", "logprobs", "top_logprobs")
RARE = ("n", "logit_bias", "user", "metadata", "service_tier", "verbosity", "prompt_cache_key")
SHARED = ("temperature", "top_p", "max_tokens", "stop", "seed", "presence_penalty", "frequency_penalty")


def codec_of(provider: str) -> Codec:
    return find_provider(provider).load_codec()


def encoded(provider: str, messages: Any = "Hi", *, codec_options: dict[str, Any] | None = None, **options: Any) -> str:
    codec = codec_of(provider)
    context = Context(
        model="m",
        options=codec.options(**codec_options or {}),
        unix_time=1767225600.0,
        random=random.Random(1),
        api_key="k",
    )
    return codec.encode(ChatRequest.from_messages(messages, **options), context).body.decode()


def settings(provider: str, **arguments: Any) -> ClientSettings:
    defaults: dict[str, Any] = dict.fromkeys(
        ("model", "api_key", "base_url", "model_path", "headers", "timeout", "proxy")
    )
    defaults |= {"retry": RetryPolicy(), "fallback": (), "trust_env": False, "verify": True, "max_response_bytes": 1000}
    return ClientSettings.from_arguments(
        provider, **(defaults | {"base_url": "http://127.0.0.1:1", "api_key": "k"} | arguments)
    )


# --- option by option -----------------------------------------------------------------------------------------------

WEATHER = {"name": "weather", "description": "Now.", "parameters": {"type": "object"}}
WEATHER_WIRE = '{"type":"function","function":{"name":"weather","description":"Now.","parameters":{"type":"object"}}}'
NOW_WIRE = (
    '{"type":"function","function":{"name":"now","parameters":'
    '{"type":"object","properties":{},"required":[],"additionalProperties":false},"strict":true}}'
)
NAMED = '{"type":"function","function":{"name":"weather"}}'
FOUR = ("1", "0", "1", "0")
HI = '{"model":"m","messages":[{"role":"user","content":"Hi"}]%s}'
OPENAI = [
    ({}, ""),
    ({"temperature": 0}, ',"temperature":0'),
    ({"temperature": 1.0}, ',"temperature":1.0'),
    ({"top_p": 0.95}, ',"top_p":0.95'),
    ({"max_tokens": 5}, ',"max_completion_tokens":5'),
    ({"stop": "END"}, ',"stop":"END"'),
    ({"stop": ["河", "\n"]}, ',"stop":["河","\\n"]'),
    ({"seed": -7}, ',"seed":-7'),
    ({"presence_penalty": -2}, ',"presence_penalty":-2'),
    ({"frequency_penalty": 0.5}, ',"frequency_penalty":0.5'),
    ({"reasoning_effort": "high"}, ',"reasoning_effort":"high"'),
    ({"tools": [WEATHER]}, f',"tools":[{WEATHER_WIRE}]'),
    ({"tools": [Tool("now", strict=True)]}, f',"tools":[{NOW_WIRE}]'),
    ({"tools": []}, ""),
    ({"tools": [WEATHER], "tool_choice": "auto"}, f',"tools":[{WEATHER_WIRE}],"tool_choice":"auto"'),
    ({"tools": [WEATHER], "tool_choice": "none"}, f',"tools":[{WEATHER_WIRE}],"tool_choice":"none"'),
    ({"tools": [WEATHER], "tool_choice": "required"}, f',"tools":[{WEATHER_WIRE}],"tool_choice":"required"'),
    ({"tools": [WEATHER], "tool_choice": "weather"}, f',"tools":[{WEATHER_WIRE}],"tool_choice":{NAMED}'),
    ({"tools": [WEATHER], "parallel_tool_calls": False}, f',"tools":[{WEATHER_WIRE}],"parallel_tool_calls":false'),
    ({"response_format": "json"}, ',"response_format":{"type":"json_object"}'),
    ({"response_format": "text"}, ""),
    (
        {"response_format": ResponseFormat(name="n", json_schema={"type": "object"}, description="d", strict=False)},
        ',"response_format":{"type":"json_schema","json_schema":'
        '{"name":"n","schema":{"type":"object"},"description":"d","strict":false}}',
    ),
    ({"logprobs": False}, ',"logprobs":false'),
    ({"logprobs": True, "top_logprobs": 0}, ',"logprobs":true,"top_logprobs":0'),
    ({"extra": {"n": 1, "user": None}}, ',"n":1,"user":null'),
    ({"extra": {}}, ""),
    ({"temperature": None, "stop": None, "extra": None}, ""),
]


@table("options, expected", OPENAI, ids=repr)
def test_openai_sends_what_is_set_and_nothing_else(options: dict[str, Any], expected: str) -> None:
    not_asked = ',"stream":false'  # said, because some gateways stream unless it is
    assert encoded("openai", **options) == HI % (not_asked + expected if options.get("extra") else expected + not_asked)


YLOKH = (
    '{"messages":[{"role":"user","content":"Hi"}],"model":"m","temperature":%s,"presence_penalty":%s,"top_p":%s,'
    '"frequency_penalty":%s,"allow_fallback":%s,"stream":false%s}'
)


@table(
    "options, values",
    [
        ({}, ("1", "0", "1", "0", "true", "")),
        ({"temperature": 0.2}, ("0.2", "0", "1", "0", "true", "")),
        ({"presence_penalty": 1}, ("1", "1", "1", "0", "true", "")),
        ({"top_p": 0.5}, ("1", "0", "0.5", "0", "true", "")),
        ({"frequency_penalty": -1}, ("1", "0", "1", "-1", "true", "")),
        ({"codec_options": {"allow_fallback": False}}, ("1", "0", "1", "0", "false", "")),
        ({"max_tokens": 100}, ("1", "0", "1", "0", "true", ',"max_tokens":100')),
        ({"stop": "END"}, ("1", "0", "1", "0", "true", ',"stop":"END"')),
        ({"seed": 7}, ("1", "0", "1", "0", "true", ',"seed":7')),
        (
            {"tools": [WEATHER], "tool_choice": "weather", "parallel_tool_calls": False},
            (
                "1",
                "0",
                "1",
                "0",
                "true",
                f',"tools":[{WEATHER_WIRE}],"tool_choice":{NAMED},"parallel_tool_calls":false',
            ),
        ),
        (
            {"response_format": "json", "logprobs": True, "top_logprobs": 2},
            (*FOUR, "true", ',"response_format":{"type":"json_object"},"logprobs":true,"top_logprobs":2'),
        ),
        ({"extra": {"n": 1, "temperature": 2}}, ("2", "0", "1", "0", "true", ',"n":1')),
    ],
    ids=repr,
)
def test_ylokh_sends_its_constants_unless_overridden(options: dict[str, Any], values: tuple[str, ...]) -> None:
    assert encoded("ylokh", **options) == YLOKH % values


@table("provider", ["openai", "ylokh"])
def test_parts_go_out_as_they_were_given(provider: str) -> None:
    parts = [
        {"type": "text", "text": "See."},
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": "SUQzLi4u", "format": "mp3"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0x"}},
    ]
    request, _ = settings(provider).request(as_messages({"role": "user", "content": parts}), "m", {})
    codec = codec_of(provider)
    payload = json.loads(codec.encode(request, Context(model="m", options=codec.options())).body)

    assert payload["messages"] == [{"role": "user", "content": parts}]


@table("provider", ALL)
def test_extra_is_merged_last_replaces_in_place_and_is_not_changed(provider: str) -> None:
    extra = {"zzz": [1, {"a": None}], "messages" if provider in ("ylokh", "openai", "ai365vip") else "prompt": "mine"}
    before = copy.deepcopy(extra)
    plain = encoded(provider)

    body = encoded(provider, extra=extra)

    first = plain.index('"messages":' if "messages" in extra else '"prompt":')
    assert body[:first] == plain[:first], "in its place"
    assert body.endswith(',"zzz":[1,{"a":null}]}'), "at the end"
    assert '"mine"' in body
    assert extra == before


@table("provider", ["yqcloud", "yqcloud-legacy"])
def test_a_conversation_s_state_is_the_provider_s_own(provider: str) -> None:
    state = codec_of(provider).conversation_state(1767225600.9999)

    assert state == ({"userId": "#/chat/1767225600999"} if provider == "yqcloud" else {})


def test_yqcloud_legacy_draws_a_user_for_every_request_from_both_ends_included() -> None:
    class Ends(random.Random):
        def randint(self, a: int, b: int) -> int:
            return [a, b][self.getrandbits(1)]

    codec, rng = codec_of("yqcloud-legacy"), Ends(1)
    bodies = {
        codec.encode(ChatRequest.from_messages("Hi"), Context(options=codec.options(), random=rng)).body.decode()
        for _ in range(40)
    }

    assert {body.rpartition("#/chat/")[2] for body in bodies} == {'1690000544336"}', '2093025544336"}'}


@table("provider", ALL)
def test_a_codec_asks_no_clock_and_no_dice_of_its_own(provider: str) -> None:
    assert encoded(provider) == encoded(provider)


# --- what is rejected ------------------------------------------------------------------------------------------------

REJECTED = {
    "temperature": 0.5,
    "top_p": 0.5,
    "max_tokens": 5,
    "stop": "END",
    "seed": 7,
    "presence_penalty": 1,
    "frequency_penalty": 1,
    "reasoning_effort": "low",
    "tools": [{"type": "function", "function": {"name": "f"}}],
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "response_format": {"type": "json_object"},
    "logprobs": True,
    "top_logprobs": 2,
    "n": 2,
    "logit_bias": {7: -100},
    "user": "u7",
    "metadata": {"ticket": "t7"},
    "service_tier": "flex",
    "verbosity": "low",
    "prompt_cache_key": "k7",
}


WITHOUT_A_FIELD: list[tuple[str, str]] = [
    (provider, option) for provider in ALL for option in REJECTED if option not in codec_of(provider).fields
]


def test_an_option_without_a_field_on_the_wire_is_rejected_by_name(subtests: pytest.Subtests) -> None:
    for provider, option in WITHOUT_A_FIELD:
        with subtests.test(option, provider=provider):
            with pytest.raises(
                UnsupportedOptionError, match=f"{provider} cannot carry the option '{option}'"
            ) as caught:
                settings(provider).request(
                    as_messages("Hi"), None if provider != "openai" else "m", {option: REJECTED[option]}
                )

            assert caught.value.argument == option


def test_what_each_wire_carries() -> None:
    assert codec_of("openai").fields == {*SHARED, *NEWER, *RARE, "reasoning_effort"}
    assert codec_of("ylokh").fields == {*SHARED, *NEWER}
    assert all(codec_of(provider).fields == set() for provider in RAW_TEXT)


@table("provider", ALL)
def test_an_option_set_to_none_is_as_good_as_absent(provider: str) -> None:
    request, codec_options = settings(provider, model=None if provider in RAW_TEXT else "m").request(
        as_messages("Hi"), None, dict.fromkeys(REJECTED)
    )

    assert request.model_dump(exclude={"messages", "model"}, exclude_none=True) == {}
    assert codec_options == codec_of(provider).options()


@table(
    "provider, option, hint",
    [
        ("openai", "temprature", "did you mean 'temperature'"),
        ("openai", "network", ""),
        ("yqcloud", "netwrok", "did you mean 'network'"),
        ("yqcloud", "user_id", ""),
        ("yqcloud-legacy", "network", ""),
        ("ylokh", "messages", ""),
        ("ylokh", "stream", ""),
        ("ai365vip", "xyz", ""),
    ],
)
def test_an_unknown_option_is_rejected_by_name(provider: str, option: str, hint: str) -> None:
    with pytest.raises(UnsupportedOptionError, match=f"there is no option '{option}'") as caught:
        settings(provider).request(as_messages("Hi"), "m" if provider == "openai" else None, {option: 1})

    assert caught.value.argument == option
    assert hint in str(caught.value)


@table(
    "provider, codec_options, argument",
    [
        ("ylokh", {"allow_fallback": "perhaps"}, "allow_fallback"),
        ("yqcloud", {"network": "perhaps"}, "network"),
        ("yqcloud", {"without_context": 5}, "without_context"),
        ("yqcloud-legacy", {"system_message": 5}, "system_message"),
        ("yqcloud-legacy", {"user_id": 1.5}, "user_id"),
        ("yqcloud-legacy", {"user_id": []}, "user_id"),
    ],
)
def test_a_codec_option_of_the_wrong_type_is_rejected_by_name(
    provider: str, codec_options: dict[str, Any], argument: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        settings(provider).request(as_messages("Hi"), None, codec_options)

    assert caught.value.argument == argument


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@table("provider", RAW_TEXT)
@table(
    "message",
    [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "content": "I ask.", "tool_calls": [CALL]},
        {"role": "tool", "content": "4 degrees", "tool_call_id": "a"},
    ],
    ids=["a call", "a call with text", "its result"],
)
def test_a_prompt_does_not_lose_tool_calls_silently(provider: str, message: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\[1\].* cannot carry tool calls") as caught:
        encoded(provider, ["Hi", message])

    assert caught.value.argument == "messages"


def test_yqcloud_needs_more_than_a_system_message() -> None:
    with pytest.raises(InvalidRequestError, match="more than a system message") as caught:
        encoded("yqcloud", [Message("system", "S")])

    assert caught.value.argument == "messages"


class Loop(dict[str, Any]):
    def __init__(self) -> None:
        self["self"] = self


NO_JSON: list[Any] = [
    float("nan"),
    float("inf"),
    b"bytes",
    {1, 2},
    object(),
    1j,
    "\ud800",
    {"x": ["\udfff"]},
    {("a",): 1},
    Loop(),
]


@table("provider", ALL)
def test_what_json_cannot_carry_is_rejected(provider: str, subtests: pytest.Subtests) -> None:
    for value in NO_JSON:
        with subtests.test(type(value).__name__):
            with pytest.raises(InvalidRequestError, match="JSON cannot carry the payload") as caught:
                encoded(provider, extra={"x": value})

            assert caught.value.argument == "extra"


def test_json_is_compact_utf8_in_the_order_of_its_members() -> None:
    assert encode_json({"b": "河\u2028🌊", "a": [1, 1.0, True, None, {}], "": '\x00"\\/\x7f'}) == (
        '{"b":"河\u2028🌊","a":[1,1.0,true,null,{}],"":"\\u0000\\"\\\\/\x7f"}'.encode()
    )


# --- models and keys ------------------------------------------------------------------------------------------------


@table(
    "provider, model, sent",
    [
        ("ylokh", None, "gpt-3.5-turbo"),
        ("ylokh", "", "gpt-3.5-turbo"),
        ("ylokh", "anything", "anything"),
        ("ylokh/gpt-4", None, "gpt-4"),
        ("ylokh/gpt-4", "gpt-5", "gpt-5"),
        ("ylokh/org/model", None, "org/model"),
        ("yqcloud", None, "gpt-4"),
        ("yqcloud-legacy", None, "gpt-3.5-turbo"),
        ("aichatos", None, "gpt-3.5-turbo"),
        ("ai365vip", None, "gpt-3.5-turbo"),
        ("ai365vip", "gpt-4o", "gpt-4o"),
        ("local", None, "SmolLM2-135M-Instruct"),
        ("local", "smollm2", "SmolLM2-135M-Instruct"),
        ("openai", "gpt-4.1-mini", "gpt-4.1-mini"),
    ],
)
def test_a_call_s_model_is_the_one_named_the_client_s_or_the_default(
    provider: str, model: str | None, sent: str
) -> None:
    request, _ = settings(provider).request(as_messages("Hi"), model, {})

    assert request.model == sent


@table(
    "provider, model, words",
    [
        ("openai", None, "needs a model"),
        ("yqcloud", "gpt-3.5-turbo", "answers with gpt-4"),
        ("yqcloud-legacy", "gpt-4", "answers with gpt-3.5-turbo"),
    ],
)
def test_a_model_that_no_wire_can_carry_is_rejected(provider: str, model: str | None, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        settings(provider).request(as_messages("Hi"), model, {})

    assert caught.value.argument == "model"


def test_a_model_named_twice_is_a_mistake() -> None:
    with pytest.raises(ConfigurationError, match="named twice"):
        settings("ylokh/gpt-4", model="gpt-5")


def test_openai_needs_a_key_at_its_is_default_endpoint_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(MissingAPIKeyError, match="OPENAI_API_KEY") as caught:
        settings("openai", api_key=None, base_url=None)

    assert caught.value.argument == "api_key"
    assert settings("openai", api_key=None).api_key is None


def test_a_key_is_in_no_repr() -> None:
    assert "sk-secret" not in repr(Context(api_key="sk-secret"))
    assert "sk-secret" not in repr(settings("openai", api_key="sk-secret", headers={"x-key": "sk-secret"}))


def test_openai_asks_for_its_models() -> None:
    wire = codec_of("openai").encode_models(Context(api_key="k"))

    assert wire is not None
    assert (wire.method, wire.path, wire.body) == ("GET", "/models", b"")
    assert wire.headers == (("Accept", "application/json"), ("Authorization", "Bearer k"))


@table("provider", ["ylokh", *RAW_TEXT])
def test_the_others_have_no_such_question(provider: str) -> None:
    assert codec_of(provider).encode_models(Context()) is None
    with pytest.raises(APIResponseError, match=f"{provider} has no list of models"):
        codec_of(provider).decode_models(b"{}")


@table(
    "body, names",
    [
        (b'{"object":"list","data":[{"id":"b"},{"id":"a","owned_by":"x"}]}', ["b", "a"]),
        (b'{"data":[]}', []),
        (b' [{"id":"b"}]', ["b"]),
    ],
)
def test_the_names_of_models_are_read(body: bytes, names: list[str]) -> None:
    assert codec_of("openai").decode_models(body) == names


@table("body", [b"", b"[5]", b"{}", b'{"data":null}', b'{"data":{}}', b'{"data":["a"]}', b'{"data":[{}]}'])
def test_what_is_no_list_of_models_is_rejected(body: bytes) -> None:
    with pytest.raises(APIResponseError):
        codec_of("openai").decode_models(body)


@table("provider", RAW_TEXT)
def test_raw_text_providers_have_no_whole_reply(provider: str) -> None:
    assert codec_of(provider).whole_replies is False
    with pytest.raises(APIResponseError, match="no reply that is not a stream"):
        codec_of(provider).decode(b"text")


def test_every_recorded_request_is_json_in_utf8_without_spaces() -> None:
    for case in recordings("requests"):
        payload = json.loads(case.data)
        assert json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode() == case.data


def test_a_text_among_parts_goes_out_as_a_text_part_does() -> None:
    image = ImagePart(b"\x89PNG\r\n\x1a\n")
    for provider in every_provider():
        pairs: list[tuple[list[Any], list[Any]]] = [
            (["See ", "this."], [TextPart(text="See "), TextPart(text="this.")])
        ]
        if "image" in codec_of(provider).parts:
            pairs.append((["See ", image], [TextPart(text="See "), image]))
        for mixed, parts in pairs:
            plain = encoded(provider, Message("user", parts))
            for given in (Message("user", mixed), {"role": "user", "content": mixed}):
                assert encoded(provider, given) == encoded(provider, [given]) == plain, provider
