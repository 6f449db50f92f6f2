"""What ends between a decision and its request, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from session_router import Clearance, Policy, Tag
from session_router.core.cache_terms import CacheRules, CacheTerms
from session_router.core.cached import CachedAnswer, CacheHit, Tier
from session_router.core.governance import Level
from session_router.core.outlived import is_outlived
from values import FAST, call_of, human, router, spec

HOURS = Tag(expires_at=2_000.0)
AT = 1_000.0


class OfficeHours:
    """Rules that forbid everything from a moment on, and count how often they are asked."""

    fingerprint = "hours"

    def __init__(self, until: float) -> None:
        self._until, self.asked = until, 0

    def failing_rule(self, *_: Any, now: float, **__: Any) -> str | None:
        self.asked += 1
        return None if now < self._until else "the office is closed"


@pytest.mark.parametrize(
    ("tag", "clearance", "now", "ended"),
    [
        (HOURS, Clearance(), 1_999.9, False),
        (HOURS, Clearance(), 2_000.0, True),
        (Tag(), Clearance(attested_until=2_000.0), 1_999.9, False),
        (Tag(), Clearance(attested_until=2_000.0), 2_000.0, True),
        (Tag(), Clearance(), 1e12, False),
        (HOURS, Clearance(), AT, False),
        (HOURS, Clearance(), 0.0, False),  # a clock that was set back
    ],
)
def test_what_has_ended(tag: Tag, clearance: Clearance, now: float, ended: bool) -> None:
    subject = router({FAST: spec(clearance=clearance)})
    decision = subject.route(call_of(human(tag=tag), now=AT))
    assert decision.model == FAST
    assert is_outlived(decision, subject.models, subject.policy, now=now) == ended


def test_where_governance_is_not_in_use_nothing_ends() -> None:
    subject = router()
    assert not is_outlived(subject.route(call_of(human())), subject.models, subject.policy, now=1e12)


def test_a_refusal_stays_one() -> None:
    subject = router({FAST: spec(clearance=Clearance())})
    decision = subject.route(call_of(human(tag=Tag(level=Level.INTERNAL, expires_at=2_000.0)), now=AT))
    assert decision.refused
    assert not is_outlived(decision, subject.models, subject.policy, now=3_000.0)


def test_rules_of_ones_own_may_end_as_well_and_are_asked_once_a_second() -> None:
    rules = OfficeHours(until=1_001.0)
    subject = router({FAST: spec(clearance=Clearance())}, policy=Policy(rules=rules))
    decision = subject.route(call_of(human(tag=Tag()), now=AT))
    asked = rules.asked
    assert not is_outlived(decision, subject.models, subject.policy, now=1_000.9)
    assert rules.asked == asked
    assert is_outlived(decision, subject.models, subject.policy, now=1_001.0)


def test_a_stored_answer_ends_with_its_own_label_whatever_the_reader_asked() -> None:
    """A question that is above its reader's clearance has been answered from the cache: that does not end."""
    answer = CachedAnswer(content="x", model=FAST, at=0.0, tag=HOURS)

    class Shelf:
        def look_up(self, question: Any) -> CacheHit:
            del question
            return CacheHit(entry="e", tier=Tier.EXACT, answer=answer, age_seconds=0.0)

        store = alook_up = astore = abandon = veto = aveto = look_up

    digest = bytes(16)
    terms = CacheTerms(text="x", before=digest, system=digest, tools=digest, settings=digest, principal="ada")
    policy = Policy(cache=CacheRules(reader=Clearance()))
    subject = router({FAST: spec(clearance=Clearance(max_level=Level.INTERNAL))}, cache=Shelf(), policy=policy)
    decision = subject.route(call_of(human(tag=Tag(level=Level.INTERNAL)), now=AT, terms=terms))
    assert decision.hit is not None
    assert not is_outlived(decision, subject.models, subject.policy, now=1_999.0)
    assert is_outlived(decision, subject.models, subject.policy, now=2_000.0)
