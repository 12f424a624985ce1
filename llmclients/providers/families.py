"""Whose model a name is likely to be: for hints, where a provider is given the name of another one's model."""

from __future__ import annotations

import re

from llmclients.errors import ConfigurationError
from llmclients.providers.registry import find_provider

__all__ = ["likely_client"]

_FAMILIES = (
    ("openai", re.compile(r"(gpt|chatgpt|codex|o\d)\b", re.IGNORECASE)),
    ("anthropic", re.compile(r"claude\b", re.IGNORECASE)),
    ("gemini", re.compile(r"gemini\b", re.IGNORECASE)),
    ("cohere", re.compile(r"command\b", re.IGNORECASE)),
    ("xai", re.compile(r"grok\b", re.IGNORECASE)),
    ("deepseek", re.compile(r"deepseek\b", re.IGNORECASE)),
    ("mistral", re.compile(r"(mistral|ministral|codestral|magistral)\b", re.IGNORECASE)),
)
"""Makers whose models' names say whose they are, and that serve them themselves."""


def likely_client(model: str) -> str | None:
    """What to give `Client` for a model: `openai/gpt-4o` of `gpt-4o`, and of itself; None if nobody can tell."""
    name, slash, rest = model.partition("/")
    if slash and rest:
        try:
            return f"{find_provider(name).name}/{rest}"
        except ConfigurationError:
            return None
    return next((f"{provider}/{model}" for provider, family in _FAMILIES if family.match(model)), None)
