"""The third tier: near neighbours that guards and a verifier let pass, in strata that hold a certificate."""

from __future__ import annotations

import time
from math import inf
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from session_router.cache.auditing import WouldBeHit
from session_router.cache.candidates import Candidate, closer, seen
from session_router.cache.facts import NOTHING_KNOWN
from session_router.cache.guards import failing_guard
from session_router.cache.neighbours import agreement
from session_router.cache.verifier import BoundedVerifier
from session_router.core.cached import CacheHit, CacheMiss, MissReason, Tier
from session_router.core.wager import SCORE_EDGES, Stratum, score_bin

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from session_router.cache.asked import Asked
    from session_router.cache.auditing import Audits
    from session_router.cache.checked import Checks
    from session_router.cache.entry import Entry, SealedEntry
    from session_router.cache.indexes import VectorIndexes
    from session_router.cache.judge import AnswerJudge
    from session_router.cache.redis_indexes import RedisIndexes
    from session_router.cache.rows import EntryRows
    from session_router.cache.settings import CacheSettings
    from session_router.cache.strata import Strata
    from session_router.cache.vectors import Neighbour
    from session_router.cache.verifier import PairVerifier

NEIGHBOURS_VERSION: Final = "neighbours 1"
"""Changes whenever a verifier may be told something else of the same neighbours."""


MISSES: Final = {reason: CacheMiss(reason=reason) for reason in MissReason}
"""Of which there is nothing more to say."""

_FLOAT: Final = np.dtype("<f4")


class _Fell(NamedTuple):
    candidate: Candidate
    reason: MissReason


def unit_vector(rows: object, dimension: int) -> NDArray[np.float32] | None:
    """Return the one row of an embedder's answer, or `None` where there is none of length 1: of such a text it knows nothing."""
    found = np.asarray(rows, dtype=_FLOAT)
    if found.shape != (1, dimension):
        return None
    row: NDArray[np.float32] = found[0]
    square = float(row.dot(row))
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
        self._bounded = verifier if isinstance(verifier, BoundedVerifier) else None

    def look_up(self, asked: Asked, vector: NDArray[np.float32]) -> CacheHit | CacheMiss:
        """Return a hit of a certified stratum, or why there is none.

        Raises:
            Exception: Whatever a guard, the verifier or the rows raise: it is a miss.
        """
        found = self._indexes.search(asked.partition, vector, self._settings.neighbours, question=asked.question)
        if found is None:
            return CacheMiss(reason=MissReason.LATE, detail="the index is being built")
        near = [one for one in found if one.cosine >= self._settings.least_cosine]
        best = self._best(asked, vector, near) if near else MissReason.NOTHING
        if isinstance(best, MissReason):
            return MISSES[best]
        return self._decided(asked, best)

    def _best(self, asked: Asked, vector: NDArray[np.float32], near: Sequence[Neighbour]) -> WouldBeHit | MissReason:
        """Return the neighbour that the verifier likes best, among those that nothing speaks against."""
        started = time.monotonic()
        rows = {row.number: row for row in self._rows.by_numbers(asked.partition, [one.number for one in near])}
        if len(rows) < len(near):
            for one in near:
                if one.number not in rows:
                    self._indexes.discard(asked.partition, one.number)
        near = [_measured(one, rows, vector) if one.facts is NOTHING_KNOWN else one for one in near]
        candidates, reason = seen(asked, near, rows, checks=self._checks, labels=self._indexes.labels)
        while True:
            judged = self._best_of(asked, candidates, started)
            if not isinstance(judged, _Fell):
                return judged if isinstance(judged, WouldBeHit) else closer(reason, judged)
            # It is not what it was, and had no say: the others are asked again without it.
            reason = closer(reason, judged.reason)
            candidates.remove(judged.candidate)

    def _best_of(self, asked: Asked, candidates: Sequence[Candidate], started: float) -> WouldBeHit | MissReason | _Fell:
        reason, best = MissReason.NOTHING, None
        for at_most, candidate, heard in self._promising(asked, candidates):
            if at_most < SCORE_EDGES[0]:
                reason = closer(reason, MissReason.UNVERIFIED)
            if at_most < (SCORE_EDGES[0] if best is None else best.score):
                break
            entry = candidate.read(self._checks, asked)
            if isinstance(entry, MissReason):
                return _Fell(candidate, entry)
            judged = self._judged(asked, entry, candidate.cosine, *heard)
            if time.monotonic() - started > self._settings.check_seconds:
                return MissReason.LATE
            if isinstance(judged, MissReason):
                reason = closer(reason, judged)
            elif best is None or judged.score > best.score or (judged.score == best.score and judged.cosine > best.cosine):
                best = judged
        return best or reason

    def _promising(self, asked: Asked, candidates: Sequence[Candidate]) -> list[tuple[float, Candidate, tuple[int, int]]]:
        """Return candidates with the highest score that the verifier might give them, and what it is to hear; the best first."""
        heard = agreement([candidate.said for candidate in candidates])
        if self._bounded is None:
            return [(inf, candidate, counts) for candidate, counts in zip(candidates, heard, strict=True)]
        text, at_most = asked.question.text, self._bounded.at_most
        found = [
            (at_most(text, cosine=one.cosine, agreeing=counts[0], differing=counts[1], outline=one.outline), one, counts)
            for one, counts in zip(candidates, heard, strict=True)
        ]
        found.sort(key=itemgetter(0), reverse=True)
        return found

    def _judged(self, asked: Asked, entry: Entry, cosine: float, agreeing: int, differing: int) -> WouldBeHit | MissReason:
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
        return WouldBeHit(entry=entry, question=text, stratum=stratum, score=score, cosine=cosine)

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


def _measured(near: Neighbour, rows: Mapping[int, SealedEntry], vector: NDArray[np.float32]) -> Neighbour:
    """Return a neighbour with the cosine of its own vector: what others than an index of this process say is about right, if at all."""
    row = rows.get(near.number)
    if row is None:
        return near
    # The vector lies under the same seal as the text, which is checked before either counts.
    cosine = float(np.frombuffer(row.vector, dtype="<f4") @ vector) if len(row.vector) == vector.nbytes else -1.0
    return near._replace(cosine=cosine)


def hit_of(entry: Entry, tier: Tier, *, now: float, **evidence: Any) -> CacheHit:  # noqa: ANN401 -- the fields of a hit
    """Return `entry` as a hit."""
    return CacheHit(entry=entry.id, tier=tier, answer=entry.answer, age_seconds=max(0.0, now - entry.answer.at), **evidence)
