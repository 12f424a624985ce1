"""What is said of an argument that is none where it was given: its name here, its place, or what to do instead.

People type first what another library has taught them. A hint is given only where it is sure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import Literal, TypeAlias

__all__ = ["ClientPlace", "hint_for", "hint_of_field"]

ClientPlace: TypeAlias = Literal["call", "map", "bulk", "conversation", "client", "view", "defaults"]
"""Where an argument was given: `chat` and `stream`, also of a conversation; `map`; `bulk`; `conversation`; `Client`;
`with_options`; `defaults=` of one of the last two."""

VIEW = ("model", "api_key", "headers", "timeout", "retry", "defaults")
"""The arguments of a client that a view of it may have in its own way."""

_OF_TOOLS = ("run_tools", "max_turns", "on_tool_call", "on_tool_result", "raise_tool_errors")
_OF_A_TURN = ("timeout", "headers", "retry", *_OF_TOOLS, "restart")
_OF_A_CALL = (*_OF_A_TURN, "model", "system", "messages")
_OF_MAP = ("concurrency", "as_completed", "progress")
_FURTHER = ("transport", "log")
"""Arguments of a client that are not among its options."""

_ALIASES: Mapping[str, str] = {
    **dict.fromkeys(("request_timeout", "timeout_seconds"), "timeout"),
    **dict.fromkeys(("extra_headers", "default_headers"), "headers"),
    **dict.fromkeys(
        ("max_completion_tokens", "max_output_tokens", "max_new_tokens", "max_tokens_to_sample"), "max_tokens"
    ),
    **dict.fromkeys(("system_prompt", "system_message", "system_instruction", "instructions"), "system"),
    **dict.fromkeys(("model_name", "model_id", "engine", "deployment", "azure_deployment", "deployment_name"), "model"),
    **dict.fromkeys(
        ("api_base", "base", "api_url", "endpoint", "azure_endpoint", "server_url", "url", "host"), "base_url"
    ),
    **dict.fromkeys(("token", "api_token", "apikey", "key"), "api_key"),
    **dict.fromkeys(("proxies", "proxy_url"), "proxy"),
    **dict.fromkeys(("ssl_verify", "verify_ssl"), "verify"),
    **dict.fromkeys(("http_client", "session"), "transport"),
    **dict.fromkeys(("fallbacks", "fallback_models"), "fallback"),
    **dict.fromkeys(("functions",), "tools"),
    **dict.fromkeys(("function_call",), "tool_choice"),
    **dict.fromkeys(
        (
            *("response_model", "response_schema", "text_format", "output_format", "format"),
            *("output_schema", "output_type", "result_type", "schema", "json_schema"),
        ),
        "response_format",
    ),
    **dict.fromkeys(("reasoning",), "reasoning_effort"),
    **dict.fromkeys(("random_seed",), "seed"),
    **dict.fromkeys(("stop_sequences", "stop_sequence"), "stop"),
    **dict.fromkeys(("extra_body",), "extra"),
    **dict.fromkeys(("history",), "messages"),
    **dict.fromkeys(("max_workers", "num_workers", "workers", "n_jobs", "max_concurrency"), "concurrency"),
    **dict.fromkeys(("num_ctx", "n_ctx"), "context_size"),
}
"""What other libraries call an argument, and what it is called here."""

_OF_HEADERS = {"organization": "OpenAI-Organization", "project": "OpenAI-Project"}

_SENTENCES: Mapping[str, str] = {
    "stream": "client.stream(…) gives the answer piece by piece, client.chat(…) the whole one",
    **{
        name: f"give retry=, how many attempts there are in all: {name}=2 is retry=3, and 0 is retry=None"
        for name in ("max_retries", "num_retries", "retries")
    },
    "restart": "client.stream(…, restart=True) has it",
    **dict.fromkeys(
        ("prompt", "input", "message", "query", "question"),
        "what to ask is the first argument, as in client.chat('Hello!')",
    ),
    **dict.fromkeys(
        ("json", "json_mode"), "response_format='json' asks for JSON, response_format=Invoice for an object"
    ),
    **dict.fromkeys(
        ("image", "images", "file", "files", "attachment", "attachments"),
        "it is a part of a message here: Message('user', ['What is this?', ImagePart(…)])",
    ),
    **{name: f"it is a header here: headers={{{header!r}: …}}" for name, header in _OF_HEADERS.items()},
}
"""What is said wherever it is given."""

_SENTENCES_OF_MAP: Mapping[str, str] = dict.fromkeys(
    ("prompt", "messages", "history"), "what to ask is the first argument, as in client.map(['Hello!', 'Hi!'])"
)
_SENTENCES_OF_BULK: Mapping[str, str] = {
    **dict.fromkeys(_OF_TOOLS, "bulk makes no calls: those that a model asks for are in the output's tool_calls"),
    **dict.fromkeys(("resume", "checkpoint"), "a run goes on by itself where its journal is, beside the output"),
    **{
        name: f"it is an argument of the client, or of a view: client.with_options({name}=…).bulk(…)"
        for name in ("timeout", "headers", "retry")
    },
    **dict.fromkeys(("prompts", "inputs", "messages"), "the rows are the first argument: a path, or an iterable"),
    **dict.fromkeys(("output", "output_path", "out_path"), "it is the second argument, out"),
}
_NOT_TAKEN: Mapping[str, str] = {
    "messages": _SENTENCES["prompt"],
    "model": "it is an argument of the conversation, client.conversation(model=…)",
}
"""Arguments of a call that come to be said of only where they are not taken: by a turn of a conversation, or twice."""

_MEMBERS: Mapping[str, str] = {"top_k": "a call sends it as extra={'top_k': …}, if the server takes it"}
"""Of options of a call that some wires have."""

_FIELDS: Mapping[str, str] = {"n": "call as often as you want answers"}
"""Of options that a wire may have no field for."""

_CUTOFF = 0.85  # below it are `callbacks` for `fallback`, `retry` for `extra`


_SENTENCES_OF: Mapping[str, Mapping[str, str]] = {"map": _SENTENCES_OF_MAP, "bulk": _SENTENCES_OF_BULK}


def hint_for(
    name: str,
    place: ClientPlace,
    options: Collection[str],
    arguments: Collection[str],
    others: Callable[[str], Collection[str]] = lambda name: (),
) -> str:
    """What to say behind "there is no … {name!r}": a colon and a hint, or nothing.

    Args:
        name: what was given.
        place: where it was given.
        options: the options that a call may have.
        arguments: the arguments of a client.
        others: finds the providers that have such an option, where this one has not.
    """
    if (sentence := _SENTENCES_OF.get(place, {}).get(name, _SENTENCES.get(name))) is not None:
        return f": {sentence}"
    if place == "call" and name in _NOT_TAKEN:
        return f": {_NOT_TAKEN[name]}"
    ours = _ALIASES.get(name) or re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
    if (sentence := _of_place(ours, place, options, arguments)) is not None:
        return f": {sentence}"
    here = _known(place, options, arguments)
    if ours in here and ours != name:
        return f": it is called {ours!r} here"
    if ours in options and place in ("client", "view"):
        return f": it is an option of a call, client.chat(…, {ours}=…), or of all, defaults={{{ours!r}: …}}"
    if member := "; ".join(filter(None, (_FIELDS.get(name), _who_has(others(name)), _MEMBERS.get(name)))):
        return f": {member}"
    return _nearest(name, here)


def _known(place: ClientPlace, options: Collection[str], arguments: Collection[str]) -> set[str]:
    """What may be given there."""
    if place == "call":
        return {*options, *_OF_A_CALL}
    if place == "conversation":
        return {*options, "system", "model", "messages"}
    if place == "bulk":
        return {*options, "concurrency", "model", "system", "template", "columns", "cache", "prices", "report"}
    if place == "map":
        return ({*options, *_OF_A_CALL} - {"messages", "restart"}) | {*_OF_MAP}
    return {*options} if place == "defaults" else {*VIEW} if place == "view" else {*arguments, *_FURTHER}


def _who_has(providers: Collection[str]) -> str | None:
    """That these have it, in alphabetical order."""
    *first, last = sorted(providers) or ("",)
    return (f"{', '.join(first)} and {last} have one" if first else f"{last} has one") if last else None


def hint_of_field(name: str) -> str:
    """What to say behind "its wire has no field for it"; mostly nothing."""
    return f"; {_FIELDS[name]}" if name in _FIELDS else ""


def _of_place(name: str, place: ClientPlace, options: Collection[str], arguments: Collection[str]) -> str | None:
    """What is said of an argument that exists, but not here."""
    of_client = name in arguments or name in _FURTHER
    if name in _OF_MAP and place not in ("map", "bulk"):
        return f"it is an argument of client.map(…, {name}=…)"
    if place in ("call", "map", "bulk"):
        if of_client and name not in options and name not in _OF_A_CALL:
            return f"it is an argument of the client, Client(…, {name}=…)"
        return None
    if place == "conversation":
        if name in _OF_A_TURN:
            return f"it is an argument of each turn, conversation.chat(…, {name}=…)"
        return f"it is an argument of the client, Client(…, {name}=…)" if of_client and name != "model" else None
    if place == "defaults":
        if of_client and name not in options:
            return f"it is an argument of the client itself, Client(…, {name}=…)"
        return f"it is an argument of each call, client.chat(…, {name}=…)" if name in _OF_A_CALL else None
    if place == "view" and name in ("limits", "log"):
        return f"a view shares its client's {name}: make a new client for another"
    if place == "view" and of_client and name not in VIEW:
        return f"a view shares its client's connections: make a new client for another {name}"
    if name in ("system", "messages"):
        return f"it is an argument of a call, client.chat(…, {name}=…), and of client.conversation(…, {name}=…)"
    if name in _OF_A_CALL and not of_client:
        return f"it is an argument of a call, client.chat(…, {name}=…)"
    return None


def _nearest(name: str, known: Collection[str]) -> str:
    """A hint for a misspelt name, or nothing."""
    import difflib

    swapped = (one for one in known if len(one) == len(name) and sorted(one) == sorted(name))
    near = next(swapped, None) or next(iter(difflib.get_close_matches(name, sorted(known), 1, _CUTOFF)), None)
    return f": did you mean {near!r}?" if near else ""
