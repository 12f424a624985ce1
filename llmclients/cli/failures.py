"""What a command ends with when something goes wrong: an exit code by the kind of error, and one line in the terminal's
words.
"""

from __future__ import annotations

import re

from llmclients import errors

__all__ = ["EXIT_CODES", "exit_code", "terminal_message"]

EXIT_CODES: tuple[tuple[int, tuple[type[Exception], ...]], ...] = (
    (2, (errors.ConfigurationError,)),
    (3, (errors.AuthenticationError, errors.PermissionDeniedError)),
    (4, (errors.RateLimitError,)),
    (5, (errors.APITimeoutError,)),
    (7, (errors.StreamInterruptedError,)),
    (6, (errors.APIConnectionError,)),
    (8, (errors.StructuredOutputError, errors.ToolLoopError)),
)
"""The code of each kind of error; the first that fits counts. Any other is 1."""

_FLAGS = {
    **{name: f"--{name.replace('_', '-')}" for name in ("model", "system", "base_url", "timeout", "provider")},
    "response_format": "--schema",
    "tools": "--tool",
    "run_tools": "--tool",
}
_COMMANDS = {name: f"/{name}" for name in ("model", "system", "provider")} | {"tools": "/tool", "run_tools": "/tool"}
"""The same in a session, as far as there is a command."""

_NOT_HERE = ("headers", "proxy", "verify", "cert", "transport", "fallback", "retry", "region")
"""Arguments of a client that the command line has not: their errors keep the library's word."""

_CALL = re.compile(r"\bClient\((['\"])(?P<name>[^'\"]+)\1\)")
_KEYWORD = re.compile(r"\b([a-z_]+)=(?=[\s,;:.)…]|$)")
_PLACE = re.compile(r"it is an argument of (?:the client itself|each call), \S+\(…, (?P<name>\w+)=…\)")
_PREFIX = re.compile(r"\b(?:defaults|ChatRequest): ")
_FIELD = re.compile(r"(?P<field>\w+): Input should be [^;]*; (?=(?P=field): )")
"""Of a field that may be of several types, pydantic tells what it should be for each; the last one is the widest."""


def exit_code(error: Exception) -> int:
    """The exit code of an error."""
    return next((code for code, kinds in EXIT_CODES if isinstance(error, kinds)), 1)


def terminal_message(error: Exception, *, is_session: bool = False) -> str:
    """The error's message, on one line, as who types commands would say it; in a session, those with a slash."""
    message = " ".join(str(error).split())
    if isinstance(error, errors.MissingAPIKeyError):
        provider = message.partition(" ")[0]
        message = message.replace("give api_key= or set", "set") + f", or run: llmclients keys set {provider}"
    message = _CALL.sub(lambda call: f"{'/provider' if is_session else 'llmclients chat'} {call['name']}", message)
    message = _FIELD.sub("", _PREFIX.sub("", message))
    message = _PLACE.sub(lambda place: f"give {_flag(place['name'], place['name'], is_session)}", message)
    message = _KEYWORD.sub(lambda match: _flag(match[1], match[0], is_session), message)
    if needy := re.fullmatch(r"(\S+) needs a model: give \S+", message):
        message += f" (llmclients models {needy[1]} lists them)"
    return message


def _flag(name: str, otherwise: str, is_session: bool) -> str:
    flags = {**_FLAGS, **_COMMANDS} if is_session else _FLAGS
    if name in flags:
        return flags[name]
    if name in _NOT_HERE or name == "api_key":
        return otherwise
    return f"{'/option' if is_session else '--option'} {name}=…"
