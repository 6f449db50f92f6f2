"""One line of the log: what happened, whom it is about, and its place in the chain.

What leads back to a person lies apart from the facts, under a commitment: SHA-256 over it and a random salt. The chain runs over the
commitments, so that erasing what was personal, salt included, leaves a log that still verifies, and nobody can guess what it was.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from session_router.audit.canonical import encoded, number, text_of
from session_router.core.checking import is_count
from session_router.identity import checked_key

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION: Final = 1
"""Of the shape of a line. Readers refuse what they do not know."""

PERSONAL: Final = frozenset({"boundary", "decision_id", "entry", "prefix", "principal", "session", "subjects"})
"""Names in a record under which something leads back to a person."""

SALT: Final = "salt"
_SALT_BYTES: Final = 16
_PURPOSE: Final = b"session_router.audit 1"
_DIGEST_DIGITS: Final = 64


class Unreadable(ValueError):
    """It is no line of a log that this release writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line, read.

    Attributes:
        sequence: Its number, from 1.
        at: POSIX seconds at which it was written.
        previous: SHA-256 of the line before, as it is when erased; 64 hex digits. Of the first line: random, the log's origin.
        seal: HMAC-SHA256 over everything but what is personal; 64 hex digits.
        facts: What happened; `None` for a note.
        personal: Whom it is about, and the salt of `commitment`; `None` when erased, and for a note.
        commitment: SHA-256 of `personal`; 64 hex digits, empty for a note.
        note: What the log says of itself; `None` for a record.
    """

    sequence: int
    at: float
    previous: str
    seal: str
    facts: Mapping[str, Any] | None = None
    personal: Mapping[str, Any] | None = None
    commitment: str = ""
    note: Mapping[str, Any] | None = None

    @property
    def erased(self) -> bool:
        """Whether whom it is about was erased."""
        return self.facts is not None and self.personal is None

    def record(self) -> dict[str, Any]:
        """Return the record as it was appended; what is erased is missing."""
        personal = {name: value for name, value in (self.personal or {}).items() if name != SALT}
        return {**(self.facts or {}), **personal}


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A line, and what the next one needs of it.

    Attributes:
        text: The line, without its end.
        digest: SHA-256 of the line as it is when erased; 64 hex digits.
    """

    text: bytes
    digest: str


class LineCodec:
    """Writes lines, and says whether they are as they were written. Safe to use from many threads.

    Args:
        key: 16 bytes or more. Seals use a key derived from it.
        personal: Names in a record under which something leads back to a person.

    Raises:
        ConfigurationError: The key is too short.
    """

    def __init__(self, key: bytes, *, personal: frozenset[str] = PERSONAL) -> None:
        self._key = hmac.digest(checked_key(key), _PURPOSE, hashlib.sha256)
        self._personal = personal

    def parts(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """Return facts and what is personal of a record, as canonical text; the salt is drawn here.

        Raises:
            ValueError: A number has no place in JSON.
            TypeError: A value is not plain.
        """
        personal: dict[str, Any] = {SALT: os.urandom(_SALT_BYTES).hex()}
        facts: dict[str, Any] = {}
        for name, value in record.items():
            if name in self._personal:
                personal[name] = value
            else:
                facts[name] = value
        return text_of(facts), text_of(personal)

    def record(self, facts: str, personal: str, *, sequence: int, at: float, previous: str) -> Written:
        """Write a record of what `parts` made."""
        commitment = hashlib.sha256(encoded(personal)).hexdigest()
        return self._written(f'"commitment":"{commitment}","facts":{facts}', personal, sequence=sequence, at=at, previous=previous)

    def note(self, note: Mapping[str, Any], *, sequence: int, at: float, previous: str) -> Written:
        """Write what the log says of itself."""
        return self._written(f'"note":{text_of(dict(note))}', "", sequence=sequence, at=at, previous=previous)

    def read(self, text: bytes) -> Line:
        """Read a line; its seal is not checked.

        Raises:
            Unreadable: It is something else, or is not written as this release writes it.
        """
        try:
            line = _line(json.loads(text, parse_int=_number))
            if self._text(line) != text:
                raise Unreadable
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise Unreadable from error
        return line

    def is_sealed(self, line: Line) -> bool:
        """Whether all of `line` is as it was written, but for what was erased."""
        body = _body(line)
        expected = self._seal(_sealed(body, sequence=line.sequence, at=number(line.at), previous=line.previous))
        if not hmac.compare_digest(expected, line.seal):
            return False
        return line.personal is None or hashlib.sha256(encoded(text_of(dict(line.personal)))).hexdigest() == line.commitment

    def digest(self, line: Line) -> str:
        """Return what the next line must name as `previous`."""
        return hashlib.sha256(self.erased_text(line)).hexdigest()

    def erased_text(self, line: Line) -> bytes:
        """Return `line` without what leads back to a person."""
        return encoded(_whole(_body(line), "", line.seal, sequence=line.sequence, at=number(line.at), previous=line.previous))

    def sealed(self, payload: bytes, purpose: bytes) -> str:
        """Return the HMAC of something that belongs to the log; 64 hex digits."""
        return hmac.digest(self._key, purpose + b"\n" + payload, hashlib.sha256).hex()

    def _written(self, body: str, personal: str, *, sequence: int, at: float, previous: str) -> Written:
        written_at = number(at)
        seal = self._seal(_sealed(body, sequence=sequence, at=written_at, previous=previous))
        erased = encoded(_whole(body, "", seal, sequence=sequence, at=written_at, previous=previous))
        whole = encoded(_whole(body, personal, seal, sequence=sequence, at=written_at, previous=previous)) if personal else erased
        return Written(text=whole, digest=hashlib.sha256(erased).hexdigest())

    def _text(self, line: Line) -> bytes:
        personal = "" if line.personal is None else text_of(dict(line.personal))
        return encoded(_whole(_body(line), personal, line.seal, sequence=line.sequence, at=number(line.at), previous=line.previous))

    def _seal(self, sealed: str) -> str:
        return self.sealed(encoded(sealed), b"line")


# Names in canonical order, so that the parts need not be sorted again. A body is `commitment` and `facts`, or `note`.


def _sealed(body: str, *, sequence: int, at: str, previous: str) -> str:
    return f'{{"at":{at},{body},"previous":"{previous}","sequence":{sequence},"version":{VERSION}}}'


def _whole(body: str, personal: str, seal: str, *, sequence: int, at: str, previous: str) -> str:
    whose = f'"personal":{personal},' if personal else ""
    return f'{{"at":{at},{body},{whose}"previous":"{previous}","seal":"{seal}","sequence":{sequence},"version":{VERSION}}}'


def _body(line: Line) -> str:
    if line.note is not None:
        return f'"note":{text_of(dict(line.note))}'
    return f'"commitment":"{line.commitment}","facts":{text_of(dict(line.facts or {}))}'


def _number(text: str) -> float:
    """Read a whole number; one beyond 2**53 was written of a float."""
    value = int(text)
    return value if is_count(abs(value)) else float(text)


def _line(plain: object) -> Line:
    if not isinstance(plain, dict):
        raise TypeError
    table = cast("dict[str, Any]", plain)
    sequence, at = table["sequence"], table["at"]
    if table["version"] != VERSION or not is_count(sequence) or sequence == 0 or isinstance(at, bool) or not isinstance(at, int | float):
        raise ValueError
    is_note = "note" in table
    if not isinstance(table["note" if is_note else "facts"], dict) or not isinstance(table.get("personal", {}), dict):
        raise TypeError
    return Line(
        sequence=sequence,
        at=float(at),
        previous=_hex(table["previous"]),
        seal=_hex(table["seal"]),
        facts=None if is_note else table["facts"],
        personal=table.get("personal"),
        commitment="" if is_note else _hex(table["commitment"]),
        note=table["note"] if is_note else None,
    )


def _hex(value: object) -> str:
    # Compared later as text, so it must be written in one way.
    if not isinstance(value, str) or len(value) != _DIGEST_DIGITS or bytes.fromhex(value).hex() != value:
        raise ValueError
    return value
