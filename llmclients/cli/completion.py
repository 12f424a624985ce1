"""Completion in bash, zsh and fish. A shell asks this program at each Tab; argcomplete knows how."""

from __future__ import annotations

import argparse
from typing import Any

from llmclients.errors import ConfigurationError

__all__ = ["complete", "conversations", "first_text", "models", "models_of", "providers_and_models", "show"]


def show(arguments: argparse.Namespace) -> int:
    """Print what a shell is to evaluate."""
    try:
        from argcomplete.shell_integration import shellcode
    except ImportError:
        raise ConfigurationError('completion needs argcomplete: pip install "llmclients[cli]"') from None
    print(shellcode(["llmclients"], shell=arguments.shell))
    return 0


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell, and end the program. Nothing is asked from any provider."""
    import argcomplete

    argcomplete.autocomplete(parser)


def first_text(prefix: str, parsed_args: argparse.Namespace, **others: Any) -> list[str] | dict[str, str]:
    """The first word of a question, which may name a provider, or behind `--continue` a conversation; of the others
    nothing is known.
    """
    if parsed_args.texts:
        return []
    if parsed_args.continued == "":  # which may be without an id, so argcomplete takes what follows for the question
        return conversations(prefix)
    return [] if parsed_args.provider else providers_and_models(prefix)


def providers_and_models(prefix: str, **others: Any) -> list[str]:
    """Providers' names; behind a slash, the models of the one before it."""
    provider, slash, _ = prefix.partition("/")
    if slash:
        return [f"{provider}/{name}" for name in models_of(provider)]
    from importlib.metadata import entry_points

    from llmclients.providers.names import ENTRY_POINT_GROUP, ProviderName

    # The registry's names, without what each provider is: somebody waits who has pressed a key.
    installed = (entry.name.lower() for entry in entry_points(group=ENTRY_POINT_GROUP))
    return sorted({*ProviderName.__args__, *installed})  # type: ignore[attr-defined]


def models(prefix: str, parsed_args: argparse.Namespace, **others: Any) -> list[str]:
    """The models of the provider that is named before."""
    named = parsed_args.provider or next(iter(vars(parsed_args).get("texts") or []), "local")
    return models_of(named.partition("/")[0])


def models_of(name: str) -> list[str]:
    """What is known of a provider's models: its own list, what was listed last, and what was talked to."""
    from llmclients.cli.model_cache import kept_models
    from llmclients.providers.registry import find_provider

    try:
        provider = find_provider(name)
        started = provider.load_endpoint_models()
    except ConfigurationError:
        return []
    names = {*provider.models, *provider.model_aliases, *kept_models(provider.name), provider.default_model or ""}
    if started is not None:
        names.add(started()[0])
    for conversation in _last_conversations():
        if conversation.provider == provider.name:
            names.add(conversation.model or "")
    return sorted(names - {""})


def conversations(prefix: str, **others: Any) -> dict[str, str]:
    """The ids of the last conversations, with their titles."""
    return {conversation.id: conversation.title or "" for conversation in _last_conversations()}


def _last_conversations() -> list[Any]:
    from llmclients.errors import LLMClientError
    from llmclients.history import History, history_path

    try:
        path = history_path()
        if path is None or not path.exists():
            return []
        with History.open(path) as history:
            return history.conversations(50)
    except LLMClientError:
        return []
