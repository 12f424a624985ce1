"""`RowArguments`: what each prompt of a `map` is asked with besides itself."""

from __future__ import annotations

from typing import Any, NamedTuple

from llmclients.calls.arguments import ChatArguments, call_arguments, tool_options
from llmclients.calls.overrides import Overrides
from llmclients.calls.tool_options import ToolOptions
from llmclients.types.response_format import as_response_format
from llmclients.types.tools import as_tools

__all__ = ["RowArguments"]


class RowArguments(NamedTuple):
    """The arguments of `chat` besides the messages, checked."""

    model: str | None
    system: str | None
    overrides: Overrides | None
    tools: ToolOptions | None
    options: dict[str, Any]

    @classmethod
    def taken_from(cls, options: dict[str, Any]) -> RowArguments:
        """Those of a `map`. Left in `options` are those of a request: no headers, which a traceback would show.

        Raises:
            ConfigurationError: one of them is wrong.
        """
        overrides = Overrides.given(**_taken(options, "timeout", "headers", "retry"))
        hooks = ("on_tool_call", "on_tool_result")
        tools = tool_options(**_taken(options, "run_tools", "max_turns", *hooks, "raise_tool_errors"))
        return cls(options.pop("model", None), options.pop("system", None), overrides, tools, options)

    def arguments(self, prompt: Any) -> ChatArguments:
        """The arguments of one prompt's call.

        Raises:
            InvalidRequestError: the prompt cannot be sent.
        """
        return call_arguments(prompt, self.model, self.options, self.system, self.overrides)

    def parsed(self) -> RowArguments:
        """The same with what takes long to make of an option, once a call with it has been checked: no row does it."""
        options = dict(self.options)
        for name, parse in (("tools", as_tools), ("response_format", as_response_format)):
            if options.get(name) is not None:
                options[name] = parse(options[name])
        return self._replace(options=options)


def _taken(options: dict[str, Any], *names: str) -> dict[str, Any]:
    """Those of these names, which are in the options no longer."""
    return {name: options.pop(name) for name in names if name in options}
