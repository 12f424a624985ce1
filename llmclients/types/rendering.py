"""How a notebook and a terminal show an answer: its Markdown, and a small line of facts. Loaded when one is shown."""

# A notebook runs the HTML that it finds in Markdown, scripts included, and an answer may repeat what a stranger wrote.
# So HTML is shown, never handed on: each `<` that could begin a tag is written as `&lt;`, wherever it stands. Inside
# code, Markdown would show those four letters; a code block or span that has such a `<` is therefore written as HTML of
# our own, its whole content escaped. Were a block's borders misread, the text would look odd, but nothing would run.

from __future__ import annotations

import html
import re
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmclients.types.response import ChatResponse

__all__ = ["as_markdown", "as_rich"]

_CODE = re.compile(
    r"^(?P<fence>```+)[^`\n]*\n(?P<block>(?:.*\n)*?)(?:(?P<end>(?P=fence)`*[ \t]*$)|\Z)"
    r"|(?<![`\\])(?P<marks>`+)(?P<span>[^`\n]+)(?P=marks)(?!`)",
    re.MULTILINE,
)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_MARKUP = re.compile(r"[\\`*_~$\[\]|]")
_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])


def facts(response: ChatResponse) -> str:
    """Whom it is from, how it ended, and its tokens, as far as they are known."""
    usage = response.usage
    calls = [call.name for call in response.tool_calls]
    members = [
        response.provider,
        response.model,
        response.finish_reason,
        f"calls {', '.join(calls)}" if calls else None,
        repr(usage._tokens).replace("+", " + ") if usage is not None and usage._tokens is not None else None,
    ]
    return " · ".join(filter(None, members))


def as_markdown(response: ChatResponse) -> str:
    """The answer as Markdown that runs nothing, and the facts below."""
    small = _escape_markup(facts(response))
    return f"{_shown_tags(response.text, _code_as_html)}\n\n<small>{small}</small>"


def as_rich(response: ChatResponse) -> Any:
    """The same for rich, which is at work when this is called. Control characters are for nobody's terminal."""
    markdown, text, console = (import_module(f"rich.{name}") for name in ("markdown", "text", "console"))
    return console.Group(
        markdown.Markdown(_shown_tags(response.text, lambda code: code[0]).translate(_CONTROLS)),
        text.Text(facts(response).translate(_CONTROLS), style="dim"),
    )


def _shown_tags(text: str, write_code: Callable[[re.Match[str]], str]) -> str:
    """Markdown that shows the tags in its text, with its code as `write_code` writes it."""
    text = text.rstrip("\n") + "\n"
    written, end = [], 0
    for code in _CODE.finditer(text):
        written += [_TAG.sub("&lt;", text[end : code.start()]), write_code(code)]
        end = code.end()
    written.append(_TAG.sub("&lt;", text[end:]))
    return "".join(written).rstrip()


def _code_as_html(code: re.Match[str]) -> str:
    """A code block or span without a tag as it is, but closed; another one as HTML."""
    block = code["block"]
    if block is None:
        return f"<code>{_escape_markup(code['span'])}</code>" if _TAG.search(code[0]) else code[0]
    if _TAG.search(code[0]):
        return f"<pre><code>{html.escape(block)}</code></pre>\n"
    return code[0] if code["end"] else f"{code[0]}{code['fence']}"


def _escape_markup(text: str) -> str:
    return _MARKUP.sub(lambda mark: f"&#{ord(mark[0])};", html.escape(text))
