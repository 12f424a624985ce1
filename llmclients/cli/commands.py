"""The commands of the local model and the demo: parsed arguments in, an exit code out.

They raise the library's errors and leave it to `main` to show them. Clients and the relay are imported by the commands
that use them, so that `llmclients --help` loads no HTTP library.
"""

from __future__ import annotations

import argparse

__all__ = ["demo", "local_install", "local_path"]


def local_install(arguments: argparse.Namespace) -> int:
    """Install what the embedded model needs."""
    from llmclients.local.install import install

    install()
    return 0


def local_path(arguments: argparse.Namespace) -> int:
    """Print where the weights of the embedded model are."""
    from llmclients.local.weights import find_weights

    print(find_weights())
    return 0


def demo(arguments: argparse.Namespace) -> int:
    """Run the demo."""
    from llmclients import demo as program

    return program.run()
