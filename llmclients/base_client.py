"""`BaseClient`: what the two clients have in common. Nothing here waits."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from typing_extensions import Self, Unpack

import llmclients
from llmclients.calls.chat import Backend, ChatArguments, ChatCall, Connections, OnComplete, prepare
from llmclients.calls.fallback import FallbackCall
from llmclients.calls.overrides import UNSET, Overrides, Unset, callers_mistake, checks_messages, with_system
from llmclients.calls.tracebacks import clear_locals, without_our_frames
from llmclients.calls.view import ViewOptions, changed_settings
from llmclients.config.client import ClientOptions, ClientSettings
from llmclients.config.fallback import check_options
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.errors import ConfigurationError
from llmclients.transports.base import client_closed
from llmclients.types.messages import Messages, as_messages
from llmclients.types.printing import short_repr

if TYPE_CHECKING:
    from llmclients.history.recording import Recorder
    from llmclients.history.store import History

__all__ = ["BaseClient"]


TransportT = TypeVar("TransportT", bound=Connections)
GivenT = TypeVar("GivenT")  # what a caller may bring in its place
StreamT = TypeVar("StreamT")
ConversationT = TypeVar("ConversationT")


class BaseClient(ABC, Generic[TransportT, GivenT, StreamT, ConversationT]):
    """What `Client` and `AsyncClient` have in common."""

    _kind: ClassVar[str]
    _recorder: Recorder | None = None

    def __init__(
        self,
        provider: llmclients.ProviderName | str = "local",
        *,
        transport: GivenT | None = None,
        log: bool | str | os.PathLike[str] | History | None = None,
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
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        copied._transport = copied._open_transport(self._given_transport)
        return copied

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """As `copy.copy`: what a client has besides its connections does not change."""
        return self.__copy__()

    @abstractmethod
    def _open_transport(self, given: GivenT | None) -> TransportT:
        """The client's own transport, or the one that it was given."""

    @abstractmethod
    def _chat(self, arguments: ChatArguments, max_turns: int | None) -> Any:
        """The answer, or what is awaited for it; with `max_turns`, after all turns of the tool loop."""

    @abstractmethod
    def _stream(self, arguments: ChatArguments, on_complete: OnComplete | None = None) -> StreamT:
        """The stream of a call that is prepared now and sent later."""

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
        **options: Unpack[llmclients.ChatOptions[Any]],
    ) -> StreamT:
        """The answer piece by piece. The request is sent when the first chunk is asked for.

        Args:
            model: the model of this call.
            system: a system text, sent before the messages, which then have none at their beginning.
            timeout: a `Timeout` in place of the client's, or the seconds to wait for the next bytes.
            headers: over the client's, to the first provider only.
            retry: a `RetryPolicy`, or number of attempts, in place of the client's; None for one attempt.
            restart: after a break, send the request again; a chunk marked `restarted` tells to discard what came.
            options: `temperature`, `max_tokens`, `tools`, `response_format` and what else `ChatOptions` has, as far as
                the provider's wire does.

        Raises:
            ConfigurationError: something cannot be sent. Errors of the call itself are raised while iterating.
        """
        try:
            overrides, headers = Overrides.given(timeout, headers, retry), None  # a traceback would show headers
            checked = as_messages(messages)
            if system is not None:
                checked = with_system(system, checked)
            return self._stream(ChatArguments(checked, model, options, restart=restart, overrides=overrides))
        except ConfigurationError as error:
            headers = None
            raise callers_mistake(error, messages, options)  # noqa: B904 - it is the same error

    def conversation(
        self,
        system: str | None = None,
        model: str | None = None,
        messages: Messages | None = None,
        **options: Any,
    ) -> ConversationT:
        """A new conversation: keeps its history, so that each turn is one message.

        Args:
            system: the system text, sent before the messages in every turn.
            model: the model of its turns.
            messages: the history to begin with.
            options: options of each of its turns that does not name them.

        Raises:
            ConfigurationError: one of the messages cannot be sent, or no call can have an option.
        """
        settings, clock = self._settings, self._transport.clock
        try:
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
            view = type(self).__new__(type(self))
            vars(view).update(vars(self))
            view._settings = changed_settings(self._settings, options)
            return view
        except ConfigurationError as error:
            del options
            raise without_our_frames(error)  # noqa: B904

    def __repr__(self) -> str:
        made = hasattr(self, "_settings")  # who shows a traceback's locals asks one whose constructor has failed, too
        return short_repr(type(self).__name__, [(None, self._settings.label if made else "")])

    def _prepare(self, arguments: ChatArguments, *, stream: bool) -> ChatCall | FallbackCall:
        transport = self._transport
        if transport.closed:
            raise client_closed()
        call = prepare(self._settings, transport.clock, arguments, stream=stream, transport=transport)
        return call if self._recorder is None else self._recorder.recorded(call, arguments.messages, arguments.options)

    def _check_open(self) -> None:
        """Raise ConfigurationError for a client that has been closed."""
        if self._transport.closed:
            raise client_closed()

    def _check_fallbacks(self) -> None:
        """Raise ConfigurationError for a client of the other kind: this one could not wait for it."""
        for settings, client in self._settings.fallbacks:
            if client is not None and client._kind != self._kind:
                what = f"fallback has {client!r}: {self._kind} can ask only a {self._kind}({settings.label!r})"
                raise ConfigurationError(what, argument="fallback")
