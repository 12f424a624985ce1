"""An answer in Markdown, shown while it is written. Run it: python rich_terminal.py Tell me about the Nile."""

import sys

from rich.live import Live

from llmclients import APIError, Client


def main(prompt):
    with (
        Client("openai/gpt-4.1-mini") as client,
        client.stream(prompt).open() as stream,
        Live(vertical_overflow="visible") as live,
    ):
        for _ in stream.text_stream:
            live.update(stream.response)  # which rich prints as Markdown


if __name__ == "__main__":
    try:
        main(" ".join(sys.argv[1:]))
    except KeyboardInterrupt:  # Ctrl-C ends the request, too
        sys.exit(130)
    except APIError as error:
        sys.exit(f"no answer: {error}")
