"""The entry point of the command line: runs a command and turns whatever ends it into an exit code."""

from __future__ import annotations

import argparse
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from llmclients.cli.arguments import make_parser
from llmclients.errors import ConfigurationError, LLMClientError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        argv: the arguments without the program's name; None: those of this process.

    Returns:
        The exit code: 0; 1 for a call that failed, 2 for the caller's mistake, 130 for Ctrl-C, 141 for a closed pipe.
    """
    try:
        arguments = make_parser().parse_args(argv)
    except SystemExit as end:  # argparse has printed its message
        return end.code if isinstance(end.code, int) else 2
    run: Callable[[argparse.Namespace], int] = arguments.run
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an answer may have characters that the terminal has not
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = run(arguments)
            sys.stdout.flush()  # a closed pipe shows here at the latest
            return code
        except ConfigurationError as error:
            return _show_error(error, 2)
        except LLMClientError as error:
            return _show_error(error, 1)
        except KeyboardInterrupt:
            return 130
        except BrokenPipeError:
            # The interpreter flushes stdout once more at its exit, and would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141


def _show_error(error: Exception, code: int) -> int:
    print(f"llmclients: {' '.join(str(error).split())}", file=sys.stderr)  # always one line
    return code


def _show_warning(message: Warning | str, category: type[Warning], *where: Any, **details: Any) -> None:
    print(f"llmclients: warning: {message}", file=sys.stderr)
