"""What each preset sends for one rich request, where to, what it rejects, and which parts it takes."""

from __future__ import annotations

from typing import Any

from llmclients.types.messages import Message, ToolCall

__all__ = ["CHOICES", "MESSAGES", "OPTIONS", "SENT", "SHORT", "TABLE", "TOOLS"]

OPTIONS: dict[str, Any] = {
    "temperature": 0.2,
    "top_p": 0.9,
    "max_tokens": 200,
    "stop": "END",
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "tools": [{"name": "weather", "parameters": {"type": "object"}}, {"name": "clock", "parameters": {}}],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "response_format": "json",
    "reasoning_effort": "low",
    "logprobs": True,
    "top_logprobs": 2,
    "n": 1,
    "logit_bias": {"7": -100},
    "user": "u7",
    "metadata": {"ticket": "t7"},
    "service_tier": "flex",
    "verbosity": "low",
    "prompt_cache_key": "k7",
}
MESSAGES = [
    Message("system", "Be brief."),
    Message("user", "How warm is it in Oslo?"),
    Message("assistant", tool_calls=[ToolCall("call_1", "weather", '{"city":"Oslo"}')], reasoning="I must ask."),
    Message("tool", "4 degrees", name="weather", tool_call_id="call_1"),
]
TOOLS = [
    {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}},
    {"type": "function", "function": {"name": "clock", "parameters": {}}},
]
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
SHORT = "670bf1b29"  # what stands for call_1 where ids are short
SENT: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How warm is it in Oslo?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "content": "4 degrees", "name": "weather", "tool_call_id": "call_1"},
    ],
    **OPTIONS,
    "tools": TOOLS,
    "response_format": {"type": "json_object"},
    "stream": True,
    "stream_options": {"include_usage": True},
}
"""What goes out where a server has no dialect of its own."""

LOGPROBS = {"logprobs", "top_logprobs"}
PENALTIES = {"presence_penalty", "frequency_penalty"}
RARE = {"n", "logit_bias", "user", "metadata", "service_tier", "verbosity", "prompt_cache_key"}
USER_ID = {"user": None, "user_id": "u7"}
CHOICES = {"tool_choice", "parallel_tool_calls"}
IMAGES = {"image", "image-url"}
UNASKED = {"stream_options": None}  # usage comes without asking
COMPLETION = {"max_tokens": None, "max_completion_tokens": 200}
LISTED = {"stop": ["END"]}


def messages(*, reasoning: str | None = None, tool_name: bool = True, call_id: str = "call_1") -> dict[str, Any]:
    """The messages of `SENT`, with the reasoning in a member of this name, and the rest as this server takes it."""
    system, user, call, result = SENT["messages"]
    call = {**call, "tool_calls": [CALL | {"id": call_id}], **({reasoning: "I must ask."} if reasoning else {})}
    result = {name: value for name, value in result.items() if tool_name or name != "name"} | {"tool_call_id": call_id}
    return {"messages": [system, user, call, result]}


# name: base URL, options rejected, parts taken, members of the payload that differ (None: not there)
TABLE: dict[str, tuple[str, set[str], set[str], dict[str, Any]]] = {
    "ollama-v1": ("http://localhost:11434/v1", CHOICES | LOGPROBS | RARE, {"image"}, {}),
    "llama.cpp": ("http://localhost:8080/v1", RARE - {"n", "logit_bias"}, IMAGES | {"audio"}, {}),
    "vllm": ("http://localhost:8000/v1", RARE - {"n", "logit_bias"}, IMAGES | {"audio"}, {}),
    "lmstudio": ("http://localhost:1234/v1", {"parallel_tool_calls"} | LOGPROBS | RARE, {"image"}, {}),
    "openrouter": (
        "https://openrouter.ai/api/v1",
        RARE - {"logit_bias", "user", "metadata", "service_tier", "prompt_cache_key"},
        IMAGES | {"audio", "file", "file-url"},
        {},
    ),
    "groq": (
        "https://api.groq.com/openai/v1",
        LOGPROBS | (RARE - {"user", "service_tier"}),
        IMAGES,
        messages(tool_name=False),
    ),
    "mistral": (
        "https://api.mistral.ai/v1",
        RARE - {"n", "metadata", "service_tier", "prompt_cache_key"},
        IMAGES,
        {**UNASKED, "seed": None, "random_seed": 7, "tool_choice": "any", **messages(call_id=SHORT)},
    ),
    "deepseek": (
        "https://api.deepseek.com",
        {"seed", "parallel_tool_calls"} | (RARE - {"user"}),
        set(),
        {**UNASKED, **USER_ID, **messages(reasoning="reasoning_content")},
    ),
    "together": (
        "https://api.together.xyz/v1",
        {"parallel_tool_calls"} | (RARE - {"n", "logit_bias"}),
        IMAGES,
        {**UNASKED, **LISTED, "logprobs": 2, "top_logprobs": None, **messages(reasoning="reasoning")},
    ),
    "xai": ("https://api.x.ai/v1", RARE - {"n", "logit_bias", "user"}, IMAGES, UNASKED),
    "perplexity": (
        "https://api.perplexity.ai",
        {"seed", "tools"} | CHOICES | LOGPROBS | (RARE - {"n"}),
        IMAGES,
        UNASKED,
    ),
    "fireworks": (
        "https://api.fireworks.ai/inference/v1",
        RARE - {"n", "logit_bias", "user", "metadata", "service_tier", "prompt_cache_key"},
        IMAGES,
        UNASKED,
    ),
    "cerebras": (
        "https://api.cerebras.ai/v1",
        PENALTIES | (RARE - {"n", "logit_bias", "user", "service_tier", "prompt_cache_key"}),
        IMAGES,
        UNASKED,
    ),
    "moonshot": (
        "https://api.moonshot.ai/v1",
        {"seed", "parallel_tool_calls"} | (RARE - {"n"}),
        IMAGES,
        COMPLETION | messages(reasoning="reasoning_content"),
    ),
    "dashscope": (
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        {"frequency_penalty"} | RARE,
        IMAGES,
        messages(reasoning="reasoning_content"),
    ),
    "zai": (
        "https://api.z.ai/api/paas/v4",
        PENALTIES | CHOICES | LOGPROBS | (RARE - {"user"}),
        IMAGES,
        UNASKED | USER_ID | messages(reasoning="reasoning_content", tool_name=False),
    ),
    "minimax": (
        "https://api.minimax.io/v1",
        {"seed", "response_format", "reasoning_effort"} | PENALTIES | CHOICES | LOGPROBS | RARE,
        set(),
        COMPLETION | messages(reasoning="reasoning_content"),
    ),
    "meta": ("https://api.meta.ai/v1", {"stop", "tool_choice"} | RARE, IMAGES, {}),
    "azure": (
        "https://res.openai.azure.com/openai/v1",
        set(),
        IMAGES | {"audio", "file"},
        {"max_tokens": None, "max_completion_tokens": 200},
    ),
    "huggingface": ("https://router.huggingface.co/v1", {"parallel_tool_calls"} | RARE, IMAGES, LISTED),
    "nvidia": ("https://integrate.api.nvidia.com/v1", RARE, IMAGES, messages(reasoning="reasoning_content")),
    "github": ("https://models.github.ai/inference", RARE, IMAGES, {}),
    "deepinfra": (
        "https://api.deepinfra.com/v1/openai",
        {"seed"} | CHOICES | LOGPROBS | (RARE - {"n", "logit_bias"}),
        IMAGES,
        {},
    ),
    "sambanova": (
        "https://api.sambanova.ai/v1",
        PENALTIES | (RARE - {"n", "logit_bias"}),
        IMAGES,
        messages(reasoning="reasoning", tool_name=False),
    ),
    "hyperbolic": (
        "https://api.hyperbolic.xyz/v1",
        {"parallel_tool_calls", "reasoning_effort"} | LOGPROBS | (RARE - {"n", "user"}),
        IMAGES,
        UNASKED,
    ),
    "nebius": ("https://api.tokenfactory.nebius.com/v1", RARE, IMAGES, {}),
    "vercel": ("https://ai-gateway.vercel.sh/v1", RARE, IMAGES, {}),
    "bedrock-mantle": ("https://bedrock-mantle.eu-west-1.api.aws/v1", RARE - {"verbosity"}, IMAGES, {}),
    "databricks": (
        "https://adb-1.azuredatabricks.net/serving-endpoints",
        {"seed", "parallel_tool_calls"} | PENALTIES | LOGPROBS | (RARE - {"n", "service_tier"}),
        IMAGES,
        UNASKED | messages(tool_name=False),
    ),
    "watsonx": (
        "https://eu-de.ml.cloud.ibm.com/ml/gateway/v1",
        {"reasoning_effort"} | (RARE - {"n", "logit_bias", "user", "metadata"}),
        IMAGES,
        {},
    ),
}
