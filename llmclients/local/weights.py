"""The embedded model's weights: which GGUF file they are read from, what the model is called, where a cache is."""

from __future__ import annotations

import importlib.util
import os
import re
import stat
import sys
from pathlib import Path

from llmclients.config.environment import environ
from llmclients.errors import ConfigurationError
from llmclients.local.gguf import MAGIC
from llmclients.local.packages import INSTALL_COMMAND, WEIGHTS_FILE, WEIGHTS_PACKAGE

__all__ = [
    "MODEL_PATH_VARIABLE",
    "cached_weights",
    "find_weights",
    "installed_weights",
    "model_name",
    "model_names",
]

MODEL_PATH_VARIABLE = "LLMCLIENTS_MODEL_PATH"

_HEADER_BYTES = 24  # magic, version, number of tensors, number of metadata entries


def find_weights(model_path: str | os.PathLike[str] | None = None) -> Path:
    """The weights file, an absolute path.

    That is `model_path`, else `LLMCLIENTS_MODEL_PATH`, else what `local install` fetched, else the installed package's.

    Raises:
        ConfigurationError: the file named is not a readable GGUF file, or no weights are there.
    """
    if model_path is not None:
        return _check_gguf(model_path, "model_path")
    from_environment = environ(MODEL_PATH_VARIABLE)
    if from_environment is not None:
        return _check_gguf(from_environment, MODEL_PATH_VARIABLE)
    found = cached_weights()
    if found is None or not found.exists():
        found = installed_weights()
    if found is None:
        raise ConfigurationError(f"the local model's weights are not installed; run: {INSTALL_COMMAND}")
    return _check_gguf(found, "weights")


def cached_weights() -> Path | None:
    """Where `local install` puts the weights, for all environments of this user; None if the user has no such place.

    The folder is `llmclients` in `$XDG_CACHE_HOME` or `~/.cache`; in `~/Library/Caches` on macOS, in `%LOCALAPPDATA%`
    on Windows. Source: the XDG Base Directory Specification, which has a relative path ignored.
    """
    if sys.platform == "win32":
        folder, default = environ("LOCALAPPDATA"), "~/AppData/Local"
    else:
        folder, default = environ("XDG_CACHE_HOME"), "~/Library/Caches" if sys.platform == "darwin" else "~/.cache"
    try:
        base = Path(folder) if folder and os.path.isabs(folder) else Path(default).expanduser()
    except RuntimeError:  # nobody's home
        return None
    return base / "llmclients" / WEIGHTS_FILE


def installed_weights() -> Path | None:
    """The GGUF file of the installed weights package, unchecked; None if there is none."""
    try:
        spec = importlib.util.find_spec(WEIGHTS_PACKAGE)  # locates; an import would need `llm` and another engine
    except ValueError:  # what find_spec raises when sys.modules says None
        return None
    folders = (spec.submodule_search_locations if spec else None) or ()
    return next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)


def model_name(weights: Path) -> str:
    """`SmolLM2-135M-Instruct` of `SmolLM2-135M-Instruct.Q4_1.gguf`: how the numbers are packed is not its name."""
    return re.sub(r"[.-](I?Q\d\w*|B?F16|F32)$", "", weights.stem, flags=re.IGNORECASE)


def model_names(model_path: str | os.PathLike[str] | None = None) -> tuple[str, ...]:
    """What the model may be called by a caller, its name in answers first. The file itself is not looked for."""
    path = model_path if model_path is not None else environ(MODEL_PATH_VARIABLE) or WEIGHTS_FILE
    try:
        file = Path(path)
    except TypeError:  # which `find_weights` says
        return ()
    return model_name(file), file.stem, file.name


def _check_gguf(path: str | os.PathLike[str], argument: str) -> Path:
    """`path`, absolute, if it begins as a GGUF file does. Whether all of it is there, only the engine can tell.

    `argument` is the name of the setting that the path came from, for the error. Links are not followed: a link has the
    model's name, and what it leads to may have a checksum in its place.
    """
    try:
        file = Path(os.path.abspath(Path(path).expanduser()))
        if not stat.S_ISREG(file.stat().st_mode):  # opening a named pipe would wait for its other end
            raise ConfigurationError(f"{argument}: not a file: {file}", argument=argument)
        with file.open("rb") as stream:
            header = stream.read(_HEADER_BYTES)
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # RuntimeError: a home that leads nowhere
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(f"{argument}: cannot read {path!s}: {reason}", argument=argument) from error
    if not header.startswith(MAGIC):
        raise ConfigurationError(f"{argument}: not a GGUF file: {file}", argument=argument)
    if len(header) < _HEADER_BYTES:
        raise ConfigurationError(f"{argument}: cut short: {file}", argument=argument)
    return file
