"""`Answer`: what a scripted reply says, in the library's own words, before a wire's writer makes bytes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from llmclients.errors import APIError
from llmclients.transports.mock import Delay, MockRequest, ScriptError
from llmclients.types.messages import ToolCall
from llmclients.types.response import FinishReason, Usage

__all__ = ["Answer", "Counts", "Piece"]

Counts = Usage | Literal["words"] | None
"""Token counts; None for none; or `"words"`: a token for each word, on wires that have token counts."""

Piece = str | Delay | APIError
"""A piece of the answer's text, silence, or how it breaks off."""


@dataclass(frozen=True)
class Answer:
    """One answer. `for_request` completes it.

    Attributes:
        pieces: the text, as a stream has it, with silence and breaks between.
        tool_calls: the calls that it asks for; those with an empty id get one.
        reasoning: the model's reasoning.
        finish_reason: why it ends; None: by what it has.
        usage: the token counts.
        model: the model that answers; "": the one that is asked.
        id: the answer's id; "": a number.
        other_texts: those of further answers, for a request with `n`.
    """

    pieces: tuple[Piece, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    reasoning: str = ""
    finish_reason: FinishReason | None = None
    usage: Counts = "words"
    model: str = ""
    id: str = ""
    other_texts: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """All of the text."""
        return "".join(piece for piece in self.pieces if isinstance(piece, str))

    @property
    def fault(self) -> APIError | None:
        """How it breaks off, if it does."""
        return next((piece for piece in self.pieces if isinstance(piece, APIError)), None)

    @property
    def reason(self) -> FinishReason:
        """Why it ends."""
        return self.finish_reason or ("tool_calls" if self.tool_calls else "stop")

    @property
    def counts(self) -> dict[str, int]:
        """The token counts that there are, by their names in `Usage`."""
        return self.usage.model_dump(exclude_none=True) if isinstance(self.usage, Usage) else {}

    def for_request(self, request: MockRequest, number: int) -> Answer:
        """The whole answer to a request, the transport's `number`th: with ids, a model and token counts.

        Raises:
            ScriptError: the request asks which models there are.
        """
        if request.is_listing:
            raise ScriptError(
                "the client asks which models there are, and the script has an answer: use Reply.models()"
            )
        calls = tuple(
            call if call.id else ToolCall(f"call_{number}_{place}", call.name, call.arguments_text)
            for place, call in enumerate(self.tool_calls)
        )
        usage = self.usage
        if usage == "words":
            asked = sum(len(message.text.split()) for message in request.messages)
            answered = len(" ".join((self.text, *self.other_texts)).split()) or 1
            usage = Usage(input_tokens=asked, output_tokens=answered, total_tokens=asked + answered)
        return replace(
            self, tool_calls=calls, usage=usage, model=self.model or request.model, id=self.id or f"mock_{number}"
        )

    def without_usage(self) -> Answer:
        """The same, for a wire that tells no token counts."""
        return replace(self, usage=None)
