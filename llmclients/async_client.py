"""`AsyncClient`: the asynchronous client."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from typing_extensions import Unpack

import llmclients

# Before the others, which import pydantic ten modules deep. From Python 3.11 on the memory of frames comes in pieces of
# 16 KB: so deep, each of a thousand calls that pydantic makes would take one from the system, and give it back.
import llmclients.types.response
from llmclients.async_driver import AsyncDriver
from llmclients.async_stream import AsyncStream
from llmclients.base_client import BaseClient
from llmclients.calls.arguments import (
    ChatArguments,
    OnComplete,
    call_arguments,
    callers_mistake,
    checks_messages,
    tool_options,
)
from llmclients.calls.flow import Run
from llmclients.calls.overrides import UNSET, Overrides, Unset
from llmclients.calls.tracebacks import without_our_frames
from llmclients.config.values import RetryPolicy, Timeout
from llmclients.errors import ConfigurationError
from llmclients.misuse import misused
from llmclients.transports import AsyncClientTransport, AsyncTransport, async_transport
from llmclients.transports.base import running_loop
from llmclients.types.messages import Messages
from llmclients.types.response import AnswerT, ChatResponse

if TYPE_CHECKING:
    import os

    import httpx
    from typing_extensions import Self

    from llmclients.bulk.arguments import AsyncBulkRows, BulkCache
    from llmclients.bulk.async_map import AsyncMapResults
    from llmclients.bulk.bulk_report import BulkReport
    from llmclients.calls.tool_options import ToolOptions
    from llmclients.conversation import AsyncConversation
    from llmclients.transports.mock import MockTransport
    from llmclients.types.map_result import AsyncPrompts

__all__ = ["AsyncClient"]


class AsyncClient(
    BaseClient[
        AsyncClientTransport,
        "httpx.AsyncClient | MockTransport | AsyncTransport",
        "AsyncStream[Any]",
        "AsyncConversation",
    ]
):
    """`Client`, awaited. May be shared by tasks; event loops may come and go, each has connections of its own.

    Close it, or use it in an `async with`, to close its connections. `transport` may be an `httpx.AsyncClient`, a
    `MockTransport`, or an object with the `AsyncTransport` protocol.
    """

    _is_async = True

    @checks_messages
    async def chat(
        self,
        messages: Messages,
        *,
        model: str | None = None,
        system: str | None = None,
        timeout: Timeout | float | None = None,
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | int | Unset | None = UNSET,
        run_tools: bool = False,
        max_turns: int = 8,
        on_tool_call: llmclients.OnToolCall | None = None,
        on_tool_result: llmclients.OnToolResult | None = None,
        raise_tool_errors: bool = False,
        **options: Unpack[llmclients.ChatOptions[AnswerT]],
    ) -> ChatResponse[AnswerT]:
        """The whole answer to `messages`: text, a message, a dict, or a list of them.

        Args:
            model: the model of this call.
            system: a system text, sent before the messages, which then have none at their beginning.
            timeout: a `Timeout` in place of the client's, or the seconds to wait for the next bytes.
            headers: over the client's, to the first provider only.
            retry: a `RetryPolicy`, or number of attempts, in place of the client's; None for one attempt.
            run_tools: make the calls of `tools` that the model asks for, tell it the results, and so on until it
                answers. The answer's `messages` are all of it. A tool's errors are told to the model as well.
            max_turns: how often the model is asked then, at the most.
            on_tool_call: sees each call before any of its turn is made: returns None to let it be made, another
                `ToolCall` to be made instead, or `ToolDenied("why")`.
            on_tool_result: sees what came of each call: returns None to leave it, or another `ToolResult`, or its text.
            raise_tool_errors: raise what a tool raises, in place of telling the model.
            options: `temperature`, `max_tokens`, `tools`, `response_format` and what else `ChatOptions` has, as far as
                the provider's wire does.

        Raises:
            ConfigurationError: something cannot be sent; nothing was.
            APIError: the call failed, and so did its retries. `partial.intermediate_messages` is what `run_tools` did
                until then.
            StructuredOutputError: the answer is not what `response_format` asked for.
            ToolLoopError: after `max_turns` there is no answer, or it is empty.
        """
        try:
            tools = tool_options(run_tools, max_turns, on_tool_call, on_tool_result, raise_tool_errors)
            overrides, headers = Overrides.given(timeout, headers, retry), None  # a traceback would show headers
            return await self._chat(call_arguments(messages, model, options, system, overrides), tools)
        except ConfigurationError as error:
            headers = None
            raise callers_mistake(error, messages, options)  # noqa: B904 - it is the same error

    if TYPE_CHECKING:  # `BaseClient.stream`, which cannot say what this client's streams are of

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
            **options: Unpack[llmclients.ChatOptions[AnswerT]],
        ) -> AsyncStream[AnswerT]: ...

    @checks_messages
    def map(
        self,
        prompts: AsyncPrompts,
        *,
        concurrency: int = 10,
        as_completed: bool = False,
        progress: Any = None,
        **options: Unpack[llmclients.MapOptions],
    ) -> AsyncMapResults:
        """Many prompts, so many at a time: an iterator over what becomes of each, lazy, and in their order.

        An error of a prompt is its result, and the others go on. Prompts are taken as the results are: at most
        `2 * concurrency` are taken and not handed out. Asked to wait by the provider, all wait. Leaving the loop ends
        all that is under way; closing the client, too, and the loop then raises ConfigurationError.

        Args:
            prompts: what `chat` takes as messages, each of them; any iterable, awaited or not, endless ones too.
            concurrency: how many are asked at a time.
            as_completed: hand the results out as they come; `index` and `prompt` tell whose they are.
            progress: True for a bar of tqdm's or rich's, whichever is installed; or a bar of your own: a `tqdm`, or a
                `rich.progress.Progress`.
            options: what `chat` takes besides the messages, for all of them.

        Raises:
            ConfigurationError: an argument is wrong; nothing is sent.
        """
        from llmclients.bulk.async_map import AsyncMapResults, AsyncWork

        taken = cast(dict[str, Any], options)
        try:
            rows, ask = self._map(prompts, concurrency, as_completed, progress, taken)
        except ConfigurationError as error:
            raise callers_mistake(error, prompts, options, "map")  # noqa: B904 - it is the same error
        iterator = iter(prompts) if isinstance(prompts, Iterable) else aiter(prompts)
        return AsyncMapResults(AsyncWork(iterator, rows, ask, concurrency, self._transport))

    async def bulk(
        self,
        rows: AsyncBulkRows,
        out: str | os.PathLike[str],
        *,
        concurrency: int = 200,
        model: str | None = None,
        system: str | None = None,
        template: str | Callable[[Any], Any] | None = None,
        columns: Collection[str] | bool = (),
        retry_failed: bool = False,
        strict: bool = False,
        allow_changes: bool = False,
        cache: BulkCache = (),
        prices: tuple[float, float] | None = None,
        progress: Any = True,
        report: str | os.PathLike[str] | None = None,
        cluster: Any = None,
        **options: Unpack[llmclients.ChatOptions[Any]],
    ) -> BulkReport:
        """Ask the rows of a file, or of an iterable, and write the answers to a file: for very many of them.

        What is done is in a journal, `out` with `.journal` behind it: a second call with the same arguments asks only
        what is not, whatever ended the first. `out` is written at the end, in the order of the rows; Ctrl-C and SIGTERM
        let those under way come to their end first. A row that fails has its error in the output.

        Args:
            rows: a path (JSON lines, CSV, Parquet) or an iterable. A row is text, or an object with `prompt` or
                `messages`, and besides those `id`, `model`, `system` and any option of `chat`.
            out: the output's path, `.jsonl` or `.parquet`.
            concurrency: how many rows are asked at a time.
            model: the model of rows that name none.
            system: the system text of rows that have none.
            template: text with `{column}` in it, of which each row's prompt is made; or a function that makes a row.
            columns: names of the rows' own columns, or True for all, that the output has as `row`.
            retry_failed: ask the rows again that failed before.
            strict: raise the error of a row that cannot be asked; else it has its error in the output.
            allow_changes: go on with a journal of another input, model or other options: answers to requests that are
                as they were are kept.
            cache: outputs of other runs, whose answers to the same requests are taken, without asking.
            prices: what a million tokens cost, of requests and of answers, for the report's `cost`.
            progress: True for a line on standard error, or a bar as for `map`; False for nothing.
            report: a path to write the report to, as an HTML page.
            cluster: a Dask scheduler's address, such as `tcp://10.0.0.1:8786`, or a Dask client, whose workers ask,
                each `concurrency` rows at a time. They share the output's folder; the key is in their environment.
            options: as for `chat`, for all rows that do not name them.

        Raises:
            ConfigurationError: an argument is wrong, or has changed since the journal was begun; nothing is sent.
            AuthenticationError: the key is rejected; what was answered until then is kept.
            OSError: a file cannot be read or written.
            KeyboardInterrupt: Ctrl-C was pressed; what was answered until then is kept.
        """
        from llmclients.bulk.arguments import BulkArguments
        from llmclients.bulk.bulk import run_in_task

        self._check_open()
        try:
            arguments = BulkArguments.checked(
                rows,
                out,
                concurrency=concurrency,
                model=model,
                system=system,
                template=template,
                columns=columns,
                retry_failed=retry_failed,
                strict=strict,
                allow_changes=allow_changes,
                cache=cache,
                prices=prices,
                progress=progress,
                report=report,
                cluster=cluster,
                options=options,
            )
            if arguments.cluster is not None:
                from llmclients.bulk.cluster import run_on_cluster_in_task

                return await run_on_cluster_in_task(self, arguments)
            return await run_in_task(self._settings, self._transport, arguments)
        except ConfigurationError as error:
            raise without_our_frames(error)  # noqa: B904 - it is the same error

    async def models(self) -> list[str]:
        """The names of the provider's models: asked from the service where its wire has that, else those known.

        Raises:
            APIError: the service did not answer, or not with a list.
        """
        self._check_open()
        from llmclients.calls.listing import ModelListing

        listing = ModelListing(self._settings, self._transport.clock)
        return await AsyncDriver(Run(listing.names()), self._transport).result()

    async def close(self) -> None:
        """Close all connections, those of the client's views, too; nothing more is sent by them. Closing twice is fine.

        Streams that are open break off. A transport that the caller brought stays open, and so does a client to fall
        back on; and so do streams over them.
        """
        await self._transport.close()
        self._flush_log()

    async def __aenter__(self) -> Self:
        self._check_open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    if not TYPE_CHECKING:
        __enter__ = __exit__ = misused("an AsyncClient needs `async with`: for `with`, take Client")

    def _open_transport(self, given: httpx.AsyncClient | MockTransport | AsyncTransport | None) -> AsyncClientTransport:
        return async_transport(self._settings.transport, given)

    def _conversation_type(self) -> Callable[..., AsyncConversation]:
        from llmclients.conversation import AsyncConversation

        return AsyncConversation.begin

    async def _chat(self, arguments: ChatArguments, tools: ToolOptions | None) -> ChatResponse[Any]:
        if tools is not None:
            running_loop()  # tools run in its tasks and threads, whatever the transport
        call = self._prepare(arguments, tools, stream=False)
        return await AsyncDriver(Run(call.reply()), self._transport).result()

    def _stream(
        self, arguments: ChatArguments, on_complete: OnComplete | None = None, tools: ToolOptions | None = None
    ) -> AsyncStream[Any]:
        return AsyncStream(self._prepare(arguments, tools, stream=True), self._transport, on_complete)
