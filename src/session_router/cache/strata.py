"""The certificates of the strata at rest, shared by all that write to the same rows."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from session_router.cache.rows import Note
from session_router.core.wager import Stratum, Wager
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.cache.entry import EntryCodec
    from session_router.cache.rows import EntryRows
    from session_router.core.wager import Audit, Target

ATTEMPTS: Final = 20
"""Others may write the same stratum between reading and writing."""


class Strata:
    """Reads and amends wagers. Safe for threads and processes.

    A row that fails its checks counts as a stratum that was never audited, and is replaced: what is lost is a certificate.

    Args:
        rows: Where they lie.
        codec: Seals them.
        target: What is promised. Another target is another set of strata.
    """

    def __init__(self, rows: EntryRows, codec: EntryCodec, target: Target) -> None:
        self._rows, self._codec, self._target = rows, codec, target
        self._unaudited = Wager(target=target)
        self._prefix = "stratum " + hashlib.sha256(_written(target.to_plain())).hexdigest()[:16] + " "

    def wager(self, stratum: Stratum) -> Wager:
        """Return what the audits of a stratum have shown.

        Raises:
            StoreError: The rows gave no answer.
        """
        name = self._name(stratum)
        return self._read(name, self._rows.note(name))

    def audited(self, stratum: Stratum, audit: Audit) -> Wager | None:
        """Add an audit; return what the stratum is now, or `None` when it must not be opened, or others were faster.

        Raises:
            StoreError: The rows gave no answer.
        """
        name = self._name(stratum)
        for _ in range(ATTEMPTS):
            stored = self._rows.note(name)
            if stored is None and not self._has_room():
                return None
            amended = self._read(name, stored).observed(audit)
            payload = _written({"stratum": stratum.to_plain(), "wager": amended.to_plain()})
            note = Note(payload=payload, seal=self._seal(name, payload))
            if self._rows.write_note(name, note, seal=None if stored is None else stored.seal):
                return amended
        return None

    def all(self) -> dict[Stratum, Wager]:
        """Return every stratum of this target that was audited.

        Raises:
            StoreError: The rows gave no answer.
        """
        found: dict[Stratum, Wager] = {}
        for name, note in self._rows.notes().items():
            if name.startswith(self._prefix) and self._is_sealed(name, note):
                found[Stratum.from_plain(json.loads(note.payload)["stratum"])] = self._read(name, note)
        return found

    def _has_room(self) -> bool:
        # The certificates promise something about at most so many strata.
        return sum(name.startswith(self._prefix) for name in self._rows.notes()) < self._target.strata

    def _read(self, name: str, note: Note | None) -> Wager:
        found = _wager_of(note.payload) if note is not None and self._is_sealed(name, note) else None
        return found or self._unaudited

    def _name(self, stratum: Stratum) -> str:
        return self._prefix + _digest(stratum)

    def _is_sealed(self, name: str, note: Note) -> bool:
        return self._codec.same(self._seal(name, note.payload), note.seal)

    def _seal(self, name: str, payload: bytes) -> bytes:
        return self._codec.seal(payload, name.encode("ascii"))


# Every look-up that comes this far asks for one of a few strata, and most find it as the one before did.
@lru_cache(maxsize=256)
def _digest(stratum: Stratum) -> str:
    return hashlib.sha256(_written(stratum.to_plain())).hexdigest()


@lru_cache(maxsize=256)
def _wager_of(payload: bytes) -> Wager | None:
    try:
        return Wager.from_plain(json.loads(payload)["wager"])
    except (ValueError, KeyError, TypeError, ConfigurationError):
        return None


def _written(plain: object) -> bytes:
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
