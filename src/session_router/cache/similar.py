"""The third tier: near neighbours that guards and a verifier let pass, in strata that hold a certificate."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from session_router.cache.auditing import WouldBeHit
from session_router.cache.entry import Entry
from session_router.cache.guards import failing_guard
from session_router.cache.neighbours import agreement
from session_router.core.cached import CacheHit, CacheMiss, MissReason, Tier
from session_router.core.wager import Stratum, score_bin

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from session_router.cache.asked import Asked
    from session_router.cache.auditing import Audits
    from session_router.cache.checked import Checks
    from session_router.cache.indexes import VectorIndexes
    from session_router.cache.judge import AnswerJudge
    from session_router.cache.redis_indexes import RedisIndexes
    from session_router.cache.rows import EntryRows
    from session_router.cache.settings import CacheSettings
    from session_router.cache.strata import Strata
    from session_router.cache.verifier import PairVerifier

NEIGHBOURS_VERSION: Final = "neighbours 1"
"""Changes whenever a verifier may be told something else of the same neighbours."""

_CLOSENESS = (MissReason.NOTHING, MissReason.GUARDED, MissReason.UNVERIFIED, MissReason.VETOED)
"""Of misses: the later, the closer."""


def unit_vector(rows: object, dimension: int) -> NDArray[np.float32] | None:
    """Return the one row of an embedder's answer, or `None` where there is none of length 1: of such a text it knows nothing."""
    found = np.asarray(rows, dtype="<f4")
    if found.shape != (1, dimension):
        return None
    row: NDArray[np.float32] = np.ascontiguousarray(found[0])
    square = float(row @ row)
    return row if 0.99 < square < 1.01 else None  # noqa: PLR2004 -- what rounding may make of 1


class SimilarTier:
    """Looks among the near neighbours of a question.

    Args:
        rows: Where the entries lie.
        checks: Checks them after the fetch.
        indexes: Finds neighbours.
        verifier: Scores a pair.
        judge: Says which answers could be audited: no others are served.
        strata: The certificates.
        audits: Takes what would have been a hit.
        settings: Limits.
        embedder: Fingerprint.
    """

    def __init__(  # noqa: PLR0913 -- each is one of the parts that this tier joins
        self,
        rows: EntryRows,
        checks: Checks,
        *,
        indexes: VectorIndexes | RedisIndexes,
        verifier: PairVerifier,
        judge: AnswerJudge,
        strata: Strata,
        audits: Audits,
        settings: CacheSettings,
        embedder: str,
    ) -> None:
        self._rows, self._checks, self._indexes, self._verifier = rows, checks, indexes, verifier
        self._judge, self._strata, self._audits, self._settings = judge, strata, audits, settings
        self._embedder = embedder

    def look_up(self, asked: Asked, vector: NDArray[np.float32]) -> CacheHit | CacheMiss:
        """Return a hit of a certified stratum, or why there is none.

        Raises:
            Exception: Whatever a guard, the verifier or the rows raise: it is a miss.
        """
        near = self._indexes.search(asked.partition, vector, self._settings.neighbours, question=asked.question)
        if near is None:
            return CacheMiss(reason=MissReason.LATE, detail="the index is being built")
        cosines = {number: cosine for number, cosine in near if cosine >= self._settings.least_cosine}
        best = self._best(asked, vector, cosines) if cosines else MissReason.NOTHING
        if isinstance(best, MissReason):
            return CacheMiss(reason=best)
        return self._decided(asked, best)

    def _best(self, asked: Asked, vector: NDArray[np.float32], cosines: dict[int, float]) -> WouldBeHit | MissReason:
        """Return the neighbour that the verifier likes best, among those that nothing speaks against."""
        rows = {row.number: row for row in self._rows.by_numbers(asked.partition, list(cosines))}
        for gone in cosines.keys() - rows.keys():
            self._indexes.discard(asked.partition, gone)
        reason, best = MissReason.NOTHING, None
        started = time.monotonic()
        near: list[tuple[Entry, float]] = []
        for number in cosines:
            entry = self._checks.checked(rows[number], asked) if number in rows else MissReason.NOTHING
            if isinstance(entry, MissReason):
                reason = max(reason, entry, key=_closeness)
            elif len(entry.vector) == vector.nbytes:
                # What an index says is about right, or was written by somebody: the vector under the seal counts.
                near.append((entry, float(np.frombuffer(entry.vector, dtype="<f4") @ vector)))
        # What the reader may not see has no say either.
        for (entry, cosine), (agreeing, differing) in zip(near, agreement([entry.answer for entry, _ in near]), strict=True):
            judged = self._judged(asked, entry, cosine, agreeing=agreeing, differing=differing)
            if time.monotonic() - started > self._settings.check_seconds:
                return MissReason.LATE
            if isinstance(judged, MissReason):
                reason = max(reason, judged, key=_closeness)
            elif best is None or judged.score > best.score:
                best = judged
        return best or reason

    def _judged(self, asked: Asked, entry: Entry, cosine: float, *, agreeing: int, differing: int) -> WouldBeHit | MissReason:
        text = asked.question.text
        if failing_guard(text, entry.text) is not None:
            return MissReason.GUARDED
        score = float(self._verifier.score(text, entry.text, cosine=cosine, agreeing=agreeing, differing=differing))
        place = score_bin(score)
        if place is None:
            return MissReason.UNVERIFIED
        if score <= entry.floor:
            return MissReason.VETOED
        stratum = Stratum(category=entry.category, verifier=self._version(entry), score_bin=place)
        return WouldBeHit(entry=entry, question=text, stratum=stratum, score=score)

    def _version(self, entry: Entry) -> str:
        # How many neighbours have a say, and how near they must be, moves the scores as well.
        heard = f"{NEIGHBOURS_VERSION}, {self._settings.neighbours} from {self._settings.least_cosine}"
        return f"{self._verifier.version} | {heard} | {self._embedder} | {entry.model_class} | {self._judge.version}"

    def _decided(self, asked: Asked, would_be: WouldBeHit) -> CacheHit | CacheMiss:
        entry, stratum = would_be.entry, would_be.stratum
        if not self._judge.judges(entry.answer):
            return CacheMiss(reason=MissReason.UNCERTIFIED, detail="the judge could not audit this answer")
        if not (self._strata.wager(stratum).serves and self._settings.serve_similar):
            self._audits.expects(asked.exact, would_be)
            return CacheMiss(reason=MissReason.UNCERTIFIED, detail=f"{stratum.category}, bin {stratum.score_bin}")
        if self._audits.takes(asked.exact, would_be, now=asked.question.now):
            self._audits.expects(asked.exact, would_be)
            return CacheMiss(reason=MissReason.AUDITED, detail=f"{stratum.category}, bin {stratum.score_bin}")
        return hit_of(
            entry, Tier.SIMILAR, now=asked.question.now, score=would_be.score, stratum=f"{stratum.category}, bin {stratum.score_bin}"
        )


def hit_of(entry: Entry, tier: Tier, *, now: float, **evidence: Any) -> CacheHit:  # noqa: ANN401 -- the fields of a hit
    """Return `entry` as a hit."""
    return CacheHit(entry=entry.id, tier=tier, answer=entry.answer, age_seconds=max(0.0, now - entry.answer.at), **evidence)


def _closeness(reason: MissReason) -> int:
    return _CLOSENESS.index(reason) if reason in _CLOSENESS else len(_CLOSENESS)
