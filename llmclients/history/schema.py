"""The history's tables, and how a file of an older version becomes one of this version."""

# Theory of operation
# -------------------
# `conversation.leaf` is the last turn of the branch that is shown. The turns of a conversation are a tree, as each has
# a parent: whoever retries, edits or goes on from an older turn adds a sibling, and nothing is ever overwritten.
# `depth` is how many turns are before it on its branch, so that the length of a branch needs no count.
#
# An answer that streams is a turn with the state `streaming`, and its pieces are rows of `piece`: to append to `text`
# would copy the whole answer for each piece. When it ends, its text moves into the turn, and the pieces go. Who reads a
# turn adds the pieces to its text, whatever its state, so a turn is right at any moment at which its writer dies.
#
# `writer` names the lock file of the process that writes the answer (`writers.py`).
#
# The bytes of images and files are in `blob`, once for each hash; `turn_blob` says which turn has which.
#
# `turn_index` and `title_index` are FTS5 tables over the texts of the two others, kept by triggers. They hold no text.
#
# `chain` is a hash of a turn and all before it, for turns that a client recorded: by it the next call of the same chat
# is found to be its continuation.
#
# Migrations are forward only. A file says by `user_version` how many of them it has had; they run in one transaction.

from __future__ import annotations

__all__ = ["APPLICATION_ID", "MIGRATIONS"]

APPLICATION_ID = 0x6C6C6D63  # "llmc": tells our files from other programs' databases

_CONVERSATIONS = """
CREATE TABLE conversation (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT,
    created REAL NOT NULL,
    updated REAL NOT NULL,
    provider TEXT,
    model TEXT,
    system TEXT,
    source TEXT NOT NULL,
    options TEXT NOT NULL DEFAULT '{}',
    leaf INTEGER
)
"""

_TURNS = """
CREATE TABLE turn (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    conversation INTEGER NOT NULL REFERENCES conversation (number) ON DELETE CASCADE,
    parent INTEGER,
    depth INTEGER NOT NULL,
    role TEXT NOT NULL,
    text TEXT NOT NULL DEFAULT '',
    parts TEXT,
    reasoning TEXT,
    tool_calls TEXT,
    tool_call_id TEXT,
    name TEXT,
    is_error INTEGER,
    provider_data TEXT,
    provider TEXT,
    model TEXT,
    usage TEXT,
    cost REAL,
    finish_reason TEXT,
    error_kind TEXT,
    error_message TEXT,
    previous_errors TEXT,
    state TEXT NOT NULL,
    writer TEXT,
    started REAL NOT NULL,
    first_token REAL,
    ended REAL,
    chain BLOB
)
"""

_PIECES = """
CREATE TABLE piece (
    turn INTEGER NOT NULL REFERENCES turn (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (turn, number)
) WITHOUT ROWID
"""

_TURN_BLOBS = """
CREATE TABLE turn_blob (
    turn INTEGER NOT NULL REFERENCES turn (id) ON DELETE CASCADE,
    hash TEXT NOT NULL REFERENCES blob (hash),
    PRIMARY KEY (turn, hash)
) WITHOUT ROWID
"""


def _index(name: str, table: str, column: str, key: str) -> tuple[str, ...]:
    """A full-text index of one column of a table, and the triggers that keep it."""
    remove = f"INSERT INTO {name} ({name}, rowid, {column}) VALUES ('delete', old.{key}, old.{column});"
    add = f"INSERT INTO {name} (rowid, {column}) VALUES (new.{key}, new.{column});"
    return (
        f"CREATE VIRTUAL TABLE {name} USING fts5 ({column}, content='{table}', content_rowid='{key}', "
        "tokenize='unicode61 remove_diacritics 2', prefix='2 3')",
        f"CREATE TRIGGER {name}_insert AFTER INSERT ON {table} BEGIN {add} END",
        f"CREATE TRIGGER {name}_delete AFTER DELETE ON {table} BEGIN {remove} END",
        f"CREATE TRIGGER {name}_update AFTER UPDATE OF {column} ON {table} BEGIN {remove} {add} END",
    )


MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        _CONVERSATIONS,
        "CREATE INDEX conversation_updated ON conversation (updated, number)",
        _TURNS,
        "CREATE INDEX turn_parent ON turn (parent, conversation)",
        "CREATE INDEX turn_conversation ON turn (conversation)",
        "CREATE INDEX turn_streaming ON turn (state) WHERE state = 'streaming'",
        "CREATE INDEX turn_chain ON turn (chain) WHERE chain IS NOT NULL",
        _PIECES,
        "CREATE TABLE blob (hash TEXT PRIMARY KEY, media_type TEXT NOT NULL, data BLOB NOT NULL)",
        _TURN_BLOBS,
        "CREATE INDEX turn_blob_hash ON turn_blob (hash)",
        *_index("turn_index", "turn", "text", "id"),
        *_index("title_index", "conversation", "title", "number"),
    ),
)
"""Each is what one version adds to the one before it. One that was published never changes."""
