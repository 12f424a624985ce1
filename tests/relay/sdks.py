"""The official SDKs as clients of a relay.

They are imported when first used: that takes as long as many a test, and each process of a run collects all tests. And
they load no certificates: the relay of a test has no TLS.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

__all__ = ["anthropic", "anthropic_sdk", "gemini", "gemini_sdk", "gemini_types", "ollama", "ollama_sdk", "openai"]
__all__ += ["openai_sdk"]


class _Later(ModuleType):
    """A module that is imported with the first look at what it has."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pytest looks at each name of a module of tests, whether it is a fixture, say
            raise AttributeError(name)
        return getattr(import_module(self.__name__), name)


if TYPE_CHECKING:
    import anthropic
    import ollama
    import openai
    from google import genai as gemini
    from google.genai import types as gemini_types
else:
    names = ("anthropic", "ollama", "openai", "google.genai", "google.genai.types")
    anthropic, ollama, openai, gemini, gemini_types = map(_Later, names)


def openai_sdk(url: str, prefix: str = "/openai/v1", **arguments: Any) -> openai.OpenAI:
    plain = openai.DefaultHttpxClient(verify=False)
    return openai.OpenAI(
        base_url=url + prefix, **({"api_key": "none", "max_retries": 0, "http_client": plain} | arguments)
    )


def anthropic_sdk(url: str, prefix: str = "/anthropic", **arguments: Any) -> anthropic.Anthropic:
    plain = anthropic.DefaultHttpxClient(verify=False)
    return anthropic.Anthropic(
        base_url=url + prefix, **({"api_key": "none", "max_retries": 0, "http_client": plain} | arguments)
    )


def gemini_sdk(url: str, key: str = "none") -> gemini.Client:
    plain = {"verify": False}
    options = gemini_types.HttpOptions(base_url=url, client_args=plain, async_client_args=plain)
    return gemini.Client(api_key=key, http_options=options)


def ollama_sdk(url: str) -> ollama.Client:
    return ollama.Client(host=url, verify=False)
