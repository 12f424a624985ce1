"""`ShardFolder`: the folder beside an output in which the caller of a run and the workers of a cluster meet."""

# Theory of operation
# -------------------
# `OUT.shards` is there while a run on a cluster is, and what a kill has left of it:
#
#     ID.job         what all shards of the run ID have in common, for the workers; the caller writes it once
#     state          the run that goes on, and what it wants: `ID go`, `ID drain`, `ID stop`
#     ID-N.rows      shard N: rows that are to be asked; the caller writes it once
#     ID-N.journal   what became of them: a journal as `OUT.journal` is one; the worker writes it
#     limits, wait   what the workers share: how much may go out, and until when nothing may
#
# The truth of a run is `OUT.journal`. When a shard is done, the caller copies its journal's lines behind those that are
# there, has them on the disk, and only then deletes the shard: a kill between any two of these steps loses nothing, and
# what is copied twice counts once, as the last record of a row does.
#
# A worker that dies leaves its shard's journal, and the next one goes on with it. A caller that dies leaves all of the
# folder: the next run, on a cluster or not, takes what the journals have before it begins (`rescue`), and deletes them.
# A worker of the dead run that is still at it holds the lock of its journal. It reads `state` twice a second, sees that
# it is not its run any more, and comes to its end: the next run waits for that.
#
# Journals are taken only by the run they are of: their headers have the time at which `OUT.journal` was begun.

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal, TypeAlias

from llmclients.bulk.journal import Journal, JournalBusyError, Record, sync_folder
from llmclients.errors import ConfigurationError

__all__ = ["Order", "ShardFolder"]

Order: TypeAlias = Literal["go", "drain", "stop"]
"""What workers are to do: ask, take no more rows, or give up those under way as well."""

_PATIENCE = 30.0  # seconds for workers of another run to come to an end, and as many again to break off
_LOOK = 0.2


class ShardFolder:
    """The folder of one output. Nothing is made before it is needed.

    Args:
        out: the output's path.
    """

    def __init__(self, out: str) -> None:
        self.out = os.path.abspath(out)
        self.path = f"{self.out}.shards"
        self.state = os.path.join(self.path, "state")
        self.limits = os.path.join(self.path, "limits")
        self.wait = os.path.join(self.path, "wait")

    def job(self, run: str) -> str:
        """The path of what all shards of a run have in common."""
        return os.path.join(self.path, f"{run}.job")

    def rows(self, run: str, shard: int) -> str:
        """The path of a shard's rows."""
        return os.path.join(self.path, f"{run}-{shard}.rows")

    def journal(self, run: str, shard: int) -> str:
        """The path of a shard's journal."""
        return os.path.join(self.path, f"{run}-{shard}.journal")

    # --- the caller's -----------------------------------------------------------------------------------------------

    def begin(self, run: str, job: bytes) -> None:
        """Make the folder, for a run whose workers are to go.

        Raises:
            OSError: it cannot be made.
        """
        os.makedirs(self.path, exist_ok=True)
        self._write(self.job(run), job)
        self.order(run, "go")

    def order(self, run: str, order: Order) -> None:
        """Tell the workers of a run what to do; those of others come to their end."""
        self._write(self.state, f"{run} {order}".encode())

    def _write(self, path: str, data: bytes) -> None:
        beside = f"{path}.part"
        with open(beside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        sync_folder(path)

    def merge(self, path: str, journal: Journal) -> Iterator[Record]:
        """Copy the rows of a shard's journal into the run's. They are safe, and the shard may go, after `sync`.

        Raises:
            JournalBusyError: a worker is still at it.
            OSError: one of the two cannot be read or written.
        """
        shard = Journal(path)  # which heals it
        try:
            begun = None if shard.header is None else shard.header.get("begun")
            if journal.header is not None and begun == journal.header.get("begun"):
                journal.damaged += shard.damaged
                yield from journal.take(path)
        finally:
            shard.close()

    def drop(self, run: str, shard: int) -> None:
        """Delete a shard."""
        for path in (self.rows(run, shard), self.journal(run, shard)):
            with suppress(FileNotFoundError):
                os.unlink(path)

    def remove(self) -> None:
        """Delete the folder: all of it is in the run's journal."""
        shutil.rmtree(self.path, ignore_errors=True)

    def rescue(self, journal: Journal) -> None:
        """Take what runs before this one have left in the folder, and delete it.

        Raises:
            ConfigurationError: workers of such a run are still at it, and do not end.
        """
        if not Path(self.path).is_dir():
            return
        self.order("none", "drain")
        begin = time.monotonic()
        for path in sorted(Path(self.path).glob("*.journal")):
            while not self._take(str(path), journal):
                waited = time.monotonic() - begin
                if waited > 2 * _PATIENCE:
                    raise ConfigurationError(
                        f"workers of an earlier run are still at {str(path)!r}: let them end", argument="out"
                    )
                if waited > _PATIENCE:
                    self.order("none", "stop")
                time.sleep(_LOOK)
        journal.sync()
        journal.written = journal.synced = 0  # they are not of this run
        self.remove()

    def _take(self, path: str, journal: Journal) -> bool:
        try:
            for _ in self.merge(path, journal):
                pass
        except JournalBusyError:
            return False
        return True

    # --- the workers' -----------------------------------------------------------------------------------------------

    def wanted(self, run: str) -> Order:
        """What a worker of this run is to do."""
        try:
            current, order = Path(self.state).read_text(encoding="utf-8").split()
        except (OSError, ValueError):  # it was deleted
            return "stop"
        if order == "go":
            return "go" if current == run else "drain"
        return "stop" if order == "stop" else "drain"
