"""`Dialect`: how one server's chat completions differ from the others', as data.

The wire: docs/protocols/openai-dialects.md, "Dialects of chat completions".
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypedDict

from llmclients.codecs.base import PartRule
from llmclients.errors import ConfigurationError
from llmclients.types.schema_rules import MAKERS, SchemaRules

__all__ = ["FIELDS", "Dialect", "DialectOptions"]

FIELDS = (
    "temperature",
    "top_p",
    "max_tokens",
    "stop",
    "seed",
    "presence_penalty",
    "frequency_penalty",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "logprobs",
    "top_logprobs",
    "n",
    "logit_bias",
    "user",
    "metadata",
    "service_tier",
    "verbosity",
    "prompt_cache_key",
)
"""The fields of `ChatRequest` that chat completions have, in the order in which they are sent."""

_MAX_BYTES = 50 * 1024 * 1024
"""What OpenAI takes in one request."""

_MEDIA_TYPES: Mapping[str, frozenset[str]] = {
    "image": frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"}),
    "audio": frozenset({"audio/wav", "audio/wave", "audio/x-wav", "audio/mpeg", "audio/mp3"}),
    "file": frozenset(),
}

_NAMES: Mapping[str, tuple[str, ...]] = {
    "unsupported": FIELDS,
    "parts": (*_MEDIA_TYPES, *(f"{kind}-url" for kind in _MEDIA_TYPES)),
    "named_roles": ("system", "developer", "user", "assistant", "tool"),
}
"""By attribute of `Dialect`: the names that may be in it."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one server takes and sends. The defaults are those of most that copy OpenAI; all values are plain data.

    Attributes:
        max_tokens_field: what the wire calls `max_tokens`.
        default_endpoint_max_tokens_field: what the provider's own service calls it, if that is another name.
        seed_field: what the wire calls `seed`.
        user_field: what the wire calls `user`.
        required_word: the value of `tool_choice` for "any tool, but one".
        named_choice: whether `tool_choice` can name a tool. Where not, that tool alone is sent, as required.
        unsupported: the fields of `ChatRequest` that the server rejects or ignores.
        logprobs_as_count: whether `logprobs` is a number on the wire, of how many likely tokens to tell, and
            `top_logprobs` is not there.
        stop_as_list: whether `stop` must be a list, also of one.
        parts: what a message may have besides text: `image`, `image-url` (an address), `audio`, `file`, `file-url`.
        developer_role: whether there is that role. Where not, it is `system`.
        named_roles: the roles whose messages may have a `name`.
        reasoning_field: the member in which an assistant message with tool calls brings its reasoning back.
        provider_data_field: the member of an assistant message that goes back as it came, a list: signed or encrypted
            reasoning.
        strict_rules: whose rules a strict schema keeps, a key of `llmclients.types.schema_rules.MAKERS`; None: nobody
            knows them, and what claims to be strict goes out as it is.
        default_endpoint_strict_rules: those of the provider's own service, if they are others.
        strict_members: whether the provider's own service refuses members of messages and calls that it does not know.
            Where not, those that came with a reply go back as they came.
        short_call_ids: whether ids of tool calls must be nine letters and digits. Others are replaced by such.
        stream_options: whether usage in a stream has to be asked for.
        done_required: whether a stream without `[DONE]` was cut. Where not, its finish reason is the end mark.
        key_header: the header that has the key. `Authorization` has `Bearer` before it.
        wrong_key_message: the part of a 400's message that says that the key is wrong.
    """

    max_tokens_field: str = "max_tokens"
    default_endpoint_max_tokens_field: str | None = None
    seed_field: str = "seed"
    user_field: str = "user"
    required_word: str = "required"
    named_choice: bool = True
    unsupported: Collection[str] = ()
    logprobs_as_count: bool = False
    stop_as_list: bool = False
    parts: Collection[str] = ("image", "image-url", "audio", "file")
    developer_role: bool = True
    named_roles: Collection[str] = _NAMES["named_roles"]
    reasoning_field: str | None = None
    provider_data_field: str | None = None
    strict_rules: str | None = "openai"
    default_endpoint_strict_rules: str | None = None
    strict_members: bool = False
    short_call_ids: bool = False
    stream_options: bool = True
    done_required: bool = True
    key_header: str = "Authorization"
    wrong_key_message: str | None = None

    def __post_init__(self) -> None:
        """Raise ConfigurationError for a name that no server has: a misspelt one would change nothing, in silence."""
        for attribute, known in _NAMES.items():
            given = getattr(self, attribute)
            unknown = [given] if isinstance(given, str) else sorted(set(given).difference(known))
            if unknown:
                raise ConfigurationError(
                    f"{attribute} is a list of {', '.join(known)}; not {', '.join(map(repr, unknown))}",
                    argument="dialect",
                )

    @property
    def fields(self) -> frozenset[str]:
        """The fields of `ChatRequest` that the server has."""
        return frozenset(FIELDS).difference(self.unsupported)

    @property
    def part_rules(self) -> Mapping[str, PartRule]:
        """What it takes of each kind of part."""
        return {
            kind: PartRule(media_types, urls=f"{kind}-url" in self.parts, max_bytes=_MAX_BYTES)
            for kind, media_types in _MEDIA_TYPES.items()
            if kind in self.parts
        }

    def schema_rules(self, *, is_default_endpoint: bool) -> SchemaRules | None:
        """What the server's strict mode takes; None where nobody knows."""
        maker = (self.default_endpoint_strict_rules if is_default_endpoint else None) or self.strict_rules
        return None if maker is None else MAKERS[maker]

    def wire_name(self, field: str, *, is_default_endpoint: bool) -> str:
        """What the server calls a field of `ChatRequest`."""
        if field == "seed":
            return self.seed_field
        if field == "user":
            return self.user_field
        if field == "max_tokens":
            # OpenAI's newer models reject the old name, most other servers know no other.
            return (self.default_endpoint_max_tokens_field if is_default_endpoint else None) or self.max_tokens_field
        return field


class DialectOptions(TypedDict, total=False):
    """The attributes of `Dialect`, each of which may be left out: so that type checkers see a wrong one."""

    max_tokens_field: str
    default_endpoint_max_tokens_field: str | None
    seed_field: str
    user_field: str
    required_word: str
    named_choice: bool
    unsupported: Collection[str]
    logprobs_as_count: bool
    stop_as_list: bool
    parts: Collection[str]
    developer_role: bool
    named_roles: Collection[str]
    reasoning_field: str | None
    provider_data_field: str | None
    strict_rules: str | None
    default_endpoint_strict_rules: str | None
    strict_members: bool
    short_call_ids: bool
    stream_options: bool
    done_required: bool
    key_header: str
    wrong_key_message: str | None
