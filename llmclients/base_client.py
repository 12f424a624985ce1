"""`BaseClient`: what the two clients have in common. Nothing here waits."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from typing_extensions import Self, Unpack

import llmclients
from llmclients.calls.chat import Backend, ChatArguments, ChatCall, OnComplete, prepare
from llmclients.calls.fallback import FallbackCall
from llmclients.calls.tracebacks import clear_locals
from llmclients.config.client import ClientOptions, ClientSettings
from llmclients.transports.base import Clock
from llmclients.types.messages import Messages, as_messages
from llmclients.types.printing import short_repr

if TYPE_CHECKING:
    from llmclients.history.recording import Recorder

__all__ = ["BaseClient"]


class _HasClock(Protocol):
    clock: Clock


TransportT = TypeVar("TransportT", bound=_HasClock)
GivenT = TypeVar("GivenT")  # what a caller may bring in its place
StreamT = TypeVar("StreamT")
ConversationT = TypeVar("ConversationT")


class BaseClient(ABC, Generic[TransportT, GivenT, StreamT, ConversationT]):
    """What `Client` and `AsyncClient` have in common."""

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
            fallback: names of providers to try, in turn, when this one's attempts have failed.
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
            self._transport = self._open_transport(transport)
            self._has_caller_transport = transport is not None
            if log is not None and log is not False:
                from llmclients.history.recording import make_recorder

                self._recorder = make_recorder(log)
        except BaseException as error:
            del options  # a traceback would show them, and they may hold the key
            clear_locals(error)
            raise

    def __getstate__(self) -> dict[str, Any]:
        """For pickle: the settings, without the key. The process that loads them looks for it in its environment.

        Raises:
            TypeError: the client has something that cannot, or must not, leave this process.
        """
        if self._has_caller_transport:
            raise TypeError(f"{self!r} has a transport= of its maker's: it cannot be pickled")
        return {name: value for name, value in vars(self).items() if name != "_transport"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._transport = self._open_transport(None)

    def __copy__(self) -> Self:
        """The same client over connections of its own; a transport that the caller brought is shared."""
        copied = type(self).__new__(type(self))
        vars(copied).update(vars(self))
        if not self._has_caller_transport:
            copied._transport = copied._open_transport(None)
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

    def stream(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        restart: bool = False,
        **options: Unpack[llmclients.ChatOptions[Any]],
    ) -> StreamT:
        """The answer piece by piece. The request is sent when the first chunk is asked for.

        Args:
            model: the model of this call.
            restart: after a break, send the request again; a chunk marked `restarted` tells to discard what came.
            options: `temperature`, `max_tokens`, `tools`, `response_format` and what else `ChatOptions` has, as far as
                the provider's wire does.

        Raises:
            ConfigurationError: something cannot be sent. Errors of the call itself are raised while iterating.
        """
        return self._stream(ChatArguments(as_messages(messages), model, options, restart=restart))

    def conversation(
        self, system: str | None = None, model: str | None = None, messages: Messages | None = None
    ) -> ConversationT:
        """A new conversation: keeps its history, so that each turn is one message.

        Args:
            system: the system text, sent before the messages in every turn.
            model: the model of its turns.
            messages: the history to begin with.

        Raises:
            InvalidRequestError: one of the messages cannot be sent.
        """
        settings, clock = self._settings, self._transport.clock
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
        )

    def __repr__(self) -> str:
        made = hasattr(self, "_settings")  # who shows a traceback's locals asks one whose constructor has failed, too
        return short_repr(type(self).__name__, [(None, self._settings.label if made else "")])

    def _prepare(self, arguments: ChatArguments, *, stream: bool) -> ChatCall | FallbackCall:
        call = prepare(self._settings, self._transport.clock, arguments, stream=stream)
        return call if self._recorder is None else self._recorder.recorded(call, arguments.messages, arguments.options)
