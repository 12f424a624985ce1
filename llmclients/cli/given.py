"""What `chat` is given, made into what a client takes: words and standard input, files, functions, schemas."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmclients.errors import ConfigurationError

if TYPE_CHECKING:
    from llmclients.types.content import Part
    from llmclients.types.tools import Tool

__all__ = ["attachment", "content_of", "is_provider", "load_schema", "load_tool", "question", "split_provider"]


_SIMILAR = 0.82
"""How much a word has in common with the provider's name that it may be meant to be: `openia`, and not `open`."""


def split_provider(texts: Sequence[str], provider: str | None) -> tuple[str | None, list[str]]:
    """Who is asked, if the words name somebody, and the words that are left.

    Raises:
        ConfigurationError: the first word is nearly a provider's name.
    """
    rest = list(texts)
    if provider is not None or not rest or " " in rest[0]:
        return provider, rest
    if is_provider(rest[0]):
        return rest[0], rest[1:]
    if len(rest) > 1 and (likely := _nearly(rest[0])) is not None:
        raise ConfigurationError(
            f"there is no provider {rest[0]!r}: did you mean {likely}? If it is a word of the text, quote the text"
        )
    return None, rest


def is_provider(text: str) -> bool:
    """Whether the word is a provider's name or alias, with a model or without."""
    from llmclients.providers.names import ProviderName

    name = text.partition("/")[0].lower()
    if name in ProviderName.__args__:  # type: ignore[attr-defined]
        return True
    from llmclients.providers.registry import find_provider

    try:
        return find_provider(name) is not None
    except ConfigurationError:
        return False


def _nearly(text: str) -> str | None:
    import difflib

    from llmclients.providers.registry import provider_names

    name, slash, model = text.partition("/")
    found = difflib.get_close_matches(name, provider_names(), 1, _SIMILAR) if name.islower() and len(name) > 3 else []
    return f"{found[0]}{slash}{model}" if found else None


def question(texts: Sequence[str]) -> str:
    """The text: the words, and what is piped in, behind them or in the place of `-`.

    Raises:
        ConfigurationError: standard input is no text.
    """
    has_place = "-" in texts
    piped = _read_stdin() if has_place or not _is_terminal() else ""
    if has_place:
        return " ".join(piped if text == "-" else text for text in texts)
    text = " ".join(texts)
    if not piped.strip():
        return text
    return f"{text}\n\n{piped}" if text else piped


def _is_terminal() -> bool:
    return sys.stdin is None or sys.stdin.isatty()


def _read_stdin() -> str:
    try:
        return "" if sys.stdin is None else sys.stdin.read()
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"standard input is not text: {error}") from None
    except OSError:  # it is closed, or this process may not read from its terminal
        return ""


def content_of(text: str, files: Sequence[str]) -> str | list[Part]:
    """A message's content: text, or parts.

    Raises:
        ConfigurationError: one of the files cannot be attached.
    """
    if not files:
        return text
    from llmclients.types.content import TextPart

    parts: list[Part] = [*map(attachment, files)]
    return [*parts, TextPart(text=text)] if text else parts


def attachment(name: str) -> Part:
    """A file, or the address of one, as part of a message. A text is a part of text that begins with the file's name.

    Raises:
        ConfigurationError: it cannot be read, or is nothing that a message can have.
    """
    from llmclients.types.content import AudioPart, FilePart, ImagePart, TextPart
    from llmclients.types.media_types import sniff_media_type
    from llmclients.types.sources import read_file

    kinds: dict[str, Any] = {"image": ImagePart, "audio": AudioPart}
    if name.startswith(("https://", "http://")):
        import mimetypes

        guessed = mimetypes.guess_type(name.partition("?")[0])[0] or ""
        return kinds.get(guessed.partition("/")[0], FilePart)(name)  # type: ignore[no-any-return]
    path = Path(name).expanduser()
    data = read_file(os.fspath(path))
    kind = kinds.get((sniff_media_type(data) or "").partition("/")[0])
    if kind is not None:
        return kind(data)  # type: ignore[no-any-return]
    try:
        text = data.decode() if b"\0" not in data and not data.startswith(b"%PDF") else None
    except UnicodeDecodeError:
        text = None
    return FilePart(path) if text is None else TextPart(text=f"{path.name}:\n\n{text}")


def load_tool(reference: str, flag: str = "--tool") -> Tool:
    """The tool of `MODULE:FUNCTION`.

    Args:
        flag: what it was given to, for the error.

    Raises:
        ConfigurationError: there is no such function, or it is no tool.
    """
    from llmclients.types.tools import Tool

    tool = Tool.coerce(_load(reference, flag))
    if tool.function is None:
        raise ConfigurationError(f"{flag}: {reference} is no function: nothing can be called")
    return tool


def load_schema(reference: str) -> Any:
    """What `response_format` takes, of `FILE` or `MODULE:CLASS`.

    Raises:
        ConfigurationError: there is no such file or class, or the file is no JSON.
    """
    path = Path(reference).expanduser()
    if not path.is_file():
        return _load(reference, "--schema")
    from llmclients.types.response_format import ResponseFormat

    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"--schema: {reference} is no JSON: {error}") from None
    if not isinstance(schema, dict):
        raise ConfigurationError(f"--schema: {reference} is no JSON Schema of an object")
    return schema if schema.get("type") in ("json_schema", "json_object") else ResponseFormat(json_schema=schema)


def _load(reference: str, flag: str) -> Any:
    module, separator, name = reference.rpartition(":")
    if not separator or not name.isidentifier():
        raise ConfigurationError(f"{flag}: there is no file {reference!r}, and it is not MODULE:NAME")
    try:
        loaded = _run_file(Path(module)) if module.endswith(".py") else _import(module)
    except Exception as error:  # another's code may fail in any way
        raise ConfigurationError(f"{flag}: {module} does not load: {type(error).__name__}: {error}") from error
    try:
        return getattr(loaded, name)
    except AttributeError:
        raise ConfigurationError(f"{flag}: {module} has no {name}") from None


def _import(module: str) -> Any:
    if "" not in sys.path and os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())  # where whoever types the name is; last, so that nothing is hidden by it
    return importlib.import_module(module)


def _run_file(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no module can be made of {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # types are looked up there when a signature is read
    spec.loader.exec_module(module)
    return module
