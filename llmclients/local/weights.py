"""The embedded model's weights: which GGUF file they are read from, and whether it looks like one."""

from __future__ import annotations

import importlib.util
import os
import stat
from pathlib import Path

from llmclients.config.environment import environ
from llmclients.errors import ConfigurationError
from llmclients.local.install import INSTALL_COMMAND, WEIGHTS_PACKAGE

__all__ = ["MODEL_PATH_VARIABLE", "find_weights", "installed_weights"]

MODEL_PATH_VARIABLE = "LLMCLIENTS_MODEL_PATH"

_MAGIC = b"GGUF"
_HEADER_BYTES = 24  # magic, version, number of tensors, number of metadata entries


def find_weights(model_path: str | os.PathLike[str] | None = None) -> Path:
    """The weights file, an absolute path: `model_path`, else `LLMCLIENTS_MODEL_PATH`, else the installed package's.

    Raises:
        ConfigurationError: the file named is not a readable GGUF file, or no weights are installed.
    """
    if model_path is not None:
        return _check_gguf(model_path, "model_path")
    from_environment = environ(MODEL_PATH_VARIABLE)
    if from_environment is not None:
        return _check_gguf(from_environment, MODEL_PATH_VARIABLE)
    installed = installed_weights()
    if installed is None:
        raise ConfigurationError(f"the embedded model's weights are not installed; run: {INSTALL_COMMAND}")
    return _check_gguf(installed, WEIGHTS_PACKAGE)


def installed_weights() -> Path | None:
    """The GGUF file of the installed weights package, unchecked; None if there is none."""
    try:
        spec = importlib.util.find_spec(WEIGHTS_PACKAGE)  # locates; an import would need `llm` and another engine
    except ValueError:  # what find_spec raises when sys.modules says None
        return None
    folders = (spec.submodule_search_locations if spec else None) or ()
    return next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)


def _check_gguf(path: str | os.PathLike[str], argument: str) -> Path:
    """`path`, resolved, if it begins as a GGUF file does. Whether all of it is there, only the engine can tell.

    `argument` is the name of the setting that the path came from, for the error.
    """
    try:
        file = Path(path).expanduser().resolve()
        if not stat.S_ISREG(file.stat().st_mode):  # opening a named pipe would wait for its other end
            raise ConfigurationError(f"{argument}: not a file: {file}", argument=argument)
        with file.open("rb") as stream:
            header = stream.read(_HEADER_BYTES)
    except (OSError, ValueError, TypeError, RuntimeError) as error:  # RuntimeError: a home or link that leads nowhere
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigurationError(f"{argument}: cannot read {path!s}: {reason}", argument=argument) from error
    if not header.startswith(_MAGIC):
        raise ConfigurationError(f"{argument}: not a GGUF file: {file}", argument=argument)
    if len(header) < _HEADER_BYTES:
        raise ConfigurationError(f"{argument}: cut short: {file}", argument=argument)
    return file
