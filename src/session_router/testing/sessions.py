"""Sessions for tests: fresh ids, one session that uses every field, and a Hypothesis strategy."""

from __future__ import annotations

import secrets

from hypothesis import strategies as st

from session_router.core.account import REMEMBERED_MARKS, Account
from session_router.core.belief import LARGEST_SHIFT, PRIOR_VARIANCE, Belief
from session_router.core.boundary import Lock, LockKind
from session_router.core.drift import Drift
from session_router.core.exposure import Exposure
from session_router.core.governance import Level, Tag
from session_router.core.ledger import Ledger
from session_router.core.model import ModelName
from session_router.core.pricing import USD
from session_router.core.segment import Habits, Segment
from session_router.core.session import Before, Reading, Session, SessionId, Visit
from session_router.core.step import DIGEST_BYTES
from session_router.core.upgrades import Upgrades
from session_router.testing.strategies import tags

_COUNTS = st.integers(min_value=0, max_value=2**40)
_DIGESTS = st.binary(min_size=DIGEST_BYTES, max_size=DIGEST_BYTES)
_SECONDS = st.floats(min_value=0, max_value=4e9)
_MODEL_NAMES = st.text(min_size=1, max_size=20).map(ModelName)
_AMOUNTS = st.floats(min_value=0, max_value=1e12)
_CHANCES = st.floats(min_value=0, max_value=1)
_DEVIATIONS = st.floats(min_value=-1, max_value=1)
_DOLLARS = _AMOUNTS.map(USD)
_CALLS = st.floats(min_value=1, max_value=1e6)


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
            fast: Visit(steps=3, digest=b"\x01" * DIGEST_BYTES, tokens=1_200, at=1_750_000_000.125, scale=1.3, held=0.0),
            strong: Visit(steps=9, digest=b"\x02" * DIGEST_BYTES, tokens=2**40, at=1_750_000_060.1, scale=0.75, held=0.525),
        },
        turn=4,
        call=2,
        switches=3,
        switched_at=1,
        account=full_account(fast, strong),
        tag=Tag(level=Level.CONFIDENTIAL, categories=frozenset({"pii"}), regions=frozenset({"eu"}), subjects=frozenset({"s1"})),
        exposures=(Exposure(model=fast, tag=Tag(level=Level.INTERNAL), until=1_750_003_600.5, ids=("00ff" * 4,)),),
        before=Before(
            account=Account(
                habits=Habits(weight=2.7, calls=3.5, pairs=3.8, growth=180.0, output=90.0, between=41.0, further=1.75, surprise=0.4),
                number=3,
                segment=Segment(start=3, first_tokens=500, last_tokens=700, calls=2),
                ledger=Ledger(anchor=fast, spent=USD(0.1), unmoved=USD(0.09)),
            ),
            current=fast,
            switches=2,
            switched_at=1,
            model=strong,
            visit=Visit(steps=5, digest=b"\x04" * DIGEST_BYTES, tokens=700, at=1_750_000_030.5, scale=0.75, held=0.5),
        ),
        readings=(Reading(tag=Tag(level=Level.RESTRICTED), at=1_750_000_061.5, reader="0123" * 4, step="4567" * 4, task="89ab" * 4),),
    )


def full_account(fast: ModelName, strong: ModelName) -> Account:
    """Return an account in which no field has its default."""
    return Account(
        habits=Habits(
            weight=3.4,
            growth_weight=1.9,
            between_weight=2.7,
            calls=2.5,
            pairs=2.8,
            growth=181.25,
            output=96.5,
            between=40.1,
            further=1.75,
            surprise=0.3,
        ),
        drift=Drift(weight=3.4, chances={fast: 0.1, strong: 0.9}, last={strong: -0.05}, variance=0.02, covariance=-0.01),
        number=4,
        segment=Segment(
            start=7,
            opening=b"\x03" * DIGEST_BYTES,
            model=strong,
            first_tokens=900,
            last_tokens=900,
            output=150,
            counted=1,
            predicted_calls=2.25,
            p_success=0.625,
        ),
        ledger=Ledger(anchor=fast, spent=USD(0.125), unmoved=USD(0.1)),
        work={fast: USD(0.0), strong: USD(0.003)},
        quiet=1,
        explored=USD(0.015),
        beliefs={fast: Belief(shift=-0.75, variance=0.125), strong: Belief(shift=0.5, variance=0.25)},
        marks=("00ff" * 4, "ab12" * 4),
        upgrades=Upgrades(evidence=1.5, capped=2, at=1_750_000_060.5),
    )


def _hex_digits(length: int) -> st.SearchStrategy[str]:
    return st.binary(min_size=length // 2, max_size=length // 2).map(bytes.hex)


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
    return st.builds(
        Visit,
        steps=_COUNTS,
        digest=_DIGESTS,
        tokens=_COUNTS,
        at=_SECONDS,
        scale=st.floats(min_value=1e-6, max_value=1e6),
        held=_CHANCES,
    )


def _drift(weight: float, needs: dict[ModelName, tuple[float, float | None]], variance: float, covariance: float) -> Drift:
    """Build a drift: what deviates has a mean."""
    return Drift(
        weight=weight,
        chances={name: chance for name, (chance, _) in needs.items()},
        last={name: last for name, (_, last) in needs.items() if last is not None},
        variance=variance,
        covariance=covariance,
    )


def exposures() -> st.SearchStrategy[Exposure]:
    """Return what providers may hold."""
    ids = st.lists(_hex_digits(16), max_size=4).map(tuple)
    return st.builds(Exposure, model=_MODEL_NAMES, tag=tags(), until=st.none() | _SECONDS, ids=ids)


def readings() -> st.SearchStrategy[Reading]:
    """Return what was read in graphs."""
    digests = st.just("") | _hex_digits(16)
    return st.builds(Reading, tag=tags(), at=_SECONDS, reader=digests, step=digests, task=digests)


def accounts() -> st.SearchStrategy[Account]:
    """Return accounts, of sessions and of the population."""
    habits = st.builds(
        Habits,
        weight=_AMOUNTS,
        growth_weight=_AMOUNTS,
        between_weight=_AMOUNTS,
        calls=_CALLS,
        pairs=_AMOUNTS,
        growth=_AMOUNTS,
        output=_AMOUNTS,
        between=_AMOUNTS,
        further=_AMOUNTS,
        surprise=_AMOUNTS,
    )
    drift = st.builds(
        _drift,
        _AMOUNTS,
        st.dictionaries(_MODEL_NAMES, st.tuples(_CHANCES, st.none() | _DEVIATIONS), max_size=4),
        _AMOUNTS,
        _DEVIATIONS,
    )
    segment = st.builds(
        Segment,
        start=_COUNTS,
        opening=_DIGESTS,
        model=st.none() | _MODEL_NAMES,
        first_tokens=_COUNTS,
        last_tokens=_COUNTS,
        calls=st.integers(min_value=1, max_value=2**40),
        output=_COUNTS,
        counted=_COUNTS,
        predicted_calls=_CALLS,
        p_success=st.none() | _CHANCES,
    )
    beliefs = st.builds(
        Belief,
        shift=st.floats(min_value=-LARGEST_SHIFT, max_value=LARGEST_SHIFT),
        variance=st.floats(min_value=0, max_value=PRIOR_VARIANCE, exclude_min=True),
    )
    return st.builds(
        Account,
        habits=habits,
        drift=drift,
        number=_COUNTS,
        segment=st.none() | segment,
        ledger=st.none() | st.builds(Ledger, anchor=_MODEL_NAMES, spent=_DOLLARS, unmoved=_DOLLARS),
        work=st.dictionaries(_MODEL_NAMES, _DOLLARS, max_size=4),
        quiet=_COUNTS,
        explored=_DOLLARS,
        beliefs=st.dictionaries(_MODEL_NAMES, beliefs, max_size=4),
        marks=st.lists(_hex_digits(16), max_size=REMEMBERED_MARKS).map(tuple),
        upgrades=st.builds(Upgrades, evidence=_AMOUNTS, capped=_COUNTS, at=_SECONDS),
    )


def befores() -> st.SearchStrategy[Before]:
    """Return what sessions were at a boundary."""
    return st.builds(
        Before,
        account=accounts(),
        current=st.none() | _MODEL_NAMES,
        switches=_COUNTS,
        switched_at=st.none() | _COUNTS,
        model=_MODEL_NAMES,
        visit=st.none() | visits(),
    )


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
        account=st.none() | accounts(),
        tag=st.none() | tags(),
        exposures=st.lists(exposures(), max_size=3).map(tuple),
        before=st.none() | befores(),
        readings=st.lists(readings(), max_size=3).map(tuple),
    )
