"""A program with a test of its own, test_titles.py. Run it: python titles.py < story.txt"""

import sys

from llmclients import APIError, Client


def title_of(text):
    with Client("openai/gpt-4.1-mini") as client:
        try:
            return client.chat(f"A title for this text:\n\n{text}", max_tokens=20).text.strip('"')
        except APIError:
            return text.partition("\n")[0]


if __name__ == "__main__":
    print(title_of(sys.stdin.read()))
