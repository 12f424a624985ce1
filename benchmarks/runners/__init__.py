"""The runners: one client library each, used as its own documentation says.

A module has a class `Sync`, `Async`, or both, made with the base URL. `stream(take)` asks for one streamed answer and
calls `take` with every text that is not empty; `chat()` returns the text of one whole answer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol, TypeAlias

__all__ = ["RUNNERS", "AsyncRunner", "Runner", "SyncRunner", "Take", "load"]

Take: TypeAlias = Callable[[str], Any]


class SyncRunner(Protocol):
    """A synchronous library."""

    def stream(self, take: Take) -> None: ...

    def chat(self) -> str: ...

    def close(self) -> None: ...


class AsyncRunner(Protocol):
    """An asynchronous one."""

    async def stream(self, take: Take) -> None: ...

    async def chat(self) -> str: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Runner:
    """Which module drives the library, and how the page names it.

    Attributes:
        packages: the distributions whose versions matter.
        environment: libraries that cannot be installed together have one of their own.
    """

    label: str
    module: str
    packages: tuple[str, ...]
    environment: str = ""


RUNNERS = {
    "floor": Runner("bare socket + C JSON parser", "floor", ("pydantic-core",)),
    "protocol": Runner("bare protocol + C JSON parser", "protocol", ("pydantic-core", "uvloop")),
    "requests": Runner("requests loop", "requests_loop", ("requests", "urllib3")),
    "httpx": Runner("httpx loop", "httpx_loop", ("httpx", "httpcore", "h11")),
    "httpx-aiohttp": Runner("httpx over aiohttp loop", "httpx_aiohttp_loop", ("httpx", "httpx-aiohttp", "aiohttp")),
    "aiohttp": Runner("aiohttp loop", "aiohttp_loop", ("aiohttp",)),
    "llmclients": Runner("llmclients", "llmclients_sdk", ("llmclients", "pydantic")),
    "llmclients-bulk": Runner("llmclients, `bulk`", "llmclients_bulk", ("llmclients", "pydantic")),
    "openai": Runner("openai", "openai_sdk", ("openai", "httpx2", "jiter")),
    "openai-aiohttp": Runner("openai over aiohttp", "openai_aiohttp", ("openai", "aiohttp")),
    "any-llm": Runner("any-llm", "any_llm_sdk", ("any-llm-sdk", "openai")),
    "any-llm-function": Runner("any-llm, `completion()`", "any_llm_function", ("any-llm-sdk", "openai")),
    "litellm": Runner("litellm", "litellm_sdk", ("litellm", "openai", "httpx"), environment="litellm"),
}


def load(name: str, side: str) -> Callable[[str], Any]:
    """The class of a runner; its library is imported now."""
    module = import_module(f"benchmarks.runners.{RUNNERS[name].module}")
    runner: Callable[[str], Any] = getattr(module, side.capitalize())
    return runner
