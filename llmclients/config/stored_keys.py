"""The keys that `llmclients keys set` keeps, each in the place of an environment variable of the same name.

They are in the system's keyring; where there is none, in a file that is the user's alone. The file `keys.json` says
which there are, and where: `{"OPENAI_API_KEY": {"in": "keyring"}, "GROQ_API_KEY": {"in": "file", "key": "…"}}`. Who has
never kept a key has no such file, and to find that out is all that a client costs.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path
from typing import Any, Literal, TypeAlias

from llmclients.config.environment import environ
from llmclients.errors import ConfigurationError

__all__ = ["KEYS_VARIABLE", "Place", "forget_key", "keep_key", "keys_path", "stored_key", "stored_names"]

KEYS_VARIABLE = "LLMCLIENTS_KEYS"

Place: TypeAlias = Literal["keyring", "file"]

_SERVICE = "llmclients"


def keys_path() -> Path | None:
    """The file: `LLMCLIENTS_KEYS`, or `keys.json` in the user's folder for settings; None where that is `off`.

    The folder is `llmclients` in `$XDG_CONFIG_HOME` or `~/.config`; in `~/Library/Application Support` on macOS, in
    `%LOCALAPPDATA%` on Windows.
    """
    named = environ(KEYS_VARIABLE)
    if named is not None:
        return None if named.lower() == "off" else Path(named).expanduser()
    if sys.platform == "win32":
        folder, default = environ("LOCALAPPDATA"), "~/AppData/Local"
    elif sys.platform == "darwin":
        folder, default = None, "~/Library/Application Support"
    else:
        folder, default = environ("XDG_CONFIG_HOME"), "~/.config"
    try:
        base = Path(folder) if folder and os.path.isabs(folder) else Path(default).expanduser()
    except RuntimeError:  # nobody's home
        return None
    return base / "llmclients" / "keys.json"


def stored_names() -> dict[str, Place]:
    """Which keys are kept, by the variable in whose place they are, and where."""
    return {name: entry["in"] for name, entry in _read().items()}


def stored_key(variable: str) -> str | None:
    """The key that is kept in place of an environment variable; None if there is none.

    Raises:
        ConfigurationError: the file cannot be read, or may be read by others; the keyring does not answer.
    """
    entry = _read().get(variable)
    if entry is None:
        return None
    if entry["in"] == "file":
        return str(entry["key"])
    try:
        import keyring

        key: str | None = keyring.get_password(_SERVICE, variable)
    except Exception as error:  # noqa: BLE001 - each backend has its own kinds of errors, and those of D-Bus
        reason = type(error).__name__
        what = f"the key kept for {variable} is in the system's keyring, which does not give it ({reason})"
        raise ConfigurationError(f"{what}: set {variable}, or keep it anew", argument=variable) from None
    return key


def keep_key(variable: str, key: str, place: Place | None = None) -> Place:
    """Keep a key. Gives where.

    Args:
        place: None: in the keyring if that works, else in the file.

    Raises:
        ConfigurationError: it cannot be kept there.
    """
    entries = _read()
    if place != "file" and _into_keyring(variable, key):
        entries[variable] = {"in": "keyring"}
    elif place == "keyring":
        raise ConfigurationError("the system has no keyring that works")
    else:
        entries[variable] = {"in": "file", "key": key}
    _write(entries)
    return entries[variable]["in"]  # type: ignore[no-any-return]


def forget_key(variable: str) -> bool:
    """Forget a key. Whether there was one.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    entries = _read()
    entry = entries.pop(variable, None)
    if entry is None:
        return False
    if entry["in"] == "keyring":
        try:
            import keyring

            keyring.delete_password(_SERVICE, variable)
        except Exception:  # noqa: BLE001 - it is gone, or cannot be reached; either way it is not used any more
            pass
    _write(entries)
    return True


def _into_keyring(variable: str, key: str) -> bool:
    """Whether the keyring has taken the key, and gives it back."""
    try:
        import keyring

        keyring.set_password(_SERVICE, variable, key)
        return bool(keyring.get_password(_SERVICE, variable) == key)
    except Exception:  # noqa: BLE001 - not installed, no backend, locked, no D-Bus, …
        return False


def _read() -> dict[str, dict[str, Any]]:
    path = keys_path()
    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8") as file:
            if os.name != "nt" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise ConfigurationError(f"{path} may be read by others: chmod 600 {path}", argument=KEYS_VARIABLE)
            entries = json.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise ConfigurationError(f"{path} cannot be read: {reason}", argument=KEYS_VARIABLE) from None
    if isinstance(entries, dict) and all(map(_is_entry, entries.values())):
        return entries
    raise ConfigurationError(f"{path} is not what `keys set` writes", argument=KEYS_VARIABLE)


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and (
        entry.get("in") == "keyring" or (entry.get("in") == "file" and isinstance(entry.get("key"), str))
    )


def _write(entries: dict[str, dict[str, Any]]) -> None:
    path = keys_path()
    if path is None:
        raise ConfigurationError(f"keys are not kept ({KEYS_VARIABLE}=off)", argument=KEYS_VARIABLE)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = path.with_name(f"{path.name}.{os.getpid()}")
        descriptor = os.open(written, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                json.dump(entries, file, indent=2)
            written.replace(path)
        finally:
            written.unlink(missing_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise ConfigurationError(f"{path} cannot be written: {reason}", argument=KEYS_VARIABLE) from None
