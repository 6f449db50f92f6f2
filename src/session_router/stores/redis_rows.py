"""A session as one Redis value, and the script that puts one in the place of another."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from session_router.core.session_row import SCHEMA
from session_router.errors import StoreCorrupt
from session_router.stores.packing import VALUES
from session_router.stores.rows import Row, RowCodec

if TYPE_CHECKING:
    from session_router.core.session import Session, SessionId

FENCE_BYTES = 8
SEAL_BYTES = 32

STORED, STORED_OVER_NO_ROW = 1, 2
"""What `COMMIT` answers where it stored: over nothing or the row that was expected, or over a value of another type."""

COMMIT: Final = """
local expected, row, milliseconds = ARGV[1], ARGV[2], ARGV[3]
local head = redis.pcall('GETRANGE', KEYS[1], 0, math.max(#expected - 1, 0))
local stored = 1
if type(head) == 'table' then
    if not string.find(head['err'], 'WRONGTYPE', 1, true) then return head end
    if expected ~= '' then return '' end
    stored = 2
elseif head ~= expected then
    return redis.call('GET', KEYS[1])
end
if milliseconds == '0' then
    redis.call('SET', KEYS[1], row)
else
    redis.call('SET', KEYS[1], row, 'PX', milliseconds)
end
return stored
"""
"""Stores a row if what is stored begins as expected, nothing for nothing; otherwise returns what is stored. A value of another type
is nothing."""

LAYOUT: Final = 2
"""How a row is laid out. Raise it when that changes: rows of another layout are not read."""
_FORMAT: Final = b"sr%d" % LAYOUT
_HEADER = re.compile(_FORMAT + rb":(?P<version>[1-9][0-9]{0,15}):", re.DOTALL)


def key_of(prefix: str, session: SessionId) -> bytes:
    """Return the key of a session's row.

    Schema and layout are a part of it, so that releases that do not read each other's rows do not replace them either; and the braces
    say that only the id decides where in a cluster it lives.
    """
    return f"{prefix}:{SCHEMA}.{LAYOUT}:{{{session}}}".encode("utf-8", "surrogatepass")


def new_fence() -> bytes:
    """Return a name for one row, which no other row has."""
    return secrets.token_bytes(FENCE_BYTES)


def head_of(version: int, fence: bytes = b"") -> bytes:
    """Return how the row of `version`, and of that `fence` if it is known, begins; nothing for version 0."""
    return b"%s:%d:%s" % (_FORMAT, version, fence) if version else b""


def fenced_head_of(row: bytes) -> bytes:
    """Return the head of a row of ours, fence included."""
    return row[: row.index(b":", len(_FORMAT) + 1) + 1 + FENCE_BYTES]


class RedisRows:
    """Sessions to values and back: a head in the clear, which the script compares, a seal, and the session's values.

    Args:
        key: As for `RowCodec`.

    Raises:
        ConfigurationError: The key is too short.
    """

    def __init__(self, key: bytes) -> None:
        self._codec = RowCodec(key, packing=VALUES)

    def encode(self, session: Session, fence: bytes) -> bytes:
        """Return `session` as a value that begins with `head_of(session.version, fence)`."""
        row = self._codec.encode(session)
        return head_of(session.version, fence) + row.seal + row.payload

    def decode(self, session: SessionId, stored: bytes) -> Session:
        """Read the value that was found under the key of `session`.

        Raises:
            StoreCorrupt: It is no row of ours, or was altered.
        """
        header = _HEADER.match(stored)
        if header is None:
            msg = f"row of session `{session[:12]}...` is in no known format; it is treated as lost."
            raise StoreCorrupt(msg)
        after_fence = header.end() + FENCE_BYTES
        after_seal = after_fence + SEAL_BYTES
        row = Row(payload=stored[after_seal:], seal=stored[after_fence:after_seal])
        read = self._codec.decode(session, row)
        said = int(header["version"])
        if read.version != said:
            msg = f"row of session `{session[:12]}...` says version {said}, and holds {read.version}; it is treated as lost."
            raise StoreCorrupt(msg)
        return replace(read, row=stored[:after_fence])
