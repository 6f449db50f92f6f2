"""What a session file holds."""

from __future__ import annotations

from typing import Final

from session_router.files.sqlite_file import FileKind

APPLICATION_ID: Final = 0x53525354
"""`SRST`: says in the file's header whose it is."""

SCHEMA_VERSION: Final = 1
"""Version of the tables, in the file's header. What a row holds has a schema of its own."""

_TABLE = """
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    payload TEXT NOT NULL,
    seal BLOB NOT NULL,
    last_call REAL NOT NULL
)
"""

SESSIONS: Final = FileKind(
    name="session database",
    application_id=APPLICATION_ID,
    schema_version=SCHEMA_VERSION,
    tables=(_TABLE,),
    probes=("SELECT id, payload, seal, last_call FROM sessions LIMIT 0",),
    instead="for sessions that end with the process use `MemorySessionStore()`",
)
