"""`CustomInput`: the text of a custom tool's call, piece by piece, out of the arguments of the function that it is.

The arguments are JSON with the text as one member, and may be cut anywhere, inside an escape, too. They are read once,
and what is new in the text goes out. Where they turn out to be something else (a second text, no JSON), no more does:
what the text is then is known at the end, and said there.
"""

from __future__ import annotations

from llmclients.relay.codecs.openai_tools import INPUT, custom_input
from llmclients.types.partial_json import PartialJSON

__all__ = ["CustomInput"]

_COMPARED = 64  # characters before the new ones, by which it is known that they go on with what has gone out


class CustomInput:
    """One call's. `feed` for each piece of its arguments, then `rest`."""

    def __init__(self) -> None:
        self._reader: PartialJSON | None = PartialJSON()  # None: the rest is known at the end
        self._pieces: list[str] = []
        self._size = 0
        self._end = ""  # of what has gone out

    def feed(self, arguments: str) -> str:
        """The text's next characters; often none."""
        if self._reader is None:
            return ""
        try:
            self._reader.feed(arguments)
        except ValueError:
            self._reader = None
            return ""
        fields = self._reader.value
        if fields is None:  # nothing yet, or null
            return ""
        text = fields.get(INPUT, "") if isinstance(fields, dict) else None
        if not isinstance(text, str) or text[self._size - len(self._end) : self._size] != self._end:
            self._reader = None
            return ""
        new = text[self._size :]
        if new:
            self._pieces.append(new)
            self._size += len(new)
            self._end = text[-_COMPARED:]
        return new

    def rest(self, arguments: str) -> tuple[str, str]:
        """The whole text, and what of it has not gone out.

        Args:
            arguments: all of them.
        """
        whole, sent = custom_input(arguments), "".join(self._pieces)
        return whole, whole[len(sent) :] if whole.startswith(sent) else ""
