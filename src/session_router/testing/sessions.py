"""Sessions for tests: fresh ids, one session that uses every field, and a Hypothesis strategy."""

from __future__ import annotations

import secrets

from hypothesis import strategies as st

from session_router.core.boundary import Lock, LockKind
from session_router.core.model import ModelName
from session_router.core.session import Session, SessionId, Visit
from session_router.core.transcript import DIGEST_BYTES

_COUNTS = st.integers(min_value=0, max_value=2**40)
_DIGESTS = st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES)
_SECONDS = st.floats(min_value=0, max_value=4e9)
_MODEL_NAMES = st.text(min_size=1, max_size=20).map(ModelName)


def fresh_session_id() -> SessionId:
    """Return an id that no store has seen."""
    return SessionId(secrets.token_hex(32))


def full_session(session: SessionId, *, version: int = 1) -> Session:
    """Return a session in which no field has its default."""
    fast, strong = ModelName("fast"), ModelName("stärk-模型-\N{BRAIN}")
    return Session(
        id=session,
        version=version,
        current=strong,
        lock=Lock(kind=LockKind.TOOL_CALLS_UNANSWERED, model=strong, waiting_for=("call_1", "call_ü")),
        closed=b"\x00\xff" * (DIGEST_BYTES // 2),
        visits={
            fast: Visit(steps=3, digest=b"\x01" * DIGEST_BYTES, tokens=1_200, at=1_750_000_000.125),
            strong: Visit(steps=9, digest=b"\x02" * DIGEST_BYTES, tokens=2**40, at=1_750_000_060.1),
        },
        turn=4,
        call=2,
        switches=3,
        switched_at=1,
    )


def locks() -> st.SearchStrategy[Lock]:
    """Return locks of every kind."""
    return st.builds(
        Lock,
        kind=st.sampled_from(LockKind),
        model=st.none() | _MODEL_NAMES,
        waiting_for=st.lists(st.text(max_size=20), max_size=4).map(tuple),
    )


def visits() -> st.SearchStrategy[Visit]:
    """Return visits."""
    return st.builds(Visit, steps=_COUNTS, digest=_DIGESTS, tokens=_COUNTS, at=_SECONDS)


def sessions(*, version: int = 1) -> st.SearchStrategy[Session]:
    """Return sessions of one version, each with an id of its own."""
    return st.builds(
        Session,
        id=st.builds(fresh_session_id),
        version=st.just(version),
        current=st.none() | _MODEL_NAMES,
        lock=st.none() | locks(),
        closed=st.none() | _DIGESTS,
        visits=st.dictionaries(_MODEL_NAMES, visits(), max_size=4),
        turn=_COUNTS,
        call=_COUNTS,
        switches=_COUNTS,
        switched_at=st.none() | _COUNTS,
    )
