"""The decoder of raw-text replies: the HTTP body is the answer, and nothing else.

The wire: docs/protocols/raw-text.md, "Raw text".
"""

from __future__ import annotations

from collections.abc import Iterator

from llmclients.codecs.framing import TextDecoder
from llmclients.errors import AccessBlockedError, APIResponseError, InvalidRequestError
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk, make_chunk, make_text_chunk

__all__ = ["BLOCKED_NOTICE", "RawTextDecoder", "reject_tool_calls"]

BLOCKED_NOTICE = "sorry, 您的ip已由于触发防滥用检测而被封禁"
"""How the notice begins that yqcloud's backend sends, with status 200, to an address it has banned."""


class RawTextDecoder:
    """Text as it comes, then `stop`. There is no end mark: the body's clean end is the answer's.

    Args:
        blocked_notice: an answer that begins with this is no answer but a ban. Until it is clear whether it does, the
            text is held back, so that not a character of the notice is taken for an answer.
    """

    def __init__(self, blocked_notice: str = "") -> None:
        self._text = TextDecoder()
        self._notice = blocked_notice
        self._held = ""
        self._empty = True
        self.done = False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        try:
            for text in self._text.feed(data):
                yield from self._pass(text)
        except APIResponseError:
            yield from self._release()
            raise

    def finish(self) -> Iterator[Chunk]:
        yield from self._release()
        self._text.finish()
        if self._empty:
            raise APIResponseError("the answer is empty")
        self.done = True
        yield make_chunk(finish_reason="stop")

    def _pass(self, text: str) -> Iterator[Chunk]:
        if self._notice:
            text = self._held + text
            if text.startswith(self._notice):
                raise AccessBlockedError(
                    "the service says that its abuse detection has blocked this IP address; another one may work",
                    status_code=200,
                    body=text,
                )
            if self._notice.startswith(text):
                self._held = text
                return
            self._held = self._notice = ""
        yield self._chunk(text)

    def _release(self) -> Iterator[Chunk]:
        held, self._held = self._held, ""
        if held:
            yield self._chunk(held)

    def _chunk(self, text: str) -> Chunk:
        self._empty = False
        return make_text_chunk(text, None, None, None)


def reject_tool_calls(request: ChatRequest) -> None:
    """Raise InvalidRequestError for messages whose tool calls a prompt text would silently lose."""
    for index, message in enumerate(request.messages):
        if message.tool_calls or message.tool_call_id:
            raise InvalidRequestError(f"messages[{index}]: this provider cannot carry tool calls", argument="messages")
