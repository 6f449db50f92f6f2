"""What routing remembers of one session: facts, never text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NewType

from session_router.core.boundary import Lock, LockKind
from session_router.core.model import ModelName
from session_router.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.transcript import Transcript

SessionId = NewType("SessionId", str)
"""64 hex digits: an HMAC over tenant, principal, thread, namespace and agent."""

SCHEMA = 1
"""Version of the plain form. Raise it when a field changes its meaning; readers refuse what they do not know."""

_LARGEST_COUNT = 2**53 - 1  # whole numbers up to here survive every JSON reader
_SESSION_ID = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """How far a model has read, and when.

    Attributes:
        steps: Messages it has read.
        digest: Digest of that prefix; while the transcript still has it there, the prefix may be warm.
        tokens: Tokens of that prefix: the provider's count when it reported one, else the estimate.
        at: POSIX seconds of the call.
    """

    steps: int
    digest: bytes
    tokens: int
    at: float

    @classmethod
    def of(cls, transcript: Transcript, *, at: float) -> Visit:
        """Read the whole transcript at `at` (POSIX seconds)."""
        prefix = transcript.prefix
        return cls(steps=len(transcript.steps), digest=prefix.digest, tokens=prefix.tokens, at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One conversation as routing sees it.

    Attributes:
        id: Who it is.
        version: Number of commits; the store's compare-and-set works on it.
        current: The model that answered last, or was chosen last; `None` before the first call.
        lock: The lock that the last answer left behind; a hint, see `boundary.find_lock`.
        closed: Digest of the step at which the last run ended; `None` when it did not say.
        visits: How far each model has read.
        turn: Number of the last routed turn.
        call: Number of routed calls in that turn.
        switches: Switches so far.
        switched_at: Turn of the last switch; `None` before the first.
    """

    id: SessionId
    version: int = 0
    current: ModelName | None = None
    lock: Lock | None = None
    closed: bytes | None = None
    visits: Mapping[ModelName, Visit] = field(default_factory=dict[ModelName, Visit])
    turn: int = 0
    call: int = 0
    switches: int = 0
    switched_at: int | None = None

    def committed(self) -> Session:
        """Return this session as the store will hold it: one version on."""
        return replace(self, version=self.version + 1)

    def visited(self, model: ModelName, transcript: Transcript, *, at: float) -> Session:
        """Return this session after `model` read the whole transcript at `at` (POSIX seconds)."""
        return replace(self, visits={**self.visits, model: Visit.of(transcript, at=at)})


def session_to_plain(session: Session) -> dict[str, Any]:
    """Return `session` as JSON-ready values."""
    lock = session.lock
    return {
        "schema": SCHEMA,
        "id": session.id,
        "version": session.version,
        "current": session.current,
        "lock": None if lock is None else {"kind": lock.kind.value, "model": lock.model, "waiting_for": list(lock.waiting_for)},
        "closed": None if session.closed is None else session.closed.hex(),
        "visits": {name: [visit.steps, visit.digest.hex(), visit.tokens, visit.at] for name, visit in session.visits.items()},
        "turn": session.turn,
        "call": session.call,
        "switches": session.switches,
        "switched_at": session.switched_at,
    }


def session_from_plain(plain: Mapping[str, Any]) -> Session:
    """Read back what `session_to_plain` wrote.

    Raises:
        StoreCorrupt: It is not a session of a known schema.
    """
    try:
        schema = plain["schema"]
        if schema != SCHEMA:
            found = f"schema {schema}" if isinstance(schema, int) and abs(schema) <= _LARGEST_COUNT else "no schema that is a number"
            msg = f"session row has {found}, this release reads {SCHEMA}; it is treated as lost."
            raise StoreCorrupt(msg)
        return _read(plain)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
        # Without what was found there: it can be nested too deep, or be too long, to be shown.
        msg = f"session row does not have the shape of schema {SCHEMA} ({type(error).__name__}); it is treated as lost."
        raise StoreCorrupt(msg) from error


def _read(plain: Mapping[str, Any]) -> Session:
    lock = plain["lock"]
    visits: dict[ModelName, Visit] = {}
    for name, (steps, digest, tokens, at) in plain["visits"].items():
        visits[ModelName(_text(name))] = Visit(steps=_count(steps), digest=bytes.fromhex(digest), tokens=_count(tokens), at=float(at))
    return Session(
        id=_session_id(plain["id"]),
        version=_count(plain["version"]),
        current=None if plain["current"] is None else ModelName(_text(plain["current"])),
        lock=None
        if lock is None
        else Lock(
            kind=LockKind(_text(lock["kind"])),
            model=None if lock["model"] is None else _text(lock["model"]),
            waiting_for=tuple(map(_text, lock["waiting_for"])),
        ),
        closed=None if plain["closed"] is None else bytes.fromhex(plain["closed"]),
        visits=visits,
        turn=_count(plain["turn"]),
        call=_count(plain["call"]),
        switches=_count(plain["switches"]),
        switched_at=None if plain["switched_at"] is None else _count(plain["switched_at"]),
    )


def _session_id(value: object) -> SessionId:
    text = _text(value)
    if not _SESSION_ID.fullmatch(text):
        msg = "a session's id has 64 hex digits"
        raise ValueError(msg)
    return SessionId(text)


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = f"found {type(value).__name__} where text belongs"
        raise TypeError(msg)
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"found {type(value).__name__} where a count belongs"
        raise TypeError(msg)
    if not 0 <= value <= _LARGEST_COUNT:
        msg = "a count is 0 or more, and below 2**53"
        raise ValueError(msg)
    return value
