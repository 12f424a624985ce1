"""Conversations, replies and streams as Anthropic has them, and the official SDK without a network."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import httpx2
from hypothesis import strategies as st

from .later import later

if TYPE_CHECKING:
    import anthropic
else:
    anthropic = later("anthropic")

MODEL = "claude-example-4-5"
"""Of a version that thinks by a budget, but no model that there is: the SDK warns of those that are to be retired."""

Block = dict[str, Any]


def sdk(answer: Callable[[httpx2.Request], httpx2.Response], **arguments: Any) -> anthropic.Anthropic:
    """The SDK's client; `answer` is all the network there is."""
    http_client = httpx2.Client(transport=httpx2.MockTransport(answer), trust_env=False)
    arguments = arguments or {"api_key": "sk-ant-key"}
    return anthropic.Anthropic(
        http_client=http_client, max_retries=0, base_url="https://api.anthropic.com", **arguments
    )


def reply(body: bytes | Iterable[bytes], content_type: str) -> httpx2.Response:
    return httpx2.Response(200, headers={"content-type": content_type}, content=body)


# --- text and JSON --------------------------------------------------------------------------------------------------

WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
TEXT = WORDS.filter(lambda text: bool(text.strip()))
NAMES = st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True).filter(
    lambda name: name not in ("auto", "none", "required")
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=3)
BYTES = st.binary(min_size=1, max_size=20)


# --- conversations --------------------------------------------------------------------------------------------------


def text_block(text: str) -> Block:
    return {"type": "text", "text": text}


def _base64(block_type: str, media_type: str) -> st.SearchStrategy[Block]:
    return BYTES.map(
        lambda data: {
            "type": block_type,
            "source": {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode()},
        }
    )


def _by_url(block_type: str) -> st.SearchStrategy[Block]:
    return st.just({"type": block_type, "source": {"type": "url", "url": "https://example.com/x"}})


IMAGES = st.sampled_from(["image/png", "image/jpeg", "image/gif", "image/webp"]).flatmap(
    lambda media_type: _base64("image", media_type)
) | _by_url("image")
DOCUMENTS = st.builds(
    lambda document, title: document if title is None else {**document, "title": title},
    _base64("document", "application/pdf")
    | _by_url("document")
    | WORDS.map(
        lambda text: {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": text}}
    ),
    st.none() | WORDS,
)
PARTS = st.lists(TEXT.map(text_block) | IMAGES | DOCUMENTS, min_size=1, max_size=3)
USES = st.builds(
    lambda id, name, input: {"type": "tool_use", "id": id, "name": name, "input": input}, NAMES, NAMES, OBJECTS
)
THOUGHTS = st.builds(
    lambda thinking, signature: {"type": "thinking", "thinking": thinking, "signature": signature}, WORDS, NAMES
) | NAMES.map(lambda data: {"type": "redacted_thinking", "data": data})


@st.composite
def results(draw: st.DrawFn) -> Block:
    block: Block = {"type": "tool_result", "tool_use_id": draw(NAMES)}
    content = draw(st.none() | TEXT | PARTS)
    if content is not None:
        block["content"] = content
    if (failed := draw(st.none() | st.booleans())) is not None:
        block["is_error"] = failed
    return block


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Turns that alternate, as the SDK is given them; plain text where a turn has nothing else."""
    turns: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, 4))):
        if index % 2:
            role, blocks = (
                "assistant",
                draw(st.lists(THOUGHTS, max_size=1)) + draw(st.lists(TEXT.map(text_block), max_size=2)),
            )
            blocks += draw(st.lists(USES, min_size=not blocks, max_size=2))
        else:
            role, blocks = "user", draw(st.lists(results(), max_size=2))
            blocks += draw(PARTS if not blocks else st.just([]) | PARTS)
        only_text = len(blocks) == 1 and blocks[0]["type"] == "text"
        turns.append({"role": role, "content": blocks[0]["text"] if only_text else blocks})
    return turns


# --- replies and streams --------------------------------------------------------------------------------------------

COUNTS = st.integers(0, 10**6)
CALLS = st.builds(
    lambda id, name, input: {"type": "tool_use", "id": id, "name": name, "input": input}, NAMES, NAMES, OBJECTS
)
CONTENT = st.lists(WORDS.map(text_block) | THOUGHTS | CALLS, max_size=4)
STOP_REASONS = st.sampled_from(
    ["end_turn", "stop_sequence", "max_tokens", "tool_use", "refusal", "pause_turn", "model_context_window_exceeded"]
)
USAGE = st.fixed_dictionaries(
    {"input_tokens": COUNTS, "output_tokens": COUNTS},
    optional={
        "cache_read_input_tokens": COUNTS,
        "cache_creation_input_tokens": COUNTS,
        "output_tokens_details": st.fixed_dictionaries({"thinking_tokens": COUNTS}),
    },
)
LATER_USAGE = st.fixed_dictionaries(
    {"output_tokens": COUNTS},
    optional={"input_tokens": COUNTS, "cache_read_input_tokens": COUNTS | st.none()},
)


def message(content: Sequence[Block], stop_reason: str | None, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": usage,
    }


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """A whole stream, its texts and JSON in pieces, with pings and padding where they may be."""
    out: list[str] = []

    def event(event_type: str, **members: Any) -> None:
        if draw(st.integers(0, 7)) == 0:
            out.append('event: ping\ndata: {"type": "ping"}\n\n')
        data = json.dumps({"type": event_type, **members}, ensure_ascii=draw(st.booleans()))
        out.append(f"event: {event_type}\ndata: {data[:-1]}{' ' * draw(st.integers(0, 3))}}}\n\n")

    def delta(index: int, delta_type: str, **members: Any) -> None:
        event("content_block_delta", index=index, delta={"type": delta_type, **members})

    def pieces(text: str) -> list[str]:
        places = sorted(draw(st.sets(st.integers(0, len(text)), max_size=3)))
        return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]

    event("message_start", message=message([], None, draw(USAGE)))
    for index, block in enumerate(draw(CONTENT)):
        block_type = block["type"]
        empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
        event("content_block_start", index=index, content_block=block | empty.get(block_type, {}))
        if block_type == "text":
            for piece in pieces(block["text"]):
                delta(index, "text_delta", text=piece)
        elif block_type == "thinking":
            for piece in pieces(block["thinking"]):
                delta(index, "thinking_delta", thinking=piece)
            delta(index, "signature_delta", signature=block["signature"])
        elif block_type == "tool_use" and (block["input"] or draw(st.booleans())):
            for piece in pieces(json.dumps(block["input"])):
                delta(index, "input_json_delta", partial_json=piece)
        event("content_block_stop", index=index)
    usage = draw(LATER_USAGE)
    event("message_delta", delta={"stop_reason": draw(STOP_REASONS), "stop_sequence": None}, usage=usage)
    event("message_stop")
    return "".join(out).encode()


@st.composite
def cut(draw: st.DrawFn, data: bytes) -> list[bytes]:
    places = sorted(draw(st.sets(st.integers(0, len(data)), max_size=8)))
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]
