"""The parser that all commands share: options between words, mistakes told with the command's own usage."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Collection
from functools import partial
from typing import Any

__all__ = ["CommandParser", "assignment", "completed", "seconds"]

_COMPLETERS = {
    "provider": "providers_and_models",
    "again": "providers_and_models",
    "texts": "first_text",
    "model": "models",
    "continued": "conversations",
    "id": "conversations",
}
"""Arguments, and what of `completion` completes them."""


class CommandParser(argparse.ArgumentParser):
    """Lets options stand between the words of a command, as `chat openai --no-stream Hello` does.

    argparse has `parse_known_intermixed_args` for that, but runs a command's parser by its `parse_known_args`. Here the
    second calls the first, which then calls the second twice: once for the options, once for the rest.
    """

    commands: Collection[str] = ()
    """The names of the commands that it has."""

    _is_inside = False

    def __init__(self, *args: Any, **options: Any) -> None:
        # A prefix that means one option today may mean two tomorrow.
        super().__init__(*args, **{"allow_abbrev": False, **options})

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if self._is_inside or self._subparsers is not None or args is None:
            return super().parse_known_args(args, namespace)
        # Between the two passes it would be lost that after `--` nothing is an option.
        head, literal = list(args), list[str]()
        if "--" in head:
            place = head.index("--")
            head, literal = head[:place], head[place + 1 :]
        self._is_inside = True
        try:
            found, unknown = self.parse_known_intermixed_args(head, namespace)
        finally:
            self._is_inside = False
        if literal and hasattr(found, "texts"):
            found.texts = [*found.texts, *literal]
        else:
            unknown = [*unknown, *literal]
        if unknown:  # the parser of all commands would say it, with its own usage
            self.error(f"unknown: {' '.join(unknown)}{self._hint(unknown[0])}")
        return found, []

    def add_argument(self, *args: Any, **options: Any) -> argparse.Action:
        """Add an argument, which a shell completes as the others of its name."""
        return completed(super().add_argument(*args, **options))

    def check_command(self, name: str) -> None:
        """End the program if there is no such command, with what may be meant."""
        import difflib

        commands: list[str] = [*self.commands]
        if name not in commands:
            similar = difflib.get_close_matches(name, commands, 1)
            likely = f" (did you mean {similar[0]}?)" if similar and " " not in name else ""
            self.error(f"there is no command {name!r}{likely}; to ask a model: llmclients chat TEXT")

    def _hint(self, unknown: str) -> str:
        import difflib

        flags = re.findall(r"--[a-z][a-z-]+", self.format_help())
        similar = difflib.get_close_matches(unknown.partition("=")[0], flags, 1) if unknown.startswith("-") else []
        return f" (did you mean {similar[0]}?)" if similar else ""


def completed(action: argparse.Action) -> argparse.Action:
    """The argument, with what argcomplete asks how it may go on."""
    if action.dest in _COMPLETERS:
        action.completer = partial(_complete, _COMPLETERS[action.dest])  # type: ignore[attr-defined]
    return action


def _complete(name: str, **given: Any) -> Any:
    from llmclients.cli import completion

    return getattr(completion, name)(**given)


def assignment(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`; a value that is JSON is what it says, any other is text."""
    name, separator, value = text.partition("=")
    if not separator or not name.isidentifier() or name in ("self", "messages"):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def seconds(text: str) -> float:
    """A time to wait."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value
