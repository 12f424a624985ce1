"""The session's prompt: what is typed, with its history, search, completion, and lines that go on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import is_searching
from prompt_toolkit.history import History, ThreadedHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.layout.processors import TabsProcessor

if TYPE_CHECKING:
    from llmclients.cli.talk import Talk

__all__ = ["COMMANDS", "above", "end_prompt", "make_prompt", "read"]

COMMANDS = {
    "/model": "NAME: go on with another model",
    "/provider": "NAME[/MODEL]: go on with another provider",
    "/system": "TEXT: the system text; - for none",
    "/option": "NAME=VALUE: an option of each call; NAME= for none",
    "/attach": "FILE …: images, PDFs, texts for the next question",
    "/tool": "MODULE:FUNCTION: a function that the model may call; - for none",
    "/retry": "ask the last question again, as a branch",
    "/edit": "change the last question, and ask it, as a branch",
    "/branch": "[NUMBER]: the branches, or go to one",
    "/again": "PROVIDER/MODEL: ask another one the last question, side by side",
    "/save": "FILE.md, .jsonl or .json: write the conversation",
    "/load": "[ID or FILE.json]: go on with another conversation",
    "/new": "begin another conversation",
    "/cost": "tokens and cost of the conversation",
    "/help": "this list",
    "/quit": "end, as Ctrl-D does",
}

_QUESTIONS = 500
"""How many of the last questions can be called back."""


class _Questions(History):
    """The user's last questions, of all conversations of the terminal: the conversations' history has them."""

    def __init__(self, loaded: Future[Talk]) -> None:
        super().__init__()
        self._talk = loaded

    def load_history_strings(self) -> Iterable[str]:
        try:
            history = self._talk.result().history
            count = 0
            for conversation in history.conversations(50, source="terminal"):
                for turn in reversed(history.turns(conversation, limit=200)):
                    if turn.role == "user" and turn.text:
                        yield turn.text
                        count += 1
                        if count >= _QUESTIONS:
                            return
        except Exception:  # noqa: BLE001 - the session says what is wrong; here nothing can be called back
            return

    def store_string(self, string: str) -> None:
        """Nothing: a question is stored when it is asked."""


class _Commands(Completer):
    """Completes commands, and what they are given."""

    def __init__(self) -> None:
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        command, blank, argument = text.partition(" ")
        if not blank:
            for name, help_text in COMMANDS.items():
                if name.startswith(command):
                    yield Completion(f"{name} " if ": " in help_text else name, -len(command), name, help_text)
        elif command == "/attach":
            yield from self._names_of_files(argument, complete_event)
        elif command in ("/save", "/load"):  # one name, with blanks or without
            yield from self._paths.get_completions(Document(argument), complete_event)
        elif command in ("/provider", "/again", "/model"):
            for name in _names(command, argument):
                if name.startswith(argument):
                    yield Completion(name, -len(argument))

    def _names_of_files(self, argument: str, complete_event: CompleteEvent) -> Iterable[Completion]:
        """How the last of several names may go on: with quotes around it where it needs them."""
        start, begun = _last_name(argument)
        for found in self._paths.get_completions(Document(begun), complete_event):
            yield Completion(_quoted(begun + found.text), start - len(argument), found.display)


def _last_name(text: str) -> tuple[int, str]:
    """Where the last of several names begins, and the name so far, without quotes: as `shlex.split` reads it."""
    start, name, quote, is_escaped = 0, "", "", False
    for place, character in enumerate(text):
        if is_escaped:
            is_escaped, name = False, name + character
        elif character == quote:
            quote = ""
        elif character == "\\" and quote != "'":
            is_escaped = True
        elif not quote and character in "'\"":
            quote = character
        elif not quote and character.isspace():
            start, name = place + 1, ""
        else:
            name += character
    return start, name


def _quoted(name: str) -> str:
    if not any(character.isspace() or character in "'\"\\" for character in name):
        return name
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _names(command: str, argument: str) -> list[str]:
    from llmclients.cli.completion import models_of, providers_and_models

    return models_of(argument.partition("/")[0]) if command == "/model" else providers_and_models(argument)


def make_prompt(loaded: Future[Talk]) -> PromptSession[str]:
    """The prompt of a session whose conversation is being loaded."""
    return PromptSession(
        history=ThreadedHistory(_Questions(loaded)),
        completer=_Commands(),
        complete_while_typing=False,
        complete_in_thread=True,
        multiline=True,
        prompt_continuation="… ",
        key_bindings=_key_bindings(),
        enable_open_in_editor=True,
        tempfile_suffix=".md",
        reserve_space_for_menu=5,
        input_processors=[TabsProcessor(tabstop=4, char1=" ", char2=" ")],
    )


def read(prompt: PromptSession[str], message: str, default: str, once_shown: Callable[[], None]) -> str:
    """What is typed.

    Args:
        once_shown: called when the prompt is on the screen.

    Raises:
        KeyboardInterrupt: Ctrl-C. EOFError: Ctrl-D, or `end_prompt`.
    """
    shown = prompt.app.after_render
    handler = lambda _: once_shown()  # noqa: E731 - the same one is removed
    shown += handler
    try:
        return prompt.prompt([("bold", message)], default=default)
    finally:
        shown -= handler


def above(prompt: PromptSession[str], show: Callable[[], None]) -> None:
    """Show something above the prompt, from any thread; where there is none, at once."""
    app = prompt.app
    if app.loop is None or app.context is None or not app.is_running:
        show()
        return
    app.loop.call_soon_threadsafe(lambda: run_in_terminal(show), context=app.context.copy())


def end_prompt(prompt: PromptSession[str]) -> None:
    """End the prompt that is shown, from any thread."""
    app = prompt.app
    if app.loop is not None and app.is_running:
        app.loop.call_soon_threadsafe(_end, app)


def _end(app: Any) -> None:
    if app.is_running and not app.is_done:
        app.exit(exception=EOFError)


def _key_bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter", filter=~is_searching)
    def _(event: Any) -> None:
        """Send; or, behind a backslash, begin a line."""
        buffer = event.current_buffer
        if buffer.document.is_cursor_at_the_end and buffer.text.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @bindings.add("escape", "enter", filter=~is_searching)
    def _(event: Any) -> None:
        """Begin a line."""
        event.current_buffer.insert_text("\n")

    return bindings
