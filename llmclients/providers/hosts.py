"""The built-in providers that host other makers' models behind chat completions: gateways, clouds, accounts in clouds.

The wire: docs/protocols/openai-dialects.md, "Hosts of other makers' models". `presets` has the rule for what is
`unsupported`.
"""

from __future__ import annotations

from llmclients.providers.presets import CHAT_CODEC, IMAGES, LOGPROBS, PENALTIES, chat_dialect, rare_but
from llmclients.providers.provider import Provider

__all__ = ["HOSTS"]

HOSTS = (
    Provider(
        "huggingface",
        CHAT_CODEC,
        "https://router.huggingface.co/v1",
        key_variables=("HF_TOKEN",),
        key_required=True,
        dialect=chat_dialect(unsupported=("parallel_tool_calls", *rare_but()), stop_as_list=True, parts=IMAGES),
        notes="Hugging Face's Inference Providers.",
    ),
    Provider(
        "nvidia",
        CHAT_CODEC,
        "https://integrate.api.nvidia.com/v1",
        key_variables=("NVIDIA_API_KEY",),
        key_required=True,
        dialect=chat_dialect(unsupported=rare_but(), parts=IMAGES, reasoning_field="reasoning_content"),
        notes="NVIDIA's API catalog.",
    ),
    Provider(
        "github",
        CHAT_CODEC,
        "https://models.github.ai/inference",
        key_variables=("GITHUB_TOKEN",),
        key_required=True,
        working=False,
        dialect=chat_dialect(unsupported=rare_but(), parts=IMAGES),
        notes="GitHub Models. GitHub ended the service on 30 July 2026.",
    ),
    Provider(
        "deepinfra",
        CHAT_CODEC,
        "https://api.deepinfra.com/v1/openai",
        key_variables=("DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"),
        key_required=True,
        dialect=chat_dialect(
            unsupported=("seed", "tool_choice", "parallel_tool_calls", *LOGPROBS, *rare_but("n", "logit_bias")),
            parts=IMAGES,
        ),
        notes="DeepInfra.",
    ),
    Provider(
        "sambanova",
        CHAT_CODEC,
        "https://api.sambanova.ai/v1",
        key_variables=("SAMBANOVA_API_KEY",),
        key_required=True,
        base_url_variable="SAMBA_NOVA_BASE_URL",
        dialect=chat_dialect(
            unsupported=(*PENALTIES, *rare_but("n", "logit_bias")),
            parts=IMAGES,
            developer_role=False,
            named_roles=(),
            reasoning_field="reasoning",
        ),
        notes="SambaNova.",
    ),
    Provider(
        "hyperbolic",
        CHAT_CODEC,
        "https://api.hyperbolic.xyz/v1",
        key_variables=("HYPERBOLIC_API_KEY",),
        key_required=True,
        dialect=chat_dialect(
            unsupported=("parallel_tool_calls", "reasoning_effort", *LOGPROBS, *rare_but("n", "user")),
            parts=IMAGES,
            stream_options=False,
        ),
        notes="Hyperbolic.",
    ),
    Provider(
        "nebius",
        CHAT_CODEC,
        "https://api.tokenfactory.nebius.com/v1",
        key_variables=("NEBIUS_API_KEY",),
        key_required=True,
        dialect=chat_dialect(unsupported=rare_but(), parts=IMAGES),
        notes="Nebius' Token Factory.",
    ),
    Provider(
        "vercel",
        CHAT_CODEC,
        "https://ai-gateway.vercel.sh/v1",
        key_variables=("AI_GATEWAY_API_KEY",),
        token_variables=("VERCEL_OIDC_TOKEN",),
        key_required=True,
        dialect=chat_dialect(unsupported=rare_but(), parts=IMAGES),
        notes="Vercel's AI Gateway: many providers' models.",
    ),
    Provider(
        "bedrock-mantle",
        CHAT_CODEC,
        "https://bedrock-mantle.{region}.api.aws/v1",
        key_variables=("AWS_BEARER_TOKEN_BEDROCK",),
        key_required=True,
        region_variables=("AWS_REGION", "AWS_DEFAULT_REGION"),
        dialect=chat_dialect(unsupported=rare_but("verbosity"), parts=IMAGES),
        notes="Amazon Bedrock's copy of chat completions, with a Bedrock API key: give region=.",
    ),
    Provider(
        "databricks",
        CHAT_CODEC,
        key_variables=("DATABRICKS_TOKEN",),
        base_url_variable="DATABRICKS_HOST",
        base_url_path="/serving-endpoints",
        dialect=chat_dialect(
            unsupported=("seed", *PENALTIES, "parallel_tool_calls", *LOGPROBS, *rare_but("n", "service_tier")),
            parts=IMAGES,
            named_roles=(),
            stream_options=False,
        ),
        notes="Databricks: base_url is the workspace, the model is the serving endpoint's name.",
    ),
    Provider(
        "watsonx",
        CHAT_CODEC,
        token_variables=("WATSONX_TOKEN",),
        base_url_variable="WATSONX_URL",
        base_url_path="/ml/gateway/v1",
        dialect=chat_dialect(
            unsupported=("reasoning_effort", *rare_but("n", "logit_bias", "user", "metadata")), parts=IMAGES
        ),
        notes="IBM watsonx.ai's model gateway: base_url is the region's host, the key an IAM token.",
    ),
)
