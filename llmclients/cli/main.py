"""The entry point of the command line: runs a command and turns whatever ends it into an exit code."""

# What is imported here comes before the first prompt of a session, so it is next to nothing.

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments without the program's name; None: those of this process.

    Returns:
        The exit code: 0; 1 to 8 by the kind of error (`failures.EXIT_CODES`), 130 for Ctrl-C, 141 for a closed pipe.
    """
    try:
        return _main(argv)
    except KeyboardInterrupt:  # while the parser was made, or in the midst of another end
        return 130


def _main(argv: Sequence[str] | None) -> int:
    from llmclients.cli.arguments import make_parser

    _open_missing_streams()
    given = list(sys.argv[1:] if argv is None else argv)
    if not given and _is_terminal():
        given = ["chat"]
    try:
        parser = make_parser()
        _complete(parser)
        if given and not given[0].startswith("-"):
            parser.check_command(given[0])
        arguments = parser.parse_args(given)
    except SystemExit as end:  # argparse has printed its message
        return end.code if isinstance(end.code, int) else 2
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an answer may have characters that the terminal has not
    return _guarded(arguments)


def _open_missing_streams() -> None:
    """Where a standard stream is closed (`>&-`), nothing is read or written, and no other file gets its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115 - until the program ends


def _guarded(arguments: argparse.Namespace) -> int:
    import warnings

    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = _runner(arguments.run)(arguments)
            sys.stdout.flush()  # a closed pipe shows here at the latest
            return code
        except BrokenPipeError:
            # The interpreter flushes stdout once more at its exit, and would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        except Exception as error:
            from llmclients.errors import LLMClientError

            if arguments.debug:
                raise
            from llmclients.cli.failures import exit_code, terminal_message

            is_known = isinstance(error, LLMClientError)
            message = terminal_message(error) if is_known else f"{type(error).__name__}: {error} (more with --debug)"
            print(f"llmclients: {message}", file=sys.stderr)
            return exit_code(error)


def _runner(run: str | Callable[[Any], int]) -> Callable[[Any], int]:
    if not isinstance(run, str):
        return run
    from importlib import import_module

    module, _, name = run.partition(":")
    found: Callable[[Any], int] = getattr(import_module(f"llmclients.cli.{module}"), name)
    return found


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how a word may go on; does not return then."""
    from llmclients.config.environment import environ

    if environ("_ARGCOMPLETE"):
        from llmclients.cli.completion import complete

        complete(parser)


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **details: Any) -> None:
    print(f"llmclients: warning: {message}", file=sys.stderr)
