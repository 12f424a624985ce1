"""Whose model a name is likely to be: for hints, where a provider is given the name of another one's model."""

from __future__ import annotations

import re

__all__ = ["family_of", "likely_provider"]

_FAMILIES = (
    ("openai", r"(gpt(?!-oss)|chatgpt|codex|o\d)\b"),
    ("anthropic", r"claude\b"),
    ("gemini", r"gemini\b"),
    ("cohere", r"command\b"),
    ("xai", r"grok\b"),
    ("deepseek", r"deepseek\b"),
    ("mistral", r"(mistral|ministral|codestral|magistral|pixtral|devstral)\b"),
    ("perplexity", r"sonar\b"),
    ("moonshot", r"(kimi-|moonshot-)"),
    # Of open models, by many served under many names, these spellings are Ollama's: `llama3.2`, `qwen2.5:7b`.
    ("ollama", r"(code)?(llama|qwen|phi|gemma)\d"),
)
"""Makers whose models' names say whose they are, and that serve them themselves."""

_PROVIDERS = {
    **dict.fromkeys(("chatgpt", "gpt", "open-ai", "open_ai"), "openai"),
    "claude": "anthropic",
    **dict.fromkeys(("google", "google-ai", "google-gemini", "google_genai", "googleai", "aistudio", "bard"), "gemini"),
    **dict.fromkeys(("azure-openai", "azure_openai", "azure_ai", "azureopenai"), "azure"),
    **dict.fromkeys(("bedrock", "aws"), "bedrock-mantle"),
    **dict.fromkeys(("mistralai", "le-chat"), "mistral"),
    "grok": "xai",
    **dict.fromkeys(("hf", "hugging-face"), "huggingface"),
    **dict.fromkeys(("together_ai", "togetherai"), "together"),
    **dict.fromkeys(("fireworks_ai", "fireworksai"), "fireworks"),
    "lm-studio": "lmstudio",
}
"""What people, and other libraries, call a provider."""


def family_of(model: str) -> str | None:
    """The provider whose model it is by its name; None if nobody can tell."""
    return next((provider for provider, family in _FAMILIES if re.match(family, model, re.IGNORECASE)), None)


def likely_provider(name: str) -> str | None:
    """The provider that is mostly meant by a name that none has; None if nobody can tell."""
    return _PROVIDERS.get(name)
