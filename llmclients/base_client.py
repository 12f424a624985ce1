"""`BaseClient`: what the two clients have in common. Nothing here waits."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from typing_extensions import Self, Unpack

import llmclients
from llmclients.calls.arguments import (
    ChatArguments,
    OnComplete,
    call_arguments,
    callers_mistake,
    checks_messages,
    tool_options,
    with_system,
)
from llmclients.calls.call import Call
from llmclients.calls.chat import Backend, ChatCall, Connections, prepare
from llmclients.calls.overrides import UNSET, Overrides, Unset
from llmclients.calls.tracebacks import clear_locals, without_our_frames
from llmclients.calls.view import ViewOptions, background_settings, changed_settings, view_of
from llmclients.config.client import ClientOptions, ClientSettings
from llmclients.config.fallback import check_names, check_options
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.errors import ConfigurationError
from llmclients.transports.base import client_closed
from llmclients.types.messages import Messages, as_messages
from llmclients.types.printing import short_repr

if TYPE_CHECKING:
    from llmclients.bulk.rows import Rows
    from llmclients.calls.fallback import FallbackCall
    from llmclients.calls.tool_options import ToolOptions
    from llmclients.history.recording import Recorder

__all__ = ["BaseClient"]


TransportT = TypeVar("TransportT", bound=Connections)
GivenT = TypeVar("GivenT")  # what a caller may bring in its place
StreamT = TypeVar("StreamT")
ConversationT = TypeVar("ConversationT")


class BaseClient(ABC, Generic[TransportT, GivenT, StreamT, ConversationT]):
    """What `Client` and `AsyncClient` have in common."""

    _is_async = False
    _recorder: Recorder | None = None

    def __init__(
        self,
        provider: llmclients.ProviderName | str = "local",
        *,
        transport: GivenT | None = None,
        log: bool | str | os.PathLike[str] | llmclients.History | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        """A client of one provider. Nothing is sent yet.

        Args:
            provider: a provider's name, or `"name/model"`.
            model: the model of calls that name none.
            api_key: the key; default: the provider's environment variable. Blanks around it do not count.
            base_url: another server that speaks the provider's format. What the wire appends itself may be at its end.
            region: where the provider's service is asked, such as `us-east-1`, if it has an address for each region.
            model_path: the weights file (GGUF) of the local model.
            context_size: the most tokens of a prompt and its answer together, at the local model. Default 2048.
            threads: how many threads of the local model compute. Default: one less than there are processors.
            headers: further headers of every request; one of the provider's own name replaces it.
            timeout: a `Timeout`, or seconds to wait for the next bytes. Default: 10 to connect, 600 to read (120 of
                a stream), no deadline.
            retry: a `RetryPolicy`, a number of attempts, or None for one attempt. Default: three attempts.
            proxy: a proxy's URL, False for none, or None for the environment's.
            fallback: who is asked, in turn, when this one's attempts have failed: providers' names, or clients of the
                same kind, which keep their own keys, addresses, headers, limits and connections, and stay the caller's
                to close. Those that such a client falls back on follow it.
            defaults: options of every call that does not name them, such as `{"temperature": 0}`.
            trust_env: whether proxies and certificate authorities may come from the environment.
            verify: False for no certificate checks, or the file or folder of a certificate authority.
            cert: the client's own certificate, for servers that ask for one: a PEM file with its key, or a tuple of the
                certificate's file, the key's file and, where the key has one, its password.
            max_response_bytes: the most bytes of one response, decompressed. Default 64 MiB.
            limits: a `llmclients.bulk.Limits` to keep to what the provider allows a minute. Default: none. The
                providers to fall back on have no part in it.
            transport: what carries the requests in place of the client's own connections; the caller's to close.
            log: where each call and its answer are recorded: True for the user's history, a path, or a `History`.

        Raises:
            ConfigurationError: naming the argument that is wrong, or that no client has.
            HistoryError: the `log` cannot be used.
        """
        try:
            self._settings = ClientSettings.from_arguments(provider, **options)
            self._check_fallbacks()
            self._given_transport = transport
            self._transport = self._open_transport(transport)
            if log is not None and log is not False:
                from llmclients.history.recording import make_recorder

                self._recorder = make_recorder(log)
        except ConfigurationError as error:
            del options  # a traceback would show them, and they may hold the key
            clear_locals(error)
            raise without_our_frames(error)  # noqa: B904 - it is the same error
        except BaseException as error:
            del options
            clear_locals(error)
            raise

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: the settings, without the key. The process that loads them looks for it in its environment.

        Raises:
            TypeError: the client has something that cannot, or must not, leave this process.
        """
        if self._given_transport is not None:
            raise TypeError(f"{self!r} has a transport= of its maker's: it cannot be pickled")
        return {name: value for name, value in vars(self).items() if name != "_transport"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._transport = self._open_transport(None)

    def __copy__(self) -> Self:
        """The same client over connections of its own, open also where this one is closed; a transport that the caller
        brought is shared.
        """
        return view_of(self, _transport=self._open_transport(self._given_transport))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As `copy.copy`: what a client has besides its connections does not change."""
        return self.__copy__()

    def _map(
        self,
        prompts: Any,
        concurrency: int,
        as_completed: bool,
        progress: Any,
        options: dict[str, Any],
        over: Callable[[Any], Any] = lambda transport: transport,
    ) -> tuple[Rows, Callable[[Any], Any]]:
        """What a `map` is made of: its rows, and what answers a prompt.

        Args:
            options: what is left in it is options of a request.
            over: gives the transport by which rows go out in place of a client's, this one's or one's to fall back on.

        Raises:
            ConfigurationError: an argument is wrong. It is found here, before anything is sent.
        """
        from llmclients.bulk.cooldown import CoolDown
        from llmclients.bulk.rows import make_rows
        from llmclients.calls.row_arguments import RowArguments

        row = RowArguments.taken_from(options)
        check_names(self._settings, row.options, "map")
        settings = background_settings(self._settings, CoolDown, over)
        view = view_of(self, _settings=settings, _transport=over(self._transport))
        view._prepare(row.arguments("-"), row.tools, stream=False)  # what no row could have is found here
        row = row.parsed()
        rows = make_rows(prompts, concurrency, as_completed, progress, awaited=self._is_async)
        return rows, lambda prompt: view._chat(row.arguments(prompt), row.tools)

    @abstractmethod
    def _open_transport(self, given: GivenT | None) -> TransportT:
        """The client's own transport, or the one that it was given."""

    @abstractmethod
    def _chat(self, arguments: ChatArguments, tools: ToolOptions | None) -> Any:
        """The answer, or what is awaited for it; with tool options, after all turns of the tool loop."""

    @abstractmethod
    def _stream(
        self, arguments: ChatArguments, on_complete: OnComplete | None = None, tools: ToolOptions | None = None
    ) -> StreamT:
        """The stream of a call that is prepared now and sent later; with tool options, over all turns of the loop."""

    @abstractmethod
    def _conversation_type(self) -> Callable[..., ConversationT]:
        """What makes a conversation through this client. Loaded when first needed: few need it."""

    @checks_messages
    def stream(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        system: str | None = None,
        timeout: Timeout | float | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | int | Unset | None = UNSET,
        restart: bool = False,
        run_tools: bool = False,
        max_turns: int = 8,
        on_tool_call: llmclients.OnToolCall | None = None,
        on_tool_result: llmclients.OnToolResult | None = None,
        raise_tool_errors: bool = False,
        **options: Unpack[llmclients.ChatOptions[Any]],
    ) -> StreamT:
        """The answer piece by piece. The request is sent when the first chunk is asked for.

        Args:
            model: the model of this call.
            system: a system text, sent before the messages, which then have none at their beginning.
            timeout: a `Timeout` in place of the client's, or the seconds to wait for the next bytes.
            headers: over the client's, to the first provider only.
            retry: a `RetryPolicy`, or number of attempts, in place of the client's; None for one attempt.
            restart: after a break, send the request again; a chunk marked `restarted` tells to discard what came: with
                `run_tools`, what came since the last `tool_result`.
            run_tools: one stream over all turns of the tool loop: their chunks, and one with `tool_result` for each
                call. The rest is as in `chat`.
            max_turns: how often the model is asked then, at the most.
            on_tool_call: sees each call before any of its turn is made.
            on_tool_result: sees what came of each call.
            raise_tool_errors: raise what a tool raises, in place of telling the model.
            options: `temperature`, `max_tokens`, `tools`, `response_format` and what else `ChatOptions` has, as far as
                the provider's wire does.

        Raises:
            ConfigurationError: something cannot be sent. Errors of the call itself are raised while iterating.
        """
        try:
            tools = tool_options(run_tools, max_turns, on_tool_call, on_tool_result, raise_tool_errors)
            overrides, headers = Overrides.given(timeout, headers, retry), None  # a traceback would show headers
            return self._stream(call_arguments(messages, model, options, system, overrides, restart), None, tools)
        except ConfigurationError as error:
            headers = None
            raise callers_mistake(error, messages, options)  # noqa: B904 - it is the same error

    def conversation(
        self,
        system: str | None = None,
        model: str | None = None,
        messages: Messages | None = None,
        **options: Unpack[llmclients.ChatOptions[Any]],
    ) -> ConversationT:
        """A new conversation: keeps its history, so that each turn is one message.

        Args:
            system: the system text, sent before the messages in every turn.
            model: the model of its turns.
            messages: the history to begin with.
            options: options of each of its turns that does not name them.

        Raises:
            ConfigurationError: one of the messages cannot be sent, there are two system texts, or no call can have an
                option.
        """
        settings, clock = self._settings, self._transport.clock
        try:
            if system is not None:
                with_system(system, as_messages(messages or "-"))  # what no turn could send is found here
            if options:
                check_options(settings, options, "conversation")
            return self._conversation_type()(
                Backend(
                    provider=settings.provider.name,
                    new_state=lambda: settings.codec.conversation_state(clock.time()),
                    chat=self._chat,
                    stream=self._stream,
                ),
                system=system,
                model=model,
                messages=messages,
                options=options,
            )
        except ConfigurationError as error:
            raise without_our_frames(error)  # noqa: B904

    def with_options(self, **options: Unpack[ViewOptions]) -> Self:
        """Another view of this client: it shares connections and limits, and has its own way in what is named.

        Closing either closes the connections of both. None leaves an argument as it is, but of `retry`.

        Args:
            model: the model of calls that name none.
            api_key: the key, as for calls in another account's name.
            headers: over the client's.
            timeout: a `Timeout` in place of the client's, or the seconds to wait for the next bytes.
            retry: a `RetryPolicy`, or number of attempts, in place of the client's; None for one attempt.
            defaults: options of every call that does not name them, over the client's.

        Raises:
            ConfigurationError: naming the argument that is wrong, or that a view cannot change.
        """
        try:
            return view_of(self, _settings=changed_settings(self._settings, options))
        except ConfigurationError as error:
            del options
            raise without_our_frames(error)  # noqa: B904

    def __repr__(self) -> str:
        made = hasattr(self, "_settings")  # who shows a traceback's locals asks one whose constructor has failed, too
        return short_repr(type(self).__name__, [(None, self._settings.label if made else "")])

    def _prepare(self, arguments: ChatArguments, tools: ToolOptions | None = None, *, stream: bool) -> Call:
        if self._transport.closed:
            raise client_closed()
        if tools is None:
            return self._one_turn(arguments, stream=stream)
        from llmclients.calls.tool_call import ToolLoopCall
        from llmclients.calls.tool_loop import ToolLoop

        loop = ToolLoop(arguments, tools, self._settings.defaults, is_async=self._is_async)
        return ToolLoopCall(loop, lambda turn: self._one_turn(turn, stream=stream))

    def _one_turn(self, arguments: ChatArguments, *, stream: bool) -> ChatCall | FallbackCall:
        transport = self._transport
        call = prepare(self._settings, transport.clock, arguments, stream=stream, transport=transport)
        return call if self._recorder is None else self._recorder.recorded(call, arguments.messages, arguments.options)

    def _check_open(self) -> None:
        """Raise ConfigurationError for a client that has been closed."""
        if self._transport.closed:
            raise client_closed()

    def _flush_log(self) -> None:
        """Record the calls of streams that were left: they may be recorded with the next call, and there is none."""
        if self._recorder is not None:
            self._recorder.flush()

    def _check_fallbacks(self) -> None:
        """Raise ConfigurationError for a client of the other kind: this one could not wait for it."""
        for settings, client in self._settings.fallbacks:
            if client is not None and client._is_async != self._is_async:
                kind = "AsyncClient" if self._is_async else "Client"
                what = f"fallback has {client!r}: {kind} can ask only a {kind}({settings.label!r})"
                raise ConfigurationError(what, argument="fallback")
