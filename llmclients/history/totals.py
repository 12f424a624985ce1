"""What the answers of a conversation have taken: tokens, and dollars where they are known. Never an estimate."""

from __future__ import annotations

import json
from typing import Any

from llmclients.history.database import Database
from llmclients.history.records import Cost
from llmclients.types.usage import Usage, make_usage

__all__ = ["total_cost"]


def total_cost(database: Database, number: int) -> Cost:
    """The sum over all answers of the conversation in this row."""
    rows: list[Any] = database.rows(
        "SELECT usage, cost FROM turn WHERE conversation = ? AND role = 'assistant'", (number,)
    )
    totals: dict[str, int | None] = dict.fromkeys(Usage.model_fields)
    for usage, _ in rows:
        for name, count in json.loads(usage or "{}").items():
            totals[name] = (totals[name] or 0) + count
    costs = [cost for _, cost in rows if cost is not None]
    return Cost(
        answers=len(rows),
        usage=make_usage(**totals),
        without_usage=sum(usage is None for usage, _ in rows),
        dollars=sum(costs) if costs else None,
        without_cost=len(rows) - len(costs),
    )
