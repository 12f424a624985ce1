"""`python -m llmclients`: the same as the command `llmclients`."""

import sys

from llmclients.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
