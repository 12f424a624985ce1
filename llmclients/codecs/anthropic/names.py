"""The names by which replies of this wire recognize what its requests sent."""

from __future__ import annotations

__all__ = ["CODEC_NAME", "EFFORT_BUDGETS", "JSON_TOOL"]

CODEC_NAME = "anthropic"
"""The codec's name, and its key in `provider_data`."""

JSON_TOOL = "llmclients_answer"
"""The tool whose input is the answer, for models that have no other way to be held to JSON."""

EFFORT_BUDGETS = {"low": 1024, "medium": 2048, "high": 4096, "xhigh": 8192, "max": 16384}
"""Tokens of thinking, for the models that know no effort."""
