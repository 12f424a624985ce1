"""Built-in providers with a wire format of their own, and the embedded model. `presets` has those that copy OpenAI."""

from __future__ import annotations

from llmclients.providers.presets import chat_dialect
from llmclients.providers.provider import Provider

__all__ = ["BUILT_IN"]

BUILT_IN: tuple[Provider, ...] = (
    Provider(
        "local",
        "llmclients.codecs.openai_chat.local:LocalCodec",
        endpoint="llmclients.local.engine:endpoint",
        endpoint_models="llmclients.local.weights:model_names",
        models=("SmolLM2-135M-Instruct",),
        default_model="SmolLM2-135M-Instruct",
        model_aliases={"smollm2": "SmolLM2-135M-Instruct"},
        working=True,
        # Its prompt has no place for tools, and the engine drops what has none.
        dialect=chat_dialect(unsupported=("tools", "tool_choice", "parallel_tool_calls"), parts=(), strict_rules=None),
        notes="A small model on this machine, in a process of its own. Needs the `local` extra.",
    ),
    Provider(
        "openai",
        "llmclients.codecs.openai_chat.codec:OpenAICodec",
        "https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        key_required=True,
        base_url_variable="OPENAI_BASE_URL",
        header_variables={"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"},
        dialect=chat_dialect(
            default_endpoint_max_tokens_field="max_completion_tokens",
            strict_rules=None,
            default_endpoint_strict_rules="openai",
        ),
        notes="OpenAI, and with `base_url` any server that speaks chat completions.",
    ),
    Provider(
        "openai-responses",
        "llmclients.codecs.openai_responses.codec:OpenAIResponsesCodec",
        "https://api.openai.com/v1",
        key_variables=("OPENAI_API_KEY",),
        key_required=True,
        base_url_variable="OPENAI_BASE_URL",
        header_variables={"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"},
        notes="OpenAI's newer wire, and with `base_url` any server that speaks it.",
    ),
    Provider(
        "anthropic",
        "llmclients.codecs.anthropic.codec:AnthropicCodec",
        "https://api.anthropic.com",
        key_variables=("ANTHROPIC_API_KEY",),
        token_variables=("ANTHROPIC_AUTH_TOKEN",),
        key_required=True,
        base_url_variable="ANTHROPIC_BASE_URL",
        notes="Anthropic Messages, and with `base_url` any server that speaks them.",
    ),
    Provider(
        "gemini",
        "llmclients.codecs.gemini.codec:GeminiCodec",
        "https://generativelanguage.googleapis.com",
        key_variables=("GOOGLE_API_KEY", "GEMINI_API_KEY"),
        key_required=True,
        base_url_variable="GOOGLE_GEMINI_BASE_URL",
        notes="Google's Gemini API.",
    ),
    Provider(
        "cohere",
        "llmclients.codecs.cohere.codec:CohereCodec",
        "https://api.cohere.com",
        key_variables=("CO_API_KEY", "COHERE_API_KEY"),
        key_required=True,
        base_url_variable="CO_API_URL",
        notes="Cohere's second chat API.",
    ),
    Provider(
        "ollama",
        "llmclients.codecs.ollama.codec:OllamaCodec",
        "http://localhost:11434",
        key_variables=("OLLAMA_API_KEY",),
        base_url_variable="OLLAMA_HOST",
        base_url_port=11434,
        notes="Ollama's own wire, on this machine.",
    ),
    Provider(
        "ylokh",
        "llmclients.codecs.openai_chat.ylokh:YlokhCodec",
        "https://chatapi.ylokh.xyz",
        models=("gpt-3.5-turbo",),
        default_model="gpt-3.5-turbo",
        working=False,
        notes="The public service is gone.",
    ),
    Provider(
        "yqcloud",
        "llmclients.codecs.raw_text.yqcloud:YqcloudCodec",
        "https://api.binjie.fun",
        models=("gpt-4",),
        default_model="gpt-4",
        only_listed_models=True,
        notes="The public service may or may not answer.",
    ),
    Provider(
        "yqcloud-legacy",
        "llmclients.codecs.raw_text.yqcloud_legacy:YqcloudLegacyCodec",
        "https://api.aichatos.cloud",
        aliases=("aichatos",),
        models=("gpt-3.5-turbo",),
        default_model="gpt-3.5-turbo",
        only_listed_models=True,
        working=False,
        notes="The public service is gone.",
    ),
    Provider(
        "ai365vip",
        "llmclients.codecs.raw_text.ai365vip:Ai365vipCodec",
        "https://chat.ai365vip.com",
        models=("gpt-3.5-turbo", "gpt-3.5-turbo-16k", "gpt-4o"),
        default_model="gpt-3.5-turbo",
        working=False,
        notes="The public service is behind a browser check.",
    ),
)
