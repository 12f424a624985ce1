"""Where each cell of the tables comes from: by provider, the documents that were read, and where they contradict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

__all__ = ["ADDRESS", "CONTRADICTIONS", "SOURCES", "Contradiction", "Kind", "Source"]

# Each provider has one source without cells: it stands for all cells, and the address, that no other source of the
# provider names. A cell is a column's heading, or a table's, for all of its columns. The kinds are the marks of
# docs/protocols/index.md.

Kind: TypeAlias = Literal["SDK", "documented", "observed", "source", "client", "run", "reported", "unverified"]

ADDRESS = "address and key"
"""The cell of the table of providers that has a source."""

_READ = "2026-11-27"


class Source(NamedTuple):
    """A document; the cells that it stands for, none for all others; and the day on which it was read."""

    document: str
    kind: Kind
    cells: tuple[str, ...] = ()
    read: str = _READ


class Contradiction(NamedTuple):
    """Two documents that do not say the same of a provider's cells, and what the provider's client does."""

    provider: str
    cells: tuple[str, ...]
    one: str
    other: str
    done: str


_USAGE = ("usage", "usage while streaming")
_PENALTIES = ("`presence_penalty`", "`frequency_penalty`")
_CHOICE = ("forced `tool_choice`",)
_PARALLEL = ("`parallel_tool_calls`",)
_EFFORT = ("`reasoning_effort`",)
_LOGPROBS = ("`logprobs`",)
_FORMATS = ("a schema", "JSON mode")
_MORE = ("More options",)

_OPENAI = Source("openai 3.57.0", "SDK")
_LITELLM = "litellm 1.110.2"
_ANY_LLM = "any-llm-sdk 1.40.2"
_OLD_CLIENT = Source("the older client for the site", "client")

SOURCES: Mapping[str, tuple[Source, ...]] = {
    "ai365vip": (_OLD_CLIENT,),
    "anthropic": (Source("anthropic 2.14.0", "SDK"),),
    "azure": (
        Source("openai 3.57.0, its `AzureOpenAI`", "SDK"),
        Source("recorded traffic", "observed", _USAGE),
    ),
    "bedrock-mantle": (
        Source("litellm 1.110.2, llms/bedrock_mantle", "client"),
        Source("openai 3.57.0, providers/bedrock.py; portkey.ai, Bedrock Mantle (15 Sep 2026)", "SDK", (ADDRESS,)),
    ),
    "cerebras": (
        Source("cerebras_cloud_sdk 1.91.0", "SDK"),
        Source("inference-docs.cerebras.ai/capabilities/reasoning", "documented", ("reasoning text", *_EFFORT)),
        Source("hexdocs.pm/req_llm/cerebras", "reported", (*_PENALTIES, *_PARALLEL)),
    ),
    "cohere": (Source("cohere 7.3.1", "SDK"),),
    "dashscope": (
        Source("@ai-sdk/alibaba 1.0.61", "client"),
        Source("alibabacloud.com/help/doc-detail/2833609 (18 Mar 2026); dashscope 2.0.2", "documented", (ADDRESS,)),
        Source(f"{_LITELLM}, llms/dashscope", "client", (*_EFFORT, *_LOGPROBS)),
        Source("no document read has them", "unverified", _MORE),
    ),
    "databricks": (
        Source(f"{_LITELLM}, llms/databricks", "client"),
        Source("databricks-sdk 0.162.0; any-llm-sdk 1.40.2", "SDK", (ADDRESS,)),
        Source("docs.databricks.com, Foundation model REST API reference", "documented", ("image", *_USAGE)),
    ),
    "deepinfra": (
        Source(f"{_LITELLM}, llms/deepinfra", "client"),
        Source(f"{_ANY_LLM}, providers/registry.py", "client", (ADDRESS, "reasoning text", "Parts")),
    ),
    "deepseek": (
        Source("@ai-sdk/deepseek 2.0.69", "client"),
        Source("api-docs.deepseek.com/guides/thinking_mode", "documented", ("reasoning text", *_EFFORT)),
        Source("recorded traffic", "observed", _USAGE),
        Source("no document read has it", "unverified", _PARALLEL),
    ),
    "fireworks": (Source("fireworks-ai 1.2.30", "SDK"),),
    "gemini": (Source("google-genai 3.6.1", "SDK"),),
    "github": (
        Source("docs.github.com/rest/models/inference", "documented"),
        Source(f"{_ANY_LLM}, providers/github; github.com/orgs/community/discussions/203602", "client", (ADDRESS,)),
    ),
    "groq": (
        Source("groq 1.7.0", "SDK"),
        Source("groq 1.7.0; github.com/withceleste/celeste-python/pull/351, live", "SDK", _USAGE),
    ),
    "huggingface": (
        Source("huggingface_hub 2.4.0, ChatCompletionInput", "SDK"),
        Source("github.com/api-evangelist/hugging-face, its OpenAPI (1 Oct 2026)", "reported", _EFFORT),
        Source("the same; huggingface.co/docs/inference-providers/guides/responses-api", "documented", (ADDRESS,)),
    ),
    "hyperbolic": (
        Source(f"{_LITELLM}, llms/hyperbolic", "client"),
        Source("@hyperbolic/ai-sdk-provider 2.0.0", "SDK", (ADDRESS,)),
        Source("no document read", "unverified", ("Parts",)),
    ),
    "llama.cpp": (
        Source("the server's code", "source"),
        Source("xllamacpp 2026.10.11549", "run", ("Answers", "`n`", "`logit_bias`")),
    ),
    "lmstudio": (
        Source("reports; no page of the maker's was found", "reported"),
        Source("no document read", "unverified", (*_PARALLEL, *_LOGPROBS, *_MORE, "Parts")),
    ),
    "local": (Source("the engine in this package, run by its tests", "run"),),
    "meta": (
        Source(f"{_LITELLM}, llms/openai_like/providers.json, and docs.litellm.ai/docs/providers/meta", "client"),
        Source(f"{_ANY_LLM}, providers/meta, which names dev.meta.ai/docs; promptfoo.dev", "client", (ADDRESS,)),
        Source("ocaml.org/p/chatoyant, verified there in Aug 2026", "reported", (*_CHOICE, "`stop`")),
        Source("no document read has them", "unverified", _MORE),
    ),
    "minimax": (
        Source("platform.minimax.io/docs/api-reference/text-openai-api", "documented"),
        Source(
            "java.agentscope.io/v2, MiniMax, which names MiniMax's schema",
            "reported",
            ("`seed`", *_PENALTIES, *_EFFORT, *_CHOICE, *_PARALLEL, *_FORMATS),
        ),
        Source("no document read has it", "unverified", (*_LOGPROBS, *_MORE, "Parts")),
    ),
    "mistral": (
        Source("mistralai 3.7.0", "SDK"),
        Source("recorded traffic", "observed", _USAGE),
    ),
    "moonshot": (
        Source("@ai-sdk/moonshotai 2.0.61", "client"),
        Source("any-llm-sdk 1.40.2; platform.moonshot.cn, Migrating from OpenAI", "documented", (ADDRESS,)),
        Source(f"{_LITELLM}, llms/moonshot", "client", ("`n`",)),
    ),
    "nebius": (
        Source(f"{_LITELLM}, llms/nebius, which sends all of OpenAI's options", "client"),
        Source("docs.tokenfactory.nebius.com/api-reference/introduction", "documented", (ADDRESS,)),
        Source(f"{_ANY_LLM}, providers/registry.py", "client", ("reasoning text", "Parts")),
        Source("no document read has them", "unverified", _MORE),
    ),
    "nvidia": (
        Source("docs.nvidia.com/nim/large-language-models: vLLM or SGLang inside", "documented"),
        Source("langchain-nvidia-ai-endpoints 1.5.0", "SDK", (ADDRESS, "reasoning text", "Parts")),
        Source("no document read has them", "unverified", _MORE),
    ),
    "ollama": (
        Source("the server's code", "source"),
        Source("ollama 0.6.3", "SDK", (ADDRESS, "Options")),
    ),
    "ollama-v1": (Source("the server's code", "source"),),
    "openai": (_OPENAI,),
    "openai-responses": (_OPENAI,),
    "openrouter": (
        Source("openrouter 1.3.84", "SDK"),
        Source("recorded traffic", "observed", ("Answers",)),
    ),
    "perplexity": (
        Source("perplexityai 0.46.1", "SDK"),
        Source(
            "docs.getbifrost.ai/providers/supported-providers/perplexity",
            "reported",
            ("`tools`", *_CHOICE, *_PARALLEL, *_LOGPROBS),
        ),
    ),
    "sambanova": (Source("sambanova 1.13.0", "SDK"),),
    "together": (Source("together 3.1.1", "SDK"),),
    "vercel": (
        Source("vercel.com/docs/ai-gateway/sdks-and-apis/openai-chat-completions (7 Oct 2026)", "documented"),
        Source("the same, File Attachments (27 Jul 2026)", "documented", ("image", "image by URL")),
        Source("no document read has them", "unverified", _MORE),
    ),
    "vllm": (Source("the server's code", "source"),),
    "watsonx": (
        Source("ibm-watsonx-ai 1.8.1, gateway", "SDK"),
        Source(
            "ibm.com/docs/watsonx, Inferencing models through the model gateway; langchain-ibm 1.1.2",
            "documented",
            (ADDRESS,),
        ),
    ),
    "xai": (
        Source("xai-sdk 1.21.0, of xAI's other wire", "SDK"),
        Source("litellm 1.110.2", "client", (ADDRESS, *_FORMATS, *_MORE)),
        Source("recorded traffic", "observed", _USAGE),
    ),
    "ylokh": (_OLD_CLIENT,),
    "yqcloud": (_OLD_CLIENT,),
    "yqcloud-legacy": (_OLD_CLIENT,),
    "zai": (
        Source("zai-sdk 0.2.3", "SDK"),
        Source("java.agentscope.io/v2, GLM", "reported", (*_PENALTIES, *_CHOICE, "usage while streaming")),
        Source("no document read has it", "unverified", (*_PARALLEL, *_LOGPROBS)),
    ),
}

CONTRADICTIONS: tuple[Contradiction, ...] = (
    Contradiction(
        "bedrock-mantle",
        (ADDRESS,),
        "litellm and portkey.ai: `/v1`, but for some models",
        "openai's own `bedrock`: `/openai/v1`",
        "`/v1`; give the other by `base_url=`",
    ),
    Contradiction(
        "cerebras",
        _PENALTIES,
        "the SDK has both",
        "hexdocs.pm: a 400",
        "refused; `extra=` sends them",
    ),
    Contradiction(
        "cerebras",
        _PARALLEL,
        "the SDK has it",
        "hexdocs.pm: a 400",
        "sent",
    ),
    Contradiction(
        "dashscope",
        (ADDRESS,),
        "Alibaba, 18 Mar 2026: one host for a region; Beijing is the default of litellm and any-llm",
        "Alibaba, 13 Oct 2026: a host for each workspace",
        "Singapore's; give another by `base_url=`",
    ),
    Contradiction(
        "dashscope",
        _CHOICE,
        "@ai-sdk/alibaba sends `required`",
        "docs.instructorphp.com sends `auto` in its place",
        "sent as the caller says",
    ),
    Contradiction(
        "deepseek",
        ("`temperature`", *_PENALTIES),
        "its clients send them",
        "Thinking Mode, which is on unless switched off, ignores them",
        "sent",
    ),
    Contradiction(
        "groq",
        _USAGE[1:],
        "groq 1.7.0: counts come when they are asked for",
        "github.com/vercel/ai/pull/1578 (2024): asking is a 400",
        "asked for: the newer counts",
    ),
    Contradiction(
        "minimax",
        (*_FORMATS, *_CHOICE),
        "litellm sends them",
        "agentscope.io: MiniMax documents neither",
        "refused; `extra=` sends them",
    ),
    Contradiction(
        "moonshot",
        _CHOICE,
        "litellm: no model takes `required`",
        "@ai-sdk/moonshotai: all but three take it",
        "sent",
    ),
    Contradiction(
        "nebius",
        (ADDRESS,),
        "Nebius: api.tokenfactory.nebius.com",
        "litellm and any-llm: api.studio.nebius.ai, its older name",
        "Nebius' own",
    ),
    Contradiction(
        "nvidia",
        (*_EFFORT, *_LOGPROBS),
        "docs.nvidia.com: vLLM or SGLang inside, which have them",
        "litellm's list, of July 2024, has neither",
        "sent",
    ),
    Contradiction(
        "perplexity",
        ("`tools`", *_CHOICE, *_PARALLEL, *_LOGPROBS),
        "the SDK has them",
        "docs.getbifrost.ai: no function calling, and no `stop` either",
        "refused but for `stop`",
    ),
    Contradiction(
        "perplexity",
        (ADDRESS,),
        "docs.perplexity.ai describes chat completions",
        "docs.stigg.io: they ended on 27 Sep 2026",
        "left as it is",
    ),
    Contradiction(
        "sambanova",
        _PENALTIES,
        "the SDK has both",
        "its own words: not implemented, taken for compatibility",
        "refused",
    ),
    Contradiction(
        "together",
        (ADDRESS,),
        "the SDK: api.together.ai",
        "litellm and most clients: api.together.xyz",
        "the older",
    ),
    Contradiction(
        "zai",
        _CHOICE,
        "the SDK has `tool_choice`",
        "agentscope.io: only `auto` is taken",
        "refused; `extra=` sends it",
    ),
)
