"""The built-in providers that copy OpenAI's chat completions, each in a dialect of its own. `hosts` has more of them.

The wire: docs/protocols/openai-dialects.md, "Dialects of chat completions". An option that no document of a maker has
is `unsupported`; `extra=` sends it all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmclients.providers.provider import Provider

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from llmclients.codecs.openai_chat.dialect import DialectOptions

__all__ = ["CHAT_CODEC", "IMAGES", "LOGPROBS", "PENALTIES", "PRESETS", "chat_dialect", "rare_but"]


def chat_dialect(**options: Unpack[DialectOptions]) -> Mapping[str, Any]:
    """A `Provider.dialect` for chat completions. The codec is not loaded here; a type checker knows the options."""
    return options


CHAT_CODEC = "llmclients.codecs.openai_chat.codec:OpenAICodec"
LOGPROBS = ("logprobs", "top_logprobs")
PENALTIES = ("presence_penalty", "frequency_penalty")
IMAGES = ("image", "image-url")
_RARE = ("n", "logit_bias", "user", "metadata", "service_tier", "verbosity", "prompt_cache_key")


def rare_but(*known: str) -> tuple[str, ...]:
    """The options that only few servers have, without those that this one has: for `unsupported`."""
    return tuple(option for option in _RARE if option not in known)


PRESETS = (
    Provider(
        "ollama-v1",
        CHAT_CODEC,
        "http://localhost:11434/v1",
        key_variables=("OLLAMA_API_KEY",),
        base_url_variable="OLLAMA_HOST",
        base_url_port=11434,
        dialect=chat_dialect(
            unsupported=("tool_choice", "parallel_tool_calls", *LOGPROBS, *rare_but()),
            parts=("image",),
            strict_rules=None,
        ),
        think_tags=True,
        notes="Ollama's copy of chat completions, on this machine.",
    ),
    Provider(
        "llama.cpp",
        CHAT_CODEC,
        "http://localhost:8080/v1",
        aliases=("llamacpp",),
        dialect=chat_dialect(
            unsupported=rare_but("n", "logit_bias"), named_choice=False, parts=(*IMAGES, "audio"), strict_rules=None
        ),
        think_tags=True,
        notes="llama.cpp's server, on this machine.",
    ),
    Provider(
        "vllm",
        CHAT_CODEC,
        "http://localhost:8000/v1",
        dialect=chat_dialect(unsupported=rare_but("n", "logit_bias"), parts=(*IMAGES, "audio"), strict_rules=None),
        think_tags=True,
        notes="vLLM, on this machine.",
    ),
    Provider(
        "lmstudio",
        CHAT_CODEC,
        "http://localhost:1234/v1",
        dialect=chat_dialect(
            unsupported=("parallel_tool_calls", *LOGPROBS, *rare_but()), parts=("image",), strict_rules=None
        ),
        think_tags=True,
        notes="LM Studio, on this machine.",
    ),
    Provider(
        "openrouter",
        CHAT_CODEC,
        "https://openrouter.ai/api/v1",
        key_variables=("OPENROUTER_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            unsupported=rare_but("logit_bias", "user", "metadata", "service_tier", "prompt_cache_key"),
            parts=(*IMAGES, "audio", "file", "file-url"),
            provider_data_field="reasoning_details",
        ),
        notes="OpenRouter: many providers' models.",
    ),
    Provider(
        "groq",
        CHAT_CODEC,
        "https://api.groq.com/openai/v1",
        key_variables=("GROQ_API_KEY",),
        key_required=True,
        base_url_variable="GROQ_BASE_URL",
        base_url_path="/openai/v1",
        dialect=chat_dialect(
            unsupported=(*LOGPROBS, *rare_but("user", "service_tier")),
            parts=IMAGES,
            named_roles=(),
            strict_members=True,
        ),
        think_tags=True,
        notes="Groq.",
    ),
    Provider(
        "mistral",
        CHAT_CODEC,
        "https://api.mistral.ai/v1",
        key_variables=("MISTRAL_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            unsupported=rare_but("n", "metadata", "service_tier", "prompt_cache_key"),
            seed_field="random_seed",
            required_word="any",
            parts=IMAGES,
            named_roles=("tool",),
            strict_rules="mistral",
            strict_members=True,
            short_call_ids=True,
            stream_options=False,
        ),
        notes="Mistral.",
    ),
    Provider(
        "deepseek",
        CHAT_CODEC,
        "https://api.deepseek.com",
        key_variables=("DEEPSEEK_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            user_field="user_id",
            unsupported=("seed", "parallel_tool_calls", *rare_but("user")),
            parts=(),
            developer_role=False,
            reasoning_field="reasoning_content",
            stream_options=False,
        ),
        notes="DeepSeek. It thinks, unless extra={'thinking': {'type': 'disabled'}}.",
    ),
    Provider(
        "together",
        CHAT_CODEC,
        "https://api.together.xyz/v1",
        key_variables=("TOGETHER_API_KEY",),
        key_required=True,
        base_url_variable="TOGETHER_BASE_URL",
        base_url_path="/v1",
        dialect=chat_dialect(
            unsupported=("parallel_tool_calls", *rare_but("n", "logit_bias")),
            logprobs_as_count=True,
            stop_as_list=True,
            parts=IMAGES,
            reasoning_field="reasoning",
            stream_options=False,
        ),
        think_tags=True,
        notes="Together.",
    ),
    Provider(
        "xai",
        CHAT_CODEC,
        "https://api.x.ai/v1",
        key_variables=("XAI_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            unsupported=rare_but("n", "logit_bias", "user"),
            parts=IMAGES,
            stream_options=False,
            wrong_key_message="Incorrect API key",
        ),
        notes="xAI.",
    ),
    Provider(
        "perplexity",
        CHAT_CODEC,
        "https://api.perplexity.ai",
        key_variables=("PERPLEXITY_API_KEY",),
        key_required=True,
        base_url_variable="PERPLEXITY_BASE_URL",
        dialect=chat_dialect(
            unsupported=("seed", "tools", "tool_choice", "parallel_tool_calls", *LOGPROBS, *rare_but("n")),
            parts=IMAGES,
            stream_options=False,
            done_required=False,
        ),
        think_tags=True,
        notes="Perplexity: answers from the web.",
    ),
    Provider(
        "fireworks",
        CHAT_CODEC,
        "https://api.fireworks.ai/inference/v1",
        key_variables=("FIREWORKS_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            unsupported=rare_but("n", "logit_bias", "user", "metadata", "service_tier", "prompt_cache_key"),
            parts=IMAGES,
            stream_options=False,
        ),
        think_tags=True,
        notes="Fireworks.",
    ),
    Provider(
        "cerebras",
        CHAT_CODEC,
        "https://api.cerebras.ai/v1",
        key_variables=("CEREBRAS_API_KEY",),
        key_required=True,
        base_url_variable="CEREBRAS_BASE_URL",
        base_url_path="/v1",
        dialect=chat_dialect(
            unsupported=(*PENALTIES, *rare_but("n", "logit_bias", "user", "service_tier", "prompt_cache_key")),
            parts=IMAGES,
            strict_members=True,
            stream_options=False,
        ),
        think_tags=True,
        notes="Cerebras.",
    ),
    Provider(
        "moonshot",
        CHAT_CODEC,
        "https://api.moonshot.ai/v1",
        aliases=("kimi",),
        key_variables=("MOONSHOT_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            max_tokens_field="max_completion_tokens",
            unsupported=("seed", "parallel_tool_calls", *rare_but("n")),
            parts=IMAGES,
            developer_role=False,
            reasoning_field="reasoning_content",
        ),
        notes="Moonshot's Kimi. In China: base_url='https://api.moonshot.cn/v1'.",
    ),
    Provider(
        "dashscope",
        CHAT_CODEC,
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        aliases=("qwen",),
        key_variables=("DASHSCOPE_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            unsupported=("frequency_penalty", *rare_but()),
            parts=IMAGES,
            developer_role=False,
            reasoning_field="reasoning_content",
        ),
        notes="Alibaba's Qwen, at Singapore. Other regions and workspaces have a base_url of their own.",
    ),
    Provider(
        "zai",
        CHAT_CODEC,
        "https://api.z.ai/api/paas/v4",
        key_variables=("ZAI_API_KEY",),
        key_required=True,
        base_url_variable="ZAI_BASE_URL",
        dialect=chat_dialect(
            user_field="user_id",
            unsupported=(*PENALTIES, "tool_choice", "parallel_tool_calls", *LOGPROBS, *rare_but("user")),
            parts=IMAGES,
            developer_role=False,
            named_roles=(),
            reasoning_field="reasoning_content",
            stream_options=False,
        ),
        notes="Z.AI's GLM. In China: base_url='https://open.bigmodel.cn/api/paas/v4'.",
    ),
    Provider(
        "minimax",
        CHAT_CODEC,
        "https://api.minimax.io/v1",
        key_variables=("MINIMAX_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            max_tokens_field="max_completion_tokens",
            unsupported=(
                *("seed", *PENALTIES, "tool_choice", "parallel_tool_calls", "response_format", "reasoning_effort"),
                *LOGPROBS,
                *rare_but(),
            ),
            parts=(),
            developer_role=False,
            reasoning_field="reasoning_content",
            provider_data_field="reasoning_details",
        ),
        notes="MiniMax. extra={'reasoning_split': True} parts the reasoning from the text.",
    ),
    Provider(
        "meta",
        CHAT_CODEC,
        "https://api.meta.ai/v1",
        key_variables=("MODEL_API_KEY", "META_API_KEY"),
        key_required=True,
        dialect=chat_dialect(unsupported=("stop", "tool_choice", *rare_but()), parts=IMAGES),
        notes="Meta's Model API. Its Llama API is gone.",
    ),
    Provider(
        "azure",
        "llmclients.codecs.openai_chat.azure:AzureCodec",
        key_variables=("AZURE_OPENAI_API_KEY",),
        token_variables=("AZURE_OPENAI_AD_TOKEN",),
        base_url_variable="AZURE_OPENAI_ENDPOINT",
        option_variables={"api_version": "OPENAI_API_VERSION"},
        dialect=chat_dialect(max_tokens_field="max_completion_tokens", key_header="api-key"),
        notes="Azure OpenAI: base_url is the resource's endpoint, the model is the deployment's name.",
    ),
)
