"""A receipt as an object, and what reading it cost. Run it: python receipt.py < receipt.txt"""

import sys

from pydantic import BaseModel

from llmclients import Client

DOLLARS_IN, DOLLARS_OUT = 0.40, 1.60  # for a million tokens, from the provider's price list


class Receipt(BaseModel):
    shop: str
    items: list[str]
    total: float


with Client("openai/gpt-4.1-mini") as client:
    response = client.chat(f"Read this receipt.\n\n{sys.stdin.read()}", response_format=Receipt, temperature=0)

receipt, usage = response.parsed, response.usage
print(f"{receipt.shop}: {len(receipt.items)} items, {receipt.total:.2f}")
print(f"${(usage.input_tokens * DOLLARS_IN + usage.output_tokens * DOLLARS_OUT) / 1e6:.6f}")
