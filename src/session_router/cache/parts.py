"""The parts of a cache that live in one process: who waits for whom, what is under way, and the indexes."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from session_router.cache.auditing import Audits
from session_router.cache.background import Background
from session_router.cache.flights import Flights
from session_router.cache.indexes import VectorIndexes
from session_router.cache.similar import SimilarTier
from session_router.cache.verifier import BoundedVerifier

if TYPE_CHECKING:
    from session_router.cache.checked import Checks
    from session_router.cache.counts import Counts
    from session_router.cache.entry import EntryCodec
    from session_router.cache.judge import AnswerJudge
    from session_router.cache.rows import EntryRows
    from session_router.cache.settings import CacheSettings
    from session_router.cache.strata import Strata
    from session_router.cache.verifier import PairVerifier
    from session_router.ports import Embedder


@dataclass(frozen=True, slots=True, kw_only=True)
class Foundations:
    """What outlives a process, or has no state.

    Attributes:
        rows: Where entries lie.
        codec: Checks and seals them.
        checks: Checks them after a fetch.
        strata: The certificates.
        counts: What is told.
        settings: Limits.
        embedder: Finds what is similar; `None` for nothing.
        verifier: Scores a pair.
        judge: Compares answers.
    """

    rows: EntryRows
    codec: EntryCodec
    checks: Checks
    strata: Strata
    counts: Counts
    settings: CacheSettings
    embedder: Embedder | None
    verifier: PairVerifier
    judge: AnswerJudge


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts that live in one process.

    Attributes:
        flights: Who asks what.
        background: Audits and purges.
        building: Indexes that take long: minutes, for which no audit should wait.
        audits: Would-be hits.
        indexes: Vectors; `None` without an embedder.
        similar: The third tier; likewise.
        process: Whose parts these are.
    """

    flights: Flights
    background: Background
    building: Background
    audits: Audits
    indexes: VectorIndexes | None
    similar: SimilarTier | None
    process: int = field(default_factory=os.getpid)


def parts_of(on: Foundations) -> Parts:
    """Make the parts of this process."""
    background, building = Background(), Background()
    audits = Audits(on.rows, on.codec, strata=on.strata, judge=on.judge, settings=on.settings, background=background, counts=on.counts)
    indexes = similar = None
    if on.embedder is not None:
        indexes = VectorIndexes(
            on.rows,
            on.codec,
            dimension=on.embedder.dimension,
            background=building,
            on_tampered=on.checks.tampered,
            outline=on.verifier.outline if isinstance(on.verifier, BoundedVerifier) else None,
        )
        similar = SimilarTier(
            on.rows,
            on.checks,
            indexes=indexes,
            verifier=on.verifier,
            judge=on.judge,
            strata=on.strata,
            audits=audits,
            settings=on.settings,
            embedder=on.embedder.fingerprint,
        )
    on.checks.indexes = indexes
    flights = Flights(patience_seconds=on.settings.wait_seconds)
    return Parts(flights=flights, background=background, building=building, audits=audits, indexes=indexes, similar=similar)
