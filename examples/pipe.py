"""Text in, text out, as a part of a pipe. Run it: git diff | python pipe.py Write a commit message. | tee message"""

import os
import sys

from llmclients import Client, LLMClientError


def main(instruction):
    with Client("openai/gpt-4.1-mini") as client, client.stream(sys.stdin.read(), system=instruction) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)
    print(flush=True)


if __name__ == "__main__":
    try:
        main(" ".join(sys.argv[1:]) or None)
    except KeyboardInterrupt:
        sys.exit(130)
    except LLMClientError as error:
        sys.exit(f"no answer: {error}")
    except BrokenPipeError:  # the next program has enough, as `head` has: the request has ended, too
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python flushes at its end
        sys.exit(1)
