"""`run_in_thread`: a `Client`'s run, in an event loop of its own in another thread, while the caller's thread waits."""

# By tasks, a row costs a third of what it costs by threads, so `Client.bulk` has an event loop as well; in a thread,
# because the caller's may have one already, as in a notebook. Signals come to the main thread, which waits here.

from __future__ import annotations

import asyncio
import threading
from typing import Any

from llmclients.bulk.arguments import BulkArguments
from llmclients.bulk.bulk import Bulk
from llmclients.bulk.bulk_report import BulkReport
from llmclients.bulk.signals import draining
from llmclients.bulk.threaded import ThreadedTransport
from llmclients.config.client import ClientSettings
from llmclients.transports import AsyncClientTransport, async_transport
from llmclients.transports.waiting import short_waits

__all__ = ["run_in_thread"]


class _AwaitedClient:
    """A client to fall back on, over a transport that is awaited."""

    _is_async = True

    def __init__(self, settings: ClientSettings, transport: Any) -> None:
        self._settings = settings
        self._transport = transport


def run_in_thread(client: Any, arguments: BulkArguments) -> BulkReport:
    """Run what a `Client` was asked for, and wait for it.

    Raises:
        KeyboardInterrupt: it was broken off, or drained, by a signal.
        Exception: as of `Bulk.run`.
    """
    transports: list[Any] = []

    def twin(client: Any) -> Any:
        """Connections with the same settings, awaited."""
        if client._given_transport is None:
            made: Any = async_transport(client._settings.transport, None)
        else:
            made = ThreadedTransport(client._transport, arguments.concurrency)
        transports.append(made)
        return made

    settings: ClientSettings = client._settings
    others = (
        other if other.client is None else other._replace(client=_AwaitedClient(other.settings, twin(other.client)))
        for other in settings.fallbacks
    )
    transport: AsyncClientTransport = twin(client)
    bulk = Bulk(settings._replace(fallbacks=tuple(others)), arguments, awaited=False)
    reports: list[BulkReport] = []
    failures: list[BaseException] = []

    async def run() -> BulkReport:
        try:
            return await bulk.run(transport)
        finally:
            for made in transports:
                await made.close()

    def work() -> None:
        try:
            reports.append(asyncio.run(run()))
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            failures.append(error)

    thread = threading.Thread(target=work, name="llmclients bulk")
    with draining(bulk.drain, bulk.cancel):
        thread.start()
        try:
            for seconds in short_waits():
                thread.join(seconds)
                if not thread.is_alive():
                    break
        except BaseException:  # not a signal's: those are handled
            bulk.cancel()
            thread.join()
            raise
    if failures:
        raise failures[0]
    if bulk.gave_up:
        raise KeyboardInterrupt
    return reports[0]
