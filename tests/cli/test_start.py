"""What comes before the first prompt of a session: next to nothing, as its user waits for it."""

from __future__ import annotations

import subprocess
import sys

SLOW = ("pydantic", "requests", "httpx", "sqlite3", "llmclients.codecs.base", "llmclients.providers.registry")


def loaded_by(program: str) -> set[str]:
    """Which of the slow modules a fresh interpreter has loaded after this program."""
    program = f"import sys\n{program}\nprint(*(name for name in {SLOW!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_neither_the_package_nor_the_parser_nor_the_session_loads_what_is_slow() -> None:
    program = """
import llmclients
from llmclients.cli.arguments import make_parser
from llmclients.cli.given import split_provider
arguments = make_parser().parse_args(["chat", "openai/m"])
assert split_provider(arguments.texts, None) == ("openai/m", [])
import llmclients.cli.session
"""
    assert loaded_by(program) == set()
    assert loaded_by(f"{program}\nllmclients.Client") >= {"pydantic"}
