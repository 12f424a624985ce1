"""The built-in providers that copy OpenAI's chat completions, each in a dialect of its own.

The wire: docs/protocols/openai-dialects.md, "Dialects of chat completions".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmclients.providers.provider import Provider

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from llmclients.codecs.openai_chat.dialect import DialectOptions

__all__ = ["PRESETS", "chat_dialect"]


def chat_dialect(**options: Unpack[DialectOptions]) -> Mapping[str, Any]:
    """A `Provider.dialect` for chat completions. The codec is not loaded here; a type checker knows the options."""
    return options


_CODEC = "llmclients.codecs.openai_chat.codec:OpenAICodec"
_LOGPROBS = ("logprobs", "top_logprobs")
_IMAGES = ("image", "image-url")

PRESETS = (
    Provider(
        "ollama-v1",
        _CODEC,
        "http://localhost:11434/v1",
        key_variables=("OLLAMA_API_KEY",),
        dialect=chat_dialect(unsupported=("tool_choice", "parallel_tool_calls", *_LOGPROBS), parts=("image",)),
        notes="Ollama's copy of chat completions, on this machine.",
    ),
    Provider(
        "llama.cpp",
        _CODEC,
        "http://localhost:8080/v1",
        aliases=("llamacpp",),
        dialect=chat_dialect(named_choice=False, parts=(*_IMAGES, "audio")),
        notes="llama.cpp's server, on this machine.",
    ),
    Provider(
        "vllm",
        _CODEC,
        "http://localhost:8000/v1",
        dialect=chat_dialect(parts=(*_IMAGES, "audio")),
        notes="vLLM, on this machine.",
    ),
    Provider(
        "lmstudio",
        _CODEC,
        "http://localhost:1234/v1",
        dialect=chat_dialect(unsupported=("parallel_tool_calls", *_LOGPROBS), parts=("image",)),
        notes="LM Studio, on this machine.",
    ),
    Provider(
        "openrouter",
        _CODEC,
        "https://openrouter.ai/api/v1",
        key_variables=("OPENROUTER_API_KEY",),
        key_required=True,
        dialect=chat_dialect(parts=(*_IMAGES, "audio", "file", "file-url"), provider_data_field="reasoning_details"),
        notes="OpenRouter: many providers' models.",
    ),
    Provider(
        "groq",
        _CODEC,
        "https://api.groq.com/openai/v1",
        key_variables=("GROQ_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            unsupported=_LOGPROBS, parts=_IMAGES, named_roles=(), strict_members=True, stream_options=False
        ),
        notes="Groq.",
    ),
    Provider(
        "mistral",
        _CODEC,
        "https://api.mistral.ai/v1",
        key_variables=("MISTRAL_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            seed_field="random_seed",
            required_word="any",
            unsupported=_LOGPROBS,
            parts=_IMAGES,
            named_roles=("tool",),
            strict_members=True,
            short_call_ids=True,
            stream_options=False,
        ),
        notes="Mistral.",
    ),
    Provider(
        "deepseek",
        _CODEC,
        "https://api.deepseek.com",
        key_variables=("DEEPSEEK_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            unsupported=("seed", "parallel_tool_calls", "reasoning_effort"),
            parts=(),
            developer_role=False,
            reasoning_field="reasoning_content",
            stream_options=False,
        ),
        notes="DeepSeek. Thinking is switched by extra={'thinking': {'type': 'enabled'}}.",
    ),
    Provider(
        "together",
        _CODEC,
        "https://api.together.xyz/v1",
        key_variables=("TOGETHER_API_KEY",),
        key_required=True,
        dialect=chat_dialect(unsupported=("parallel_tool_calls", *_LOGPROBS), parts=_IMAGES, stream_options=False),
        notes="Together.",
    ),
    Provider(
        "xai",
        _CODEC,
        "https://api.x.ai/v1",
        key_variables=("XAI_API_KEY",),
        key_required=True,
        dialect=chat_dialect(parts=_IMAGES, stream_options=False, wrong_key_message="Incorrect API key"),
        notes="xAI.",
    ),
    Provider(
        "perplexity",
        _CODEC,
        "https://api.perplexity.ai",
        key_variables=("PERPLEXITY_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            unsupported=("seed", "tools", "tool_choice", "parallel_tool_calls", *_LOGPROBS),
            parts=_IMAGES,
            stream_options=False,
            done_required=False,
        ),
        notes="Perplexity: answers from the web.",
    ),
    Provider(
        "fireworks",
        _CODEC,
        "https://api.fireworks.ai/inference/v1",
        key_variables=("FIREWORKS_API_KEY",),
        key_required=True,
        dialect=chat_dialect(parts=_IMAGES, stream_options=False),
        notes="Fireworks.",
    ),
    Provider(
        "cerebras",
        _CODEC,
        "https://api.cerebras.ai/v1",
        key_variables=("CEREBRAS_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            unsupported=("presence_penalty", "frequency_penalty"), parts=(), strict_members=True, stream_options=False
        ),
        notes="Cerebras.",
    ),
    Provider(
        "azure",
        "llmclients.codecs.openai_chat.azure:AzureCodec",
        key_variables=("AZURE_OPENAI_API_KEY",),
        token_variables=("AZURE_OPENAI_AD_TOKEN",),
        base_url_variable="AZURE_OPENAI_ENDPOINT",
        dialect=chat_dialect(max_tokens_field="max_completion_tokens", key_header="api-key"),
        notes="Azure OpenAI: base_url is the resource's endpoint, the model is the deployment's name.",
    ),
)
