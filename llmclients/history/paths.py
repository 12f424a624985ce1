"""Where the history is: `LLMCLIENTS_HISTORY`, or the user's folder for data; and files that are the user's alone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from llmclients.config.environment import environ
from llmclients.errors import ConfigurationError

__all__ = ["HISTORY_VARIABLE", "create_private", "history_path"]

HISTORY_VARIABLE = "LLMCLIENTS_HISTORY"


def history_path() -> Path | None:
    """The file that `History.open()` uses: `LLMCLIENTS_HISTORY`, or `history.db` in the user's folder for data.

    None where `LLMCLIENTS_HISTORY` is `off`.

    Raises:
        ConfigurationError: the variable is not set, and platformdirs is not installed.
    """
    named = environ(HISTORY_VARIABLE)
    if named is not None:
        return None if named.lower() == "off" else Path(named).expanduser()
    try:
        from platformdirs import user_data_path
    except ImportError:
        raise ConfigurationError(
            'where the history is to be is not known: pip install "llmclients[cli]", '
            f"or set {HISTORY_VARIABLE} to a path, or to off",
            argument=HISTORY_VARIABLE,
        ) from None
    return user_data_path("llmclients", appauthor=False) / "history.db"


def create_private(path: Path) -> None:
    """Make the file, and the folders to it that there are not, for this user alone. One that exists stays as it is.

    SQLite gives the files that it makes beside it the same mode.

    Raises:
        OSError: it cannot be made.
    """
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):  # `mkdir(parents=True)` would make all but the last for everybody to read
        folder.mkdir(mode=0o700, exist_ok=True)
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
