"""Asks a file's prompts, ten at a time, and writes the answers beside them.

Run it: python csv_prompts.py prompts.csv answers.csv (the bar needs tqdm or rich)
"""

import csv
import sys

from llmclients import Client


def main(source, target):
    with (
        open(source, encoding="utf-8", newline="") as prompts,
        open(target, "w", encoding="utf-8", newline="") as answers,
        Client("openai/gpt-4.1-mini") as client,
    ):
        rows = (row["prompt"] for row in csv.DictReader(prompts))
        writer = csv.writer(answers)
        writer.writerow(["prompt", "answer", "error"])
        for result in client.map(rows, concurrency=10, progress=True, temperature=0):
            writer.writerow([result.prompt, result.text if result.ok else "", result.error])


if __name__ == "__main__":
    main(*sys.argv[1:])
