"""How a server's chat completions differ from the others': flags, so that no codec branches on a name (PROTOCOLS 9)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from llmclients.codecs.base import PartRule
from llmclients.codecs.openai_chat.request import FIELDS

__all__ = ["Dialect"]

_MOST_BYTES = 50 * 1024 * 1024
"""What OpenAI takes in one request."""

_IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})
_SOUNDS = frozenset({"audio/wav", "audio/wave", "audio/x-wav", "audio/mpeg", "audio/mp3"})


@dataclass(frozen=True, slots=True)
class Dialect:
    """The habits of one server. The defaults are those of most that copy OpenAI; all values are plain data.

    Attributes:
        max_tokens: what the field is called.
        own_max_tokens: what it is called at the provider's own service, if there otherwise than elsewhere.
        seed: what that field is called.
        required: the word of `tool_choice` for "any tool, but one".
        named_choice: whether `tool_choice` can name a tool. Where not, that tool alone is sent, as required.
        without: the fields of `ChatRequest` that the server refuses or does not heed.
        parts: what a message may have besides text: `image`, `image-url` (an address), `audio`, `file`, `file-url`.
        developer: whether there is that role. Where not, it is `system`.
        names: the roles whose messages may have a `name`.
        reasoning: the member in which an assistant message with tool calls brings its reasoning back.
        echoed: the member of an assistant message that goes back as it came, a list: signed or encrypted reasoning.
        short_call_ids: whether ids of tool calls must be nine letters and digits. Others are replaced by such.
        stream_options: whether usage in a stream has to be asked for.
        done_required: whether a stream without `[DONE]` was cut. Where not, its finish reason is the end mark.
        key_header: the header that has the key. `Authorization` has `Bearer` before it.
        wrong_key: words by which a 400 means a wrong key.
    """

    max_tokens: str = "max_tokens"
    own_max_tokens: str | None = None
    seed: str = "seed"
    required: str = "required"
    named_choice: bool = True
    without: Collection[str] = ()
    parts: Collection[str] = ("image", "image-url", "audio", "file")
    developer: bool = True
    names: Collection[str] = ("system", "developer", "user", "assistant", "tool")
    reasoning: str | None = None
    echoed: str | None = None
    short_call_ids: bool = False
    stream_options: bool = True
    done_required: bool = True
    key_header: str = "Authorization"
    wrong_key: str | None = None

    @property
    def fields(self) -> frozenset[str]:
        """The fields of `ChatRequest` that the server has."""
        return frozenset(FIELDS).difference(self.without)

    @property
    def part_rules(self) -> Mapping[str, PartRule]:
        """What it takes of each kind of part."""
        types = {"image": _IMAGES, "audio": _SOUNDS, "file": frozenset[str]()}
        return {
            kind: PartRule(types[kind], urls=f"{kind}-url" in self.parts, max_bytes=_MOST_BYTES)
            for kind in types
            if kind in self.parts
        }
