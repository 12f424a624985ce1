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
    "ollama-v1": ("http://localhost:11434/v1", CHOICES | LOGPROBS, {"image"}, {}),
    "llama.cpp": ("http://localhost:8080/v1", set(), IMAGES | {"audio"}, {}),
    "vllm": ("http://localhost:8000/v1", set(), IMAGES | {"audio"}, {}),
    "lmstudio": ("http://localhost:1234/v1", {"parallel_tool_calls"} | LOGPROBS, {"image"}, {}),
    "openrouter": ("https://openrouter.ai/api/v1", set(), IMAGES | {"audio", "file", "file-url"}, {}),
    "groq": ("https://api.groq.com/openai/v1", LOGPROBS, IMAGES, messages(tool_name=False)),
    "mistral": (
        "https://api.mistral.ai/v1",
        set(),
        IMAGES,
        {**UNASKED, "seed": None, "random_seed": 7, "tool_choice": "any", **messages(call_id=SHORT)},
    ),
    "deepseek": (
        "https://api.deepseek.com",
        {"seed", "parallel_tool_calls"},
        set(),
        {**UNASKED, **messages(reasoning="reasoning_content")},
    ),
    "together": (
        "https://api.together.xyz/v1",
        {"parallel_tool_calls"},
        IMAGES,
        {**UNASKED, **LISTED, "logprobs": 2, "top_logprobs": None, **messages(reasoning="reasoning")},
    ),
    "xai": ("https://api.x.ai/v1", set(), IMAGES, UNASKED),
    "perplexity": ("https://api.perplexity.ai", {"seed", "tools"} | CHOICES | LOGPROBS, IMAGES, UNASKED),
    "fireworks": ("https://api.fireworks.ai/inference/v1", set(), IMAGES, UNASKED),
    "cerebras": ("https://api.cerebras.ai/v1", PENALTIES, IMAGES, UNASKED),
    "moonshot": (
        "https://api.moonshot.ai/v1",
        {"seed", "parallel_tool_calls"},
        IMAGES,
        COMPLETION | messages(reasoning="reasoning_content"),
    ),
    "dashscope": (
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        {"frequency_penalty"},
        IMAGES,
        messages(reasoning="reasoning_content"),
    ),
    "zai": (
        "https://api.z.ai/api/paas/v4",
        PENALTIES | CHOICES | LOGPROBS,
        IMAGES,
        UNASKED | messages(reasoning="reasoning_content", tool_name=False),
    ),
    "minimax": (
        "https://api.minimax.io/v1",
        {"seed", "response_format", "reasoning_effort"} | PENALTIES | CHOICES | LOGPROBS,
        set(),
        COMPLETION | messages(reasoning="reasoning_content"),
    ),
    "meta": ("https://api.meta.ai/v1", {"stop", "tool_choice"}, IMAGES, {}),
    "azure": (
        "https://res.openai.azure.com/openai/v1",
        set(),
        IMAGES | {"audio", "file"},
        {"max_tokens": None, "max_completion_tokens": 200},
    ),
    "huggingface": ("https://router.huggingface.co/v1", {"parallel_tool_calls"}, IMAGES, LISTED),
    "nvidia": ("https://integrate.api.nvidia.com/v1", set(), IMAGES, messages(reasoning="reasoning_content")),
    "github": ("https://models.github.ai/inference", set(), IMAGES, {}),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", {"seed"} | CHOICES | LOGPROBS, IMAGES, {}),
    "sambanova": ("https://api.sambanova.ai/v1", PENALTIES, IMAGES, messages(reasoning="reasoning", tool_name=False)),
    "hyperbolic": (
        "https://api.hyperbolic.xyz/v1",
        {"parallel_tool_calls", "reasoning_effort"} | LOGPROBS,
        IMAGES,
        UNASKED,
    ),
    "nebius": ("https://api.tokenfactory.nebius.com/v1", set(), IMAGES, {}),
    "vercel": ("https://ai-gateway.vercel.sh/v1", set(), IMAGES, {}),
    "bedrock-mantle": ("https://bedrock-mantle.eu-west-1.api.aws/v1", set(), IMAGES, {}),
    "databricks": (
        "https://adb-1.azuredatabricks.net/serving-endpoints",
        {"seed", "parallel_tool_calls"} | PENALTIES | LOGPROBS,
        IMAGES,
        UNASKED | messages(tool_name=False),
    ),
    "watsonx": ("https://eu-de.ml.cloud.ibm.com/ml/gateway/v1", {"reasoning_effort"}, IMAGES, {}),
}
