"""A row of the cache as one Redis value: the seal, what a script must read to remove it again, the vector, and the payload."""

from __future__ import annotations

import hashlib
import json
import secrets
import struct
from typing import TYPE_CHECKING, Any, Final, cast

from session_router.cache.entry import SealedEntry
from session_router.cache.rows import Note

if TYPE_CHECKING:
    from collections.abc import Sequence

SEAL_BYTES: Final = 32
FENCE_BYTES: Final = 8
_BEFORE: Final = SEAL_BYTES + FENCE_BYTES
_LENGTH: Final = struct.Struct(">I")


def value_of(row: SealedEntry) -> bytes:
    """Return `row` as a value. Its number is where it lies, and no part of it."""
    head = {
        "id": row.id,
        "partition": row.partition,
        "exact": row.exact.hex(),
        "content": row.content.hex(),
        "about": [subject_name(subject) for subject in row.subjects],
    }
    packed = json.dumps(head, separators=(",", ":")).encode("ascii")
    return b"".join((fenced(row.seal), _LENGTH.pack(len(packed)), packed, _LENGTH.pack(len(row.vector)), row.vector, row.payload))


def row_of(number: int, value: bytes, *, partition: str | None = None) -> SealedEntry:
    """Return the row in `value`. Whatever it is, a row is returned; what somebody else wrote fails the checks of its seal.

    Args:
        number: Where it lies.
        value: What lies there.
        partition: Where it was looked for, for what does not say where it belongs.
    """
    seal, (packed, rest) = value[:SEAL_BYTES], _apart(value[_BEFORE:])
    vector, payload = _apart(rest)
    head = _head(packed)
    return SealedEntry(
        number=number,
        id=_text(head, "id"),
        partition=_text(head, "partition") or partition or "",
        exact=_digest(head, "exact"),
        content=_digest(head, "content"),
        subjects=(),
        expires_at=None,
        payload=payload,
        vector=vector,
        seal=seal,
    )


def fenced(seal: bytes) -> bytes:
    """Return a seal and a fence, which no other writing has: two that write the same thing are told apart."""
    return seal + secrets.token_bytes(FENCE_BYTES)


def value_of_note(note: Note) -> bytes:
    """Return a note as a value."""
    return fenced(note.seal) + note.payload


def note_of(value: bytes) -> Note:
    """Return the note in `value`."""
    return Note(payload=value[_BEFORE:], seal=value[:SEAL_BYTES])


def rows_of(flat: Sequence[bytes], *, partition: str | None = None) -> list[SealedEntry]:
    """Return the rows in numbers and values that follow one another."""
    return [row_of(int(number), value, partition=partition) for number, value in zip(flat[::2], flat[1::2], strict=True)]


def subject_name(subject: str) -> str:
    """Return what stands for a subject in names of keys: of one length, and without a colon."""
    return hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _apart(rest: bytes) -> tuple[bytes, bytes]:
    if len(rest) < _LENGTH.size:
        return b"", b""
    (length,) = _LENGTH.unpack_from(rest)
    end = _LENGTH.size + length
    return rest[_LENGTH.size : end], rest[end:]


def _head(packed: bytes) -> dict[str, Any]:
    try:
        head: Any = json.loads(packed)
    except (ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", head) if isinstance(head, dict) else {}


def _text(head: dict[str, Any], name: str) -> str:
    found = head.get(name)
    return found if isinstance(found, str) else ""


def _digest(head: dict[str, Any], name: str) -> bytes:
    try:
        return bytes.fromhex(_text(head, name))
    except ValueError:
        return b""
