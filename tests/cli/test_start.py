"""What comes before the first prompt of a session: next to nothing, as its user waits for it."""

from __future__ import annotations

import subprocess
import sys

SLOW = ("pydantic", "requests", "httpx", "sqlite3", "llmclients.codecs.base", "llmclients.providers.registry")


PROGRAM = f"""
import sys
others = {{*sys.modules}}  # what measures coverage may have loaded some
def loaded():
    print(*(name for name in {SLOW!r} if name in sys.modules and name not in others))

import llmclients
from llmclients.cli.arguments import make_parser
from llmclients.cli.given import split_provider
arguments = make_parser().parse_args(["chat", "openai/m"])
assert split_provider(arguments.texts, None) == ("openai/m", [])
import llmclients.cli.session
loaded()
llmclients.Client
loaded()
"""


def test_neither_the_package_nor_the_parser_nor_the_session_loads_what_is_slow() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, after = done.stdout.splitlines()
    assert before == ""
    assert {"pydantic", "llmclients.codecs.base"} <= {*after.split()}
