"""Audits: a question that would have been a hit is asked anyway, and a judge compares the two answers in the background."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Final

from session_router.cache.entry import Entry
from session_router.cache.judge import Verdict
from session_router.core.pricing import NOTHING
from session_router.core.wager import Audit
from session_router.errors import StoreCorrupt

if TYPE_CHECKING:
    from session_router.cache.background import Background
    from session_router.cache.counts import Counts
    from session_router.cache.entry import EntryCodec
    from session_router.cache.judge import AnswerJudge
    from session_router.cache.rows import EntryRows
    from session_router.cache.settings import CacheSettings
    from session_router.cache.strata import Strata
    from session_router.core.cached import CachedAnswer
    from session_router.core.wager import Stratum

PENDING: Final = 10_000
"""Would-be hits whose fresh answer is waited for; the oldest beyond are not audited."""

ATTEMPTS: Final = 20
"""Others may write the same entry between reading and writing."""

DAY: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldBeHit:
    """A pair that guards and the verifier let pass.

    Attributes:
        entry: What would have answered.
        question: What was asked.
        stratum: Where it counts.
        score: What the verifier said.
        cosine: Of the two questions.
    """

    entry: Entry
    question: str
    stratum: Stratum
    score: float
    cosine: float


class Audits:
    """Takes would-be hits, meets them with their fresh answers, and tells the strata. Safe to use from many threads.

    Args:
        rows: Where the entries lie.
        codec: Checks and seals them.
        strata: What the verdicts are for.
        judge: Gives them.
        settings: The budget.
        background: Where judging is done.
        counts: What is told.
    """

    def __init__(
        self,
        rows: EntryRows,
        codec: EntryCodec,
        *,
        strata: Strata,
        judge: AnswerJudge,
        settings: CacheSettings,
        background: Background,
        counts: Counts,
    ) -> None:
        self._rows, self._codec, self._strata, self._judge = rows, codec, strata, judge
        self._settings, self._background, self._counts = settings, background, counts
        self._pending: OrderedDict[bytes, WouldBeHit] = OrderedDict()
        self._day: int = 0
        self._spent: float = 0.0
        self._guard = Lock()

    def expects(self, key: bytes, would_be: WouldBeHit) -> None:
        """Remember a would-be hit until the fresh answer to its question comes."""
        with self._guard:
            self._pending[key] = would_be
            self._pending.move_to_end(key)
            while len(self._pending) > PENDING:
                self._pending.popitem(last=False)

    def takes(self, key: bytes, would_be: WouldBeHit, *, now: float) -> bool:
        """Whether to ask a model although `would_be` may be served. It depends on nothing that is thought of the pair."""
        drawn = int.from_bytes(key[:4], "big") / 2**32
        return drawn < self._settings.audit_share and self._affords(would_be.entry.answer.cost, now)

    def forget(self, key: bytes) -> None:
        """No fresh answer will come."""
        with self._guard:
            self._pending.pop(key, None)

    def forget_subject(self, subject: str) -> None:
        """Somebody was erased: what is about them is not judged any more."""
        with self._guard:
            about = [key for key, would_be in self._pending.items() if subject in would_be.entry.answer.tag.subjects]
            for key in about:
                del self._pending[key]

    def answered(self, key: bytes, fresh: CachedAnswer, *, unfit: bool, broken: bool, now: float) -> None:
        """Take notice of a fresh answer.

        Args:
            key: Of the question.
            fresh: The answer.
            unfit: Whether it is of a kind that is never kept: the stored answer was then not what the question needed.
            broken: Whether it is no whole answer, which says nothing.
            now: POSIX seconds.
        """
        with self._guard:
            would_be = self._pending.pop(key, None)
        if would_be is None or broken or not self._affords(NOTHING, now):
            return
        if not self._background.submit(lambda: self._audit(would_be, fresh, unfit=unfit, now=now)):
            self._counts.add("audit.dropped")

    def confirmed_wrong(self, entry: str, score: float) -> None:
        """Serve the entry to no question that is as similar as that which it answered wrongly.

        Raises:
            StoreError: The rows gave no answer.
        """
        self._amend(entry, floor=score)

    def _audit(self, would_be: WouldBeHit, fresh: CachedAnswer, *, unfit: bool, now: float) -> None:
        verdict = Verdict(wrong=1.0) if unfit else self._verdict(would_be, fresh)
        self._spend(verdict.cost, now)
        wrong = verdict.wrong > 0.5  # noqa: PLR2004 -- more wrong than right
        earlier = self._amend(would_be.entry.id, floor=would_be.score if wrong else 0.0, audited=True)
        if earlier is None:
            self._counts.add("audit.dropped")
            return
        self._strata.audited(would_be.stratum, Audit(wrong=verdict.wrong, earlier=earlier))
        self._counts.add("audit.wrong" if wrong else "audit.right")

    def _verdict(self, would_be: WouldBeHit, fresh: CachedAnswer) -> Verdict:
        try:
            verdict = self._judge.judge(would_be.question, would_be.entry.answer, fresh)
        except Exception as error:  # noqa: BLE001 -- leaving out what a judge fails on would certify what nobody has seen
            self._counts.failed("judge", error)
            verdict = None
        if verdict is None or not 0 <= verdict.wrong <= 1:
            return Verdict(wrong=1.0)
        return verdict

    def _amend(self, name: str, *, floor: float, audited: bool = False) -> int | None:
        """Raise the floor of an entry, and count an audit; return the number of audits before, or `None` if it is gone."""
        for _ in range(ATTEMPTS):
            row = self._rows.by_id(name)
            if row is None:
                return None
            try:
                entry = self._codec.decode(row)
            except StoreCorrupt:
                return None
            amended = replace(entry, floor=max(entry.floor, floor), audits=entry.audits + audited)
            if self._rows.replace(self._codec.encode(amended, number=row.number), seal=row.seal):
                return entry.audits
        return None

    def _affords(self, dollars: float, now: float) -> bool:
        """Whether the budget of the day is not spent; take `dollars` from it if so."""
        with self._guard:
            self._begin_day(now)
            if self._spent + dollars > self._settings.audit_dollars_per_day and dollars > 0:
                return False
            self._spent += dollars
            return self._spent <= self._settings.audit_dollars_per_day

    def _spend(self, dollars: float, now: float) -> None:
        """Take `dollars` from the budget of the day, which may be overdrawn: what was asked is paid."""
        with self._guard:
            self._begin_day(now)
            self._spent += dollars

    def _begin_day(self, now: float) -> None:
        day = int(now // DAY)
        if day != self._day:
            self._day, self._spent = day, 0.0
