"""What a shell, a log, a failing test, a notebook and rich show of an object: short, readable, and without secrets."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import sys
import types
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from rich.console import Console

from llmclients import (
    AsyncClient,
    ChatRequest,
    ChatResponse,
    Chunk,
    Client,
    Conversation,
    FilePart,
    ImagePart,
    Message,
    OtherPart,
    TextPart,
    TokenLogprob,
    Tool,
    ToolCall,
    ToolCallDelta,
    Turn,
    Usage,
)
from llmclients.transports.mock import Cut, MockTransport, Reply
from llmclients.types.base import Model
from llmclients.types.response import make_chunk, make_usage

LONG = "Once upon a time there was a bear. " * 1_000
SECRET = "sk-do-not-show"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
CALL = ToolCall("call_1", "weather", {"city": "Oslo"})
COUNTS = make_usage(24, 8, 32)

REPRS: list[tuple[Any, str]] = [
    (
        ChatResponse("Rome.", finish_reason="stop", provider="openai", model="m", usage=COUNTS, raw={"key": SECRET}),
        "ChatResponse('Rome.', finish_reason='stop', provider='openai', model='m', usage=24+8 tokens)",
    ),
    (
        ChatResponse(tool_calls=[CALL], finish_reason="tool_calls", logprobs=[TokenLogprob("a", -1.0)]),
        """ChatResponse('', tool_calls=[ToolCall(id='call_1', name='weather', arguments='{"city": "Oslo"}')], """
        "finish_reason='tool_calls')",
    ),
    (ChatResponse(reasoning="Hm."), "ChatResponse('', reasoning='Hm.')"),
    (ChatResponse("a", other_parts=[OtherPart("image/png", SECRET)]), "ChatResponse('a', other_parts=[OtherPart(kind='image/png')])"),
    (ChatResponse("a", usage=Usage(output_tokens=8)), "ChatResponse('a', usage=?+8 tokens)"),
    (ChatResponse("a", usage=Usage(total_tokens=8)), "ChatResponse('a', usage=8 tokens)"),
    (ChatResponse("a", usage=Usage()), "ChatResponse('a')"),
    (make_chunk("Hel", model="m", id="chatcmpl-1", raw={"key": SECRET}), "Chunk('Hel', model='m')"),
    (make_chunk(finish_reason="stop", usage=COUNTS), "Chunk('', finish_reason='stop', usage=24+8 tokens)"),
    (Chunk(restarted=True), "Chunk('', restarted=True)"),
    (
        make_chunk(tool_calls=[ToolCallDelta(index=1, name="f")]),
        "Chunk('', tool_calls=[ToolCallDelta(index=1, name='f')])",
    ),
    (Message("user", "Hi"), "Message('user', 'Hi')"),
    (Message("assistant", None, tool_calls=[]), "Message('assistant', None, tool_calls=[])"),
    (Message("tool", "12 °C", tool_call_id="call_1"), "Message('tool', '12 °C', tool_call_id='call_1')"),
    (Message("assistant", "a", provider_data={"key": SECRET}), "Message('assistant', 'a')"),
    (
        Message("user", ["Look:", ImagePart(PNG)]),
        "Message('user', [TextPart(text='Look:'), ImagePart(data=<108 bytes>, media_type='image/png')])",
    ),
    (ImagePart(f"https://{SECRET}@a.example/b.png?signature={SECRET}"), "ImagePart(url='https://a.example/b.png?…')"),
    (ImagePart("https://a.example/b.png", detail="low"), "ImagePart(url='https://a.example/b.png', detail='low')"),
    (FilePart(b"text", name="a.txt"), "FilePart(data=<4 bytes>, media_type='text/plain', name='a.txt')"),
    (TextPart(text="it's"), """TextPart(text="it's")"""),
    (COUNTS, "Usage(input_tokens=24, output_tokens=8, total_tokens=32)"),
    (Usage(), "Usage()"),
    (Turn(provider="openai", usage=COUNTS), f"Turn(provider='openai', usage={COUNTS!r})"),
    (ChatRequest.from_messages("Hi", temperature=0), "ChatRequest(messages=[Message('user', 'Hi')], temperature=0)"),
    (Conversation(provider="openai"), "Conversation(provider='openai')"),
    (
        Conversation(provider="openai", model="m", system="Be brief.", messages=[Message("user", "Hi")], state={"k": SECRET}),
        "Conversation(provider='openai', model='m', system='Be brief.', messages=[Message('user', 'Hi')])",
    ),
    (
        Conversation("openai", messages=[Message("user", "Q"), Message("assistant", "A")], turns=[Turn(usage=COUNTS)]),
        "Conversation(provider='openai', messages=[… 1 more, Message('assistant', 'A')], usage=24+8 tokens)",
    ),
]  # fmt: skip


def test_a_repr_shows_what_counts_and_no_secret() -> None:
    for value, expected in REPRS:
        assert repr(value) == expected
        assert repr([value]) == f"[{expected}]"
    for made in (Client, AsyncClient):
        client = made("openai/gpt-4.1-mini", api_key=SECRET, headers={"X-Key": SECRET}, transport=MockTransport())
        assert repr(client) == f"{made.__name__}('openai/gpt-4.1-mini')"


def test_print_shows_the_text_of_what_has_one_and_else_the_repr() -> None:
    for value, expected in REPRS:
        has_text = isinstance(value, (ChatResponse, Chunk, Message))
        assert str(value) == (value.text if has_text else expected)


HUGE: list[Model] = [
    ChatResponse(LONG, reasoning=LONG, model=LONG, provider=LONG, finish_reason="length", usage=COUNTS, parsed=LONG),
    ChatResponse("\n\x1b\U000e0001" * 10_000, raw=LONG, id=LONG, request_id=LONG),
    ChatResponse(tool_calls=[ToolCall(LONG, LONG, LONG)] * 1000, usage=make_usage(10**30, 10**30), other_parts=[OtherPart(LONG)] * 9),
    make_chunk(LONG, role=LONG, reasoning=LONG, model=LONG, tool_calls=[ToolCallDelta(0, LONG, LONG, LONG)] * 99),
    Message("user", [LONG, TextPart(text=LONG), *[ImagePart(PNG)] * 1000, ImagePart(f"https://a.example/{LONG}")]),
    Message("tool", LONG, name=LONG, tool_call_id=LONG, is_error=True),
    ToolCall(LONG, LONG, LONG),
    FilePart(PNG, name=LONG, media_type=LONG),
    OtherPart(LONG, LONG),
    TokenLogprob(LONG, -1.0, [TokenLogprob(LONG, -2.0)] * 99),
    Tool("f", LONG, {"properties": {LONG: {"type": LONG}}}),
    Tool("f", None, {LONG: {"a": [{"b": LONG}] * 99}}),
    ChatRequest.from_messages(
        [LONG] * 99, model=LONG, temperature=0, top_p=1, max_tokens=9, stop=[LONG] * 4, seed=1, presence_penalty=1.5,
        frequency_penalty=1.5, reasoning_effort=LONG, logprobs=True, top_logprobs=5, extra={LONG: LONG, "n": 10**5000},
    ),
    Conversation(LONG, LONG, LONG, [Message("user", LONG)] * 9, turns=[Turn(LONG, LONG, "stop", COUNTS)]),
    Turn(LONG, LONG, "stop", make_usage(10**50, 10**50, 10**50, 10**50, 10**50, 10**50)),
]  # fmt: skip


def test_a_repr_fits_in_two_lines_whatever_it_holds() -> None:
    for value in HUGE:
        assert 100 < len(repr(value)) <= 200, repr(value)
        assert repr(value).isprintable()
        assert repr(value).endswith(")")
        assert "…" in repr(value)


def test_room_goes_to_the_long_values_when_the_short_ones_are_whole() -> None:
    shown = repr(ChatResponse(LONG, finish_reason="stop", provider="openai", model="m", usage=COUNTS))

    assert shown.startswith("ChatResponse('Once upon a time there was a bear. Once upon")
    assert shown.endswith("'…, finish_reason='stop', provider='openai', model='m', usage=24+8 tokens)")
    assert len(shown) == 200


@given(st.text(), st.none() | st.text(), st.none() | st.text())
def test_a_cut_text_is_told_from_one_that_ends_in_an_ellipsis(
    text: str, model: str | None, reasoning: str | None
) -> None:
    shown = repr(make_chunk(text, model=model, reasoning=reasoning))

    assert len(shown) <= 200
    if len(shown) < 190:
        assert shown.startswith(f"Chunk({text!r}")


def test_somebody_else_s_object_does_not_break_a_repr() -> None:
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError

        def __eq__(self, other: object) -> bool:
            raise RuntimeError

    class Lines:
        def __repr__(self) -> str:
            return "a\n   b"

    assert repr(OtherPart("a")) == "OtherPart(kind='a')"
    shown = repr(ChatRequest.from_messages("Hi", extra={"a": Broken(), "b": Lines()}))
    assert shown == "ChatRequest(messages=[Message('user', 'Hi')], extra={'a': <Broken>, 'b': a b})"


def test_an_object_in_itself_ends() -> None:
    loop: dict[str, Any] = {}
    loop["loop"] = loop
    request = ChatRequest.from_messages("Hi")
    request.extra = loop

    assert len(repr(request)) <= 200


def test_pydantic_s_own_hooks_give_the_same() -> None:
    response = ChatResponse(LONG, finish_reason="stop", raw={"key": SECRET})

    pairs = list(response.__repr_args__())
    assert [name for name, _ in pairs] == [None, "finish_reason"]
    assert f"ChatResponse({pairs[0][1]!r}, finish_reason={pairs[1][1]!r})" == repr(response)
    assert [repr(value[1] if isinstance(value, tuple) else value) for value in response.__rich_repr__()] == [
        repr(value) for _, value in pairs
    ]
    assert sum(len(str(piece)) for piece in response.__pretty__(repr)) < 250


# --- streams --------------------------------------------------------------------------------------------------------


def event(text: str, **choice: Any) -> str:
    return f"data: {json.dumps({'choices': [{'delta': {'content': text}, **choice}]})}\n\n"


END = event("", finish_reason="stop") + "data: [DONE]\n\n"


def streams() -> list[MockTransport]:
    whole = Reply(chunks=[event("Once"), event(" upon"), END])
    return [MockTransport([whole]), MockTransport([whole]), MockTransport([Reply(chunks=[event("Once"), Cut()])])]


STATES = [
    "(nothing yet, provider='openai', model='m')",
    "(open, 'Once', provider='openai', model='m')",
    "(complete, 'Once upon', finish_reason='stop', provider='openai', model='m')",
    "(closed, 'Once', provider='openai', model='m')",
    "(closed, 'Once', provider='openai', model='m')",
]


def test_a_stream_s_repr_shows_how_far_it_has_come() -> None:
    whole, left, broken = (Client("openai/m", api_key=SECRET, transport=one).stream("Hi") for one in streams())
    seen = [repr(whole)]
    next(whole)
    seen.append(repr(whole))
    list(whole)
    seen.append(repr(whole))
    next(left)
    left.close()
    seen.append(repr(left))
    with pytest.raises(Exception, match="broke off"):
        list(broken)
    seen.append(repr(broken))

    assert seen == [f"Stream{state}" for state in STATES]


def test_so_does_an_async_one_s() -> None:
    async def main() -> list[str]:
        whole, left, broken = (AsyncClient("openai/m", api_key=SECRET, transport=one).stream("Hi") for one in streams())
        seen = [repr(whole)]
        await anext(whole)
        seen.append(repr(whole))
        _ = [chunk async for chunk in whole]
        seen.append(repr(whole))
        await anext(left)
        await left.close()
        seen.append(repr(left))
        with pytest.raises(Exception, match="broke off"):
            _ = [chunk async for chunk in broken]
        return [*seen, repr(broken)]

    assert asyncio.run(main()) == [f"AsyncStream{state}" for state in STATES]


# --- notebooks and rich ---------------------------------------------------------------------------------------------

FACTS = "\n\n<small>openai · gpt&#95;4 · stop · 24 + 8 tokens</small>"
MARKDOWN = [
    ("# Rome\n\nIt *is*: 1 < 2 & `a < b`\n", "# Rome\n\nIt *is*: 1 < 2 & `a < b`"),
    ("```python\nprint(1 < 2)\n```\nSo.", "```python\nprint(1 < 2)\n```\nSo."),
    ("```python\nprint(1", "```python\nprint(1\n```"),
    ("````\n```\n````", "````\n```\n````"),
    ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
    ("a <!-- b -->", "a &lt;!-- b -->"),
    ("Use `<b>_x_</b>`.", "Use <code>&lt;b&gt;&#95;x&#95;&lt;/b&gt;</code>."),
    ("```html\n<b>\n\n</b>\n```\nSo.", "<pre><code>&lt;b&gt;\n\n&lt;/b&gt;\n</code></pre>\n\nSo."),
    ("```html\n<b>", "<pre><code>&lt;b&gt;\n</code></pre>"),
    ("- ```\n  <b>\n  ```", "- ```\n  &lt;b>\n  ```"),
    ("\\`<b>`", "\\`&lt;b>`"),
    ("", ""),
]


def answer(text: str, **members: Any) -> ChatResponse:
    return ChatResponse(text, finish_reason="stop", provider="openai", model="gpt_4", usage=COUNTS, **members)


def test_a_notebook_shows_an_answer_as_markdown() -> None:
    for text, shown in MARKDOWN:
        assert answer(text)._repr_markdown_() == shown + FACTS
    assert ChatResponse("Hi")._repr_markdown_() == "Hi\n\n<small></small>"
    calls = ChatResponse(tool_calls=[CALL], model="<b>")._repr_markdown_()
    assert calls == "\n\n<small>&lt;b&gt; · calls weather</small>"


@given(st.text(st.sampled_from("`\n <b/>!?\\$~-|a")) | st.text())
def test_no_answer_runs_html_in_a_notebook(text: str) -> None:
    shown = answer(text)._repr_markdown_().removesuffix(FACTS)

    for own in ("<pre><code>", "</code></pre>", "<code>", "</code>"):
        shown = shown.replace(own, "")
    assert not any(f"<{letter}" in shown for letter in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ/!?")


def test_rich_prints_an_answer_as_markdown_and_is_loaded_by_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rich", "rich.markdown", "rich.text", "rich.console"):
        monkeypatch.setitem(sys.modules, name, None)  # its import fails
    response = answer("Use `<b>`, not <i>.\x1b[2J\n```\n<b>\n```")
    repr(response), response._repr_markdown_()
    with pytest.raises(ImportError):
        response.__rich__()

    def made(kind: str) -> Callable[..., Any]:
        return lambda *values, **options: (kind, *values, options)

    for name, kind in (("markdown", "Markdown"), ("text", "Text"), ("console", "Group")):
        monkeypatch.setitem(sys.modules, f"rich.{name}", types.SimpleNamespace(**{kind: made(kind)}))
    monkeypatch.setitem(sys.modules, "rich", types.SimpleNamespace())
    assert response.__rich__() == (
        "Group",
        ("Markdown", "Use `<b>`, not &lt;i>.[2J\n```\n<b>\n```", {}),
        ("Text", "openai · gpt_4 · stop · 24 + 8 tokens", {"style": "dim"}),
        {},
    )


def test_the_real_rich_prints_it() -> None:
    terminal = Console(width=80, record=True, file=io.StringIO())
    terminal.print(answer("# Rome\n\n- one\n- two"))
    terminal.print([answer(LONG)])
    shown = terminal.export_text()

    assert " • one" in shown
    assert "openai · gpt_4 · stop · 24 + 8 tokens" in shown
    assert len(shown) < 1000


# --- dir ------------------------------------------------------------------------------------------------------------


def test_dir_shows_the_library_s_own_names() -> None:
    for value, _ in REPRS:
        names = {name for name in dir(value) if not name.startswith("_")}
        own = {name for kind in type(value).__mro__ if kind.__module__.startswith("llmclients") for name in vars(kind)}
        own -= {"keys", *vars(BaseModel), *dir(BaseModel)}
        kept = {"model_copy", "model_dump", "model_dump_json", *(["copy"] if isinstance(value, Conversation) else [])}
        assert names == {name for name in own if not name.startswith("_")} | set(type(value).model_fields) | kept
        assert "pydantic" not in " ".join(dir(value))
    assert "finish_reason" in dir(ChatResponse())
    assert {"model_validate_json", "model_fields"} <= set(dir(ChatResponse)), "the class has all"


def test_mocks_take_an_answer_as_their_pattern() -> None:
    response = answer("Rome.")

    for made in (mock.create_autospec(response), mock.create_autospec(ChatResponse, instance=True)):
        made.model_dump.return_value = {}
        assert made.model_dump() == {}
        with pytest.raises(AttributeError):
            made.txet  # noqa: B018
    assert mock.MagicMock(spec=response).message
    assert copy.copy(response) == response
