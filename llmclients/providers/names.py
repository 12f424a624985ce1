"""`ProviderName`: the built-in providers' names, for editors to complete. A test holds it to the registry."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["ENTRY_POINT_GROUP", "ProviderName"]

ENTRY_POINT_GROUP = "llmclients.providers"
"""Where installed packages name the providers that they bring."""

ProviderName: TypeAlias = Literal[
    "ai365vip",
    "anthropic",
    "azure",
    "bedrock-mantle",
    "cerebras",
    "cohere",
    "dashscope",
    "databricks",
    "deepinfra",
    "deepseek",
    "fireworks",
    "gemini",
    "github",
    "groq",
    "huggingface",
    "hyperbolic",
    "llama.cpp",
    "lmstudio",
    "local",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "nebius",
    "nvidia",
    "ollama",
    "ollama-v1",
    "openai",
    "openai-responses",
    "openrouter",
    "perplexity",
    "sambanova",
    "together",
    "vercel",
    "vllm",
    "watsonx",
    "xai",
    "ylokh",
    "yqcloud",
    "yqcloud-legacy",
    "zai",
]
"""A built-in provider's name. `Client` takes others as well: aliases, those that are registered, and `name/model`."""
