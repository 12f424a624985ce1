"""The session: `llmclients chat` without a text, in a terminal."""

# Theory of operation
# -------------------
# What a user waits for is the prompt. So before it come argparse and prompt_toolkit, and nothing else: client, history
# and pydantic are loaded by a thread while the first question is typed (`_load`). What is wrong with the arguments is
# then known after a moment, and ends the prompt.
#
# The prompt and the answers take turns: while an answer is shown, no prompt is, and what is typed waits for the next
# one.

from __future__ import annotations

import argparse
import gc
import shutil
import sys
import textwrap
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmclients.errors import ConfigurationError, LLMClientError

try:
    from prompt_toolkit import PromptSession
except ImportError:
    raise ConfigurationError('a session needs prompt_toolkit: pip install "llmclients[cli]"') from None

from llmclients.cli import prompting

if TYPE_CHECKING:
    from llmclients.cli.markdown.styles import Styles
    from llmclients.cli.talk import Talk
    from llmclients.cli.turns import Answer, View
    from llmclients.history import StoredTurn
    from llmclients.types.content import Part

__all__ = ["Session", "run_session", "wrapped"]

_HELLO = "Alt-Enter begins a line, Ctrl-C ends an answer, Ctrl-D the session; /help."


def run_session(arguments: argparse.Namespace, provider: str | None) -> int:
    """Talk until the user has enough."""
    session = Session(arguments, provider)
    try:
        session.run()
    finally:
        gc.enable()
        session.close()
    return 0


class Session:
    """A prompt, and the conversation that it is for.

    Attributes:
        files: what the next question has besides its text, by name.
        edited: the question that the next one takes the place of.
        default: what the next prompt begins with.
        is_over: whether the user has enough.
    """

    def __init__(self, arguments: argparse.Namespace, provider: str | None) -> None:
        self.arguments = arguments
        self.files: dict[str, Part] = {}
        self.edited: StoredTurn | None = None
        self.default = ""
        self.is_over = False
        self._label = provider or ("" if arguments.continued is not None else "local")
        self._provider = provider
        self._loaded: Future[Talk] = Future()
        self._is_loading = False
        self._prompt: PromptSession[str] = prompting.make_prompt(self._loaded)

    # --- loading ------------------------------------------------------------------------------------------------------

    def _load(self) -> None:
        try:
            talk = self._make_talk()
        except BaseException as error:  # noqa: BLE001 - for the thread that waits for it
            self._loaded.set_exception(error)
            prompting.end_prompt(self._prompt)
            return
        self._loaded.set_result(talk)
        self._preload()
        gc.enable()

    def _make_talk(self) -> Talk:
        from llmclients.cli.opening import continued, open_history, set_up_log, setup_of
        from llmclients.cli.talk import Talk

        arguments = self.arguments
        set_up_log(is_debug=arguments.debug)
        is_needed = arguments.continued is not None
        history = open_history(is_on=arguments.history, is_needed=is_needed, warn=self._warn)
        try:
            conversation = continued(history, arguments.continued)
            setup = setup_of(arguments, self._provider, conversation)
            talk = Talk(setup, history, conversation)
            talk.client()
            from llmclients.cli.given import attachment

            self.files |= {name: attachment(name) for name in arguments.attach}
        except BaseException:
            history.close()
            raise
        return talk

    def _warn(self, text: str) -> None:
        prompting.above(self._prompt, lambda: self.say(text, is_error=True))

    def _preload(self) -> None:
        """What the first answer needs."""
        from importlib import import_module

        for name in ("cli.slash", "cli.views", "transports.requests"):
            import_module(f"llmclients.{name}")

    def _start_loading(self) -> None:
        if not self._is_loading:
            self._is_loading = True
            threading.Thread(target=self._load, daemon=True).start()

    @property
    def talk(self) -> Talk:
        """The conversation; waits until it is loaded.

        Raises:
            LLMClientError: it cannot be.
        """
        return self._loaded.result()

    # --- the loop -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Ask for questions, and show their answers.

        Raises:
            LLMClientError: there can be no session.
        """
        print(_HELLO)
        if self.arguments.continued is not None:
            self._start_loading()
            self.show_last()
        while not self.is_over:
            with suppress(KeyboardInterrupt):  # that came between
                text = self._read()
                if text is not None and text.strip():
                    self._handle(text)

    def _read(self) -> str | None:
        """What was typed; None for nothing."""
        label = self.talk.setup.label if self._loaded.done() else self._label
        default, self.default = self.default, ""
        try:
            text = prompting.read(self._prompt, f"{label}> ", default, self._start_loading)
            self._start_loading()  # a dumb terminal's prompt does not tell that it is shown
            return text
        except KeyboardInterrupt:
            if self.edited is not None or self.files:
                self.edited, self.files = None, {}
                print("(Nothing is edited or attached any more.)")
            return None
        except EOFError:
            if self._loaded.done():
                self._loaded.result()  # it may be why the prompt has ended
            self.is_over = True
            return None

    def _handle(self, text: str) -> None:
        from llmclients.cli import slash
        from llmclients.history.store import AT_LEAF

        talk = self.talk  # what is wrong with it ends the session
        try:
            if text.startswith("/"):
                slash.run(self, text)
                return
            content = [*self.files.values(), *_text_parts(text)] if self.files else text
            parent = AT_LEAF if self.edited is None else self.edited.parent
            question = talk.ask(content, parent=parent)
            self.edited, self.files = None, {}
            self.answer(question)
        except KeyboardInterrupt:
            self.say("stopped", is_error=True)
        except LLMClientError as error:
            self.show_error(error)

    def answer(self, question: StoredTurn) -> Answer:
        """Show the answer to a question, and below it what it took."""
        from llmclients.cli.views import status_line

        answer = self.talk.answer(question, self._view(), stream=self.arguments.stream)
        self.say(status_line(answer))
        return answer

    # --- what is shown ------------------------------------------------------------------------------------------------

    @property
    def styles(self) -> Styles:
        """The terminal's looks."""
        from llmclients.cli.views import styles_for

        return styles_for(sys.stdout)

    def _view(self) -> View:
        from llmclients.cli.views import PlainView, TerminalView

        if not any(self.styles):
            return PlainView()
        # The local model says itself that it is loaded.
        return TerminalView(sys.stdout, self.styles, shows_waiting=self.talk.setup.provider != "local")

    def say(self, text: str, *, is_error: bool = False) -> None:
        """A line of the program's own, below an answer."""
        from llmclients.cli.log import printable

        look = self.styles.error if is_error else self.styles.faint
        lines = wrapped(printable(text), shutil.get_terminal_size().columns)
        print("\n".join(self.styles.painted(line, look) for line in lines) + "\n")

    def show_error(self, error: LLMClientError) -> None:
        """Why there is no answer, or only a part of one."""
        from llmclients.cli.failures import terminal_message
        from llmclients.errors import APIError

        if self.arguments.debug:
            import traceback

            traceback.print_exception(error)
        came = isinstance(error, APIError) and error.partial is not None and error.partial.text
        what = "broke off (what came is kept; /retry asks again): " if came else ""
        self.say(f"{what}{terminal_message(error, is_session=True)}", is_error=True)

    def show_last(self) -> None:
        """The last question of the conversation, and what has come of it."""
        talk = self.talk
        if talk.conversation is None:
            return
        turns = talk.history.turns(talk.conversation, limit=4)
        questions = [number for number, turn in enumerate(turns) if turn.role == "user"]
        self.say(f"{talk.conversation.id} · {talk.conversation.title or 'Untitled'}")
        for turn in turns[questions[-1] :] if questions else turns:
            if turn.role == "user":
                print(f"{talk.setup.label}> {_on_terminal(turn.text)}")
            elif turn.role == "assistant":
                self.show_markdown(turn.text)
                if turn.error is not None:
                    self.say(f"broke off: {turn.error.message}", is_error=True)

    def show_markdown(self, text: str) -> None:
        """A text that is whole."""
        from llmclients.cli.markdown.stream import MarkdownStream
        from llmclients.cli.views import terminal_size

        markdown = MarkdownStream(terminal_size, self.styles, can_rewrite=False)
        markdown.feed(text)
        print(markdown.end())

    def close(self) -> None:
        """Close what was opened."""
        if self._loaded.done() and self._loaded.exception() is None:
            talk = self._loaded.result()
            talk.close()
            talk.history.close()


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines; what stands between two middle dots stays together where it can."""
    if " · " not in text:
        return textwrap.wrap(text, width, break_on_hyphens=False)
    lines = [""]
    for part in text.split(" · "):
        longer = f"{lines[-1]} · {part}" if lines[-1] else part
        if lines[-1] and len(longer) > width:
            lines.append(part)
        else:
            lines[-1] = longer
    return [row for line in lines for row in textwrap.wrap(line, width)]


def _text_parts(text: str) -> list[Any]:
    from llmclients.types.content import TextPart

    return [TextPart(text=text)]


def _on_terminal(text: str) -> str:
    from llmclients.cli.log import printable

    return printable(text)
