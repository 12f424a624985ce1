"""`Choice`: one of several answers to one request; and what answers consist of besides text."""

# Without `from __future__ import annotations`: the head of `types/base.py` says why.

from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import Field

from llmclients.types.base import Model
from llmclients.types.messages import Message, ToolCall
from llmclients.types.parsed import HasParsed, ParsedT
from llmclients.types.printing import Pairs
from llmclients.types.text_model import TextModel

__all__ = ["Choice", "FinishReason", "OtherPart", "TokenLogprob", "as_message", "weightier_reason"]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "pause", "error"]
"""Why an answer ended, in the library's words. Only `stop` is the end of a whole answer.

`pause`: the provider has interrupted a long turn, and goes on when its answer is sent back as it is. `error`: anything
that the library has no word for.
"""

_WEIGHTS: dict[FinishReason | None, int] = {None: 0, "stop": 1, "tool_calls": 2}  # all others 3


def weightier_reason(found: FinishReason | None, other: FinishReason | None) -> FinishReason | None:
    """Which one counts of two finish reasons of an answer: the first, unless the other one has more weight.

    Some servers write `stop` behind the reason, or in every event before it. An answer that was cut is to say so.
    """
    return other if _WEIGHTS.get(other, 3) > _WEIGHTS.get(found, 3) else found


class TokenLogprob(Model):
    """A token's natural log probability; `top`: the likeliest tokens in its place, as far as they were asked for."""

    token: str
    logprob: float
    top: "list[TokenLogprob]" = Field(default_factory=list)


class OtherPart(Model):
    """A part of an answer that is not text: an image, sound, a file. The library hands it on, and does not read it.

    Attributes:
        kind: what it is: its media type where the provider tells it (`image/png`), else the provider's word.
        raw: the part as the provider sent it, parsed. In a stream it may be a piece of one.
    """

    kind: str
    raw: Any = Field(default=None, repr=False)


class Choice(HasParsed[ParsedT], TextModel):
    """One of the answers to a request, as `ChatResponse.choices` has them. `str(choice)` is its text, and so on.

    Attributes:
        index: its number, from 0, as the provider counts them.
        text: the answer.
        reasoning: the model's reasoning, where the wire has it.
        tool_calls: the calls the model asks for.
        finish_reason: why it ended, in the library's words; None where the provider has not said that it is complete.
        parsed: the answer as the `response_format` asked for, or None.
        logprobs: of the text's tokens, where they were asked for.
        provider_data: what the provider wants back unchanged in the next turn; `message` has it.
        other_parts: what of the answer is not text, such as images.
    """

    index: int = 0
    text: str = ""
    reasoning: str | None = None
    tool_calls: list[ToolCall] = Field(default=[])
    finish_reason: FinishReason | None = None
    if TYPE_CHECKING:
        parsed: ParsedT = cast(Any, None)
    else:
        parsed: Any = None
    logprobs: list[TokenLogprob] | None = None
    provider_data: dict[str, Any] | None = None
    other_parts: list[OtherPart] = Field(default=[])

    @property
    def message(self) -> Message:
        """The answer as a message, to go on with: `messages + [choice.message]`."""
        return as_message(self.text, self.tool_calls, self.reasoning, self.provider_data)

    def _instead(self) -> str:
        return "its text is in `.text`"

    def _shown(self) -> Pairs:
        yield None, self.index
        yield None, self.text
        for name in ("tool_calls", "other_parts", "finish_reason"):
            if value := getattr(self, name):
                yield name, value


def as_message(
    text: str, tool_calls: list[ToolCall], reasoning: str | None, provider_data: dict[str, Any] | None
) -> Message:
    """An answer as the assistant's message. One that consists of calls alone has no content."""
    content = text or None if tool_calls else text
    return Message(
        "assistant", content, tool_calls=tool_calls or None, reasoning=reasoning, provider_data=provider_data
    )
