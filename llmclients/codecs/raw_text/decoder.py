"""The decoder of raw-text replies: the HTTP body is the answer, and nothing else.

The wire: docs/protocols/raw-text.md, "Raw text".
"""

from __future__ import annotations

from collections.abc import Iterator

from llmclients.codecs.base import page_error
from llmclients.codecs.framing import TextDecoder
from llmclients.errors import AccessBlockedError, APIResponseError, InvalidRequestError
from llmclients.types.request import ChatRequest
from llmclients.types.response import Chunk, make_chunk, make_text_chunk

__all__ = ["BLOCKED_NOTICE", "RawTextDecoder", "reject_tool_calls"]

BLOCKED_NOTICE = "sorry, 您的ip已由于触发防滥用检测而被封禁"
"""How the notice begins that yqcloud's backend sends, with status 200, to an address it has banned."""


# Theory of operation
#
# Two things that services and those in front of them send with status 200 are no answers: the notice of a ban, which is
# known by its words, and a page (a login, a challenge, a proxy's regrets), which is known by its label and by how it
# begins. Until it is clear that the text is neither, its beginning is held back in `_held`. A model may well answer
# with a page, so one that is labelled as plain text, as bytes or as a stream is an answer.

_PLAIN_LABELS = frozenset({"text/plain", "application/octet-stream", "text/event-stream", "text/markdown"})
_PAGE_BEGINS = ("<!doctype html", "<html")
_PAGE_HEAD = 16 * 1024
"""Characters of a page in which its title is looked for."""


class RawTextDecoder:
    """Text as it comes, then `stop`. There is no end mark: the body's clean end is the answer's.

    Args:
        content_type: the reply's, as sent.
        blocked_notice: an answer that begins with this is no answer but a ban. Until it is clear whether it does, the
            text is held back, so that not a character of the notice is taken for an answer.
    """

    def __init__(self, content_type: str = "text/plain", blocked_notice: str = "") -> None:
        self._text = TextDecoder()
        self._notice = blocked_notice
        label = content_type.partition(";")[0].strip().lower()
        self._page_begins = () if label in _PLAIN_LABELS else _PAGE_BEGINS
        self._held = ""
        self._is_page = False
        self._empty = True
        self.done = False

    def feed(self, data: bytes) -> Iterator[Chunk]:
        try:
            for text in self._text.feed(data):
                yield from self._pass(text)
        except APIResponseError:
            if not self._is_page:
                yield from self._release()
            raise

    def finish(self) -> Iterator[Chunk]:
        if self._is_page:
            raise self._page()
        yield from self._release()
        self._text.finish()
        if self._empty:
            raise APIResponseError("the answer is empty")
        self.done = True
        yield make_chunk(finish_reason="stop")

    def _pass(self, text: str) -> Iterator[Chunk]:
        if self._is_page or self._notice or self._page_begins:
            text = self._held + text
            if self._is_open(text):
                self._held = text
                return
            self._held = self._notice = ""
            self._page_begins = ()
        yield self._chunk(text)

    def _is_open(self, text: str) -> bool:
        """Whether what has come may still be no answer.

        Raises:
            APIError: it is none.
        """
        if self._notice and text.startswith(self._notice):
            raise AccessBlockedError(
                "the service says that its abuse detection has blocked this IP address; another one may work",
                status_code=200,
                body=text,
            )
        begin = text[:_PAGE_HEAD].lstrip()[:20].lower()
        self._is_page = self._is_page or (bool(self._page_begins) and begin.startswith(_PAGE_BEGINS))
        if self._is_page:
            if "</title>" in text[-200:].lower() or len(text) > _PAGE_HEAD:
                self._held = text
                raise self._page()
            return True
        may_be_page = len(text) <= _PAGE_HEAD and any(known.startswith(begin) for known in self._page_begins)
        return may_be_page or bool(self._notice and self._notice.startswith(text))

    def _page(self) -> APIResponseError:
        return page_error(self._held.encode("utf-8", "replace"), "the answer", expected="text")

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
