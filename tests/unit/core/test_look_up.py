"""When the flow asks the response cache, what it asks, and what it does with the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from session_router.cedar import CedarRules
from session_router.core.cache_terms import CacheRules, CacheTerms, Sharing, cache_question
from session_router.core.cached import CachedAnswer, CacheHit, CacheMiss, MissReason, Tier
from session_router.core.decision import Action, Reason
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.model import ModelName, ModelSpec
from session_router.core.policy import OnUnportable, Policy
from session_router.core.pricing import Prices
from session_router.errors import ConfigurationError, NoModelChosen, NotRecorded
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from support.shelf import MISS, Shelf
from values import FAST, SESSION, STRONG, Prefers, ai, call_of, human, signed, tool

DIGEST = bytes(16)
TERMS = CacheTerms(text="What are your opening hours?", before=DIGEST, system=DIGEST, tools=DIGEST, settings=DIGEST, principal="ada")
HIT = CacheHit(entry="e", tier=Tier.EXACT, answer=CachedAnswer(content="From 8 to 6.", model=FAST, at=1.0, cost=0.25), age_seconds=5.0)  # type: ignore[arg-type]
CLEARED = Clearance(max_level=Level.CONFIDENTIAL, trains=False)


def router(cache: Any, *, clearance: Clearance | None = None, **settings: Any) -> Router:
    prices = Prices(input=1.0, output=2.0)
    specs = {name: ModelSpec(model=str(name), prices=prices, clearance=clearance) for name in (FAST, STRONG)}
    return Router(specs, cache=cache, key=b"k" * 32, **settings)


def test_a_hit_asks_nobody_and_leaves_no_trace_in_the_session() -> None:
    store, shelf = MemorySessionStore(), Shelf(HIT)
    decision = router(shelf, store=store).route(call_of(human(), terms=TERMS))
    assert (decision.action, decision.reason, decision.model) == (Action.CACHE_HIT, Reason.ANSWERED_BEFORE, None)
    assert decision.hit is HIT
    assert not decision.refused
    assert store.load(SESSION) is None
    assert decision.to_plain()["evidence"]["cache"]["saved"] == 0.25
    assert "From 8 to 6." not in repr(decision.to_plain())
    with pytest.raises(NoModelChosen):
        decision.chosen()


@pytest.mark.parametrize(
    ("steps", "changes"),
    [
        ((human(), ai("a")), {}),
        ((human(), ai("a"), tool("a")), {}),
        ((human(),), {"only": FAST}),
        ((human(),), {"failed": (FAST,)}),
        ((human(),), {"internal": True}),
        ((human(),), {"terms": None}),
    ],
)
def test_nobody_asks_under_a_lock_for_a_pinned_model_again_or_without_terms(steps: Any, changes: Any) -> None:
    shelf = Shelf(HIT)
    decision = router(shelf).route(call_of(*steps, **{"terms": TERMS, **changes}))
    assert shelf.asked == []
    assert decision.action is not Action.CACHE_HIT
    assert decision.evidence.cache is None


def test_a_miss_is_told_and_its_question_kept_for_the_answer() -> None:
    shelf = Shelf(MISS)
    subject = router(shelf)
    decision = subject.route(call_of(human(), terms=TERMS))
    assert decision.asked is shelf.asked[0]
    assert decision.evidence.to_plain()["cache"] == {"miss": "nothing"}
    subject.keep(decision, HIT.answer)
    assert shelf.stored == [(shelf.asked[0], HIT.answer)]
    subject.abandon(decision)
    assert shelf.abandoned == [shelf.asked[0]]


async def test_sync_and_async_ask_the_same() -> None:
    one, other = Shelf(HIT), Shelf(HIT)
    call = call_of(human(), terms=TERMS)
    assert router(one).route(call) == await router(other).aroute(call)
    assert one.asked == other.asked


def test_another_replica_that_was_first_does_not_make_it_ask_twice() -> None:
    """Whoever missed is the one for whom others wait: asking again, it would wait for itself."""

    class Busy(MemorySessionStore):
        lost = 3

        def commit(self, session: Any) -> bool:
            self.lost -= 1
            return False if self.lost >= 0 else super().commit(session)

    shelf = Shelf(MISS)
    decision = router(shelf, store=Busy()).route(call_of(human(), terms=TERMS))
    assert decision.model is not None
    assert len(shelf.asked) == 1


def test_a_cache_that_fails_is_a_miss_and_tells_no_text() -> None:
    decision = router(Shelf(RuntimeError(TERMS.text))).route(call_of(human(), terms=TERMS))
    assert decision.model is not None
    assert decision.evidence.cache == CacheMiss(reason=MissReason.FAILED, detail="RuntimeError")


def test_a_refusal_lets_those_who_wait_go_on() -> None:
    """The policy forbids to convert what the better model would need converted: nobody may wait for an answer to that."""
    shelf = Shelf(MISS)
    subject = router(shelf, scorer=Prefers(STRONG), policy=Policy(stake=1.0, on_unportable=OnUnportable.RAISE))
    decision = subject.route(call_of(human(), ai(bindings=(signed(FAST),)), human(), terms=TERMS))
    assert decision.refused
    assert decision.asked is None
    assert shelf.abandoned == shelf.asked != []


class TestGovernance:
    """A hit is a read."""

    def routed(self, tag: Tag, *, reader: Clearance | None, found: Any = HIT) -> tuple[Any, Shelf]:
        shelf = Shelf(found)
        subject = router(shelf, clearance=CLEARED, policy=Policy(cache=CacheRules(reader=reader)))
        return subject.route(call_of(human(), terms=TERMS, tag=tag)), shelf

    def test_where_nobody_said_who_reads_nobody_asks(self) -> None:
        decision, shelf = self.routed(Tag(level=Level.INTERNAL), reader=None)
        assert shelf.asked == []
        assert decision.model is not None

    def test_what_no_model_may_see_is_answered_from_no_store_either(self) -> None:
        decision, shelf = self.routed(Tag(level=Level.RESTRICTED), reader=Clearance(max_level=Level.RESTRICTED))
        assert shelf.asked == []
        assert decision.refused

    def test_the_question_bears_the_label_of_the_payload_and_the_clearance_of_its_readers(self) -> None:
        tag = Tag(level=Level.CONFIDENTIAL)
        decision, shelf = self.routed(tag, reader=CLEARED)
        assert (shelf.asked[0].tag, shelf.asked[0].reader) == (tag, CLEARED)
        assert decision.hit is HIT

    def test_a_hit_raises_the_label(self) -> None:
        about = replace(HIT, answer=replace(HIT.answer, tag=Tag(level=Level.CONFIDENTIAL, subjects=frozenset({"s1"}))))
        decision, _ = self.routed(Tag(level=Level.CONFIDENTIAL), reader=CLEARED, found=about)
        assert decision.hit is about
        assert decision.tag == about.answer.tag
        assert "s1" not in decision.evidence.tag


class TestRecords:
    """What is confidential goes nowhere without a record."""

    class Broken:
        def append(self, record: Any) -> None:
            raise OSError(record["decision_id"])

    def routed(self, level: Level, *, found: Any = None, audit: Any = None, **policy: Any) -> tuple[Any, Shelf]:
        shelf = Shelf(found or MISS)
        rules = CacheRules(reader=CLEARED)
        subject = router(shelf, clearance=CLEARED, audit=audit or self.Broken(), policy=Policy(cache=rules, **policy))
        return subject.route(call_of(human(), terms=TERMS, tag=Tag(level=level))), shelf

    def test_below_the_level_the_log_is_missed_and_the_call_goes_on(self) -> None:
        decision, _ = self.routed(Level.INTERNAL)
        assert decision.model is not None
        assert decision.evidence.degraded == ("audit",)

    @pytest.mark.parametrize("found", [None, HIT])
    def test_from_the_level_on_nothing_is_sent_and_nothing_replayed(self, found: Any) -> None:
        decision, shelf = self.routed(Level.CONFIDENTIAL, found=found)
        assert (decision.refused, decision.reason, decision.hit) == (True, Reason.NOT_RECORDED, None)
        assert shelf.abandoned == ([] if found else shelf.asked)
        with pytest.raises(NotRecorded, match="recorded_from"):
            decision.chosen()

    def test_the_level_is_the_policys(self) -> None:
        assert self.routed(Level.CONFIDENTIAL, recorded_from=Level.RESTRICTED)[0].model is not None
        assert self.routed(Level.PUBLIC, recorded_from=Level.PUBLIC)[0].refused


class TestQuestion:
    def question(self, terms: CacheTerms = TERMS, rules: CacheRules | None = None, **changes: Any) -> Any:
        specs = {FAST: ModelSpec(provider_ids=frozenset({"gpt-5-mini"}))}
        facts = {"tag": None, "session": "s", "specs": specs, "purpose": None, "now": 1.0, **changes}
        return cache_question(terms, rules or CacheRules(), **facts)

    def test_who_shares(self) -> None:
        tenant = CacheRules(sharing=Sharing.TENANT)
        nameless = replace(TERMS, principal=None)
        scopes = [self.question(terms, rules).scope for terms in (TERMS, nameless) for rules in (CacheRules(), tenant)]
        assert scopes == ["principal:ada", "tenant", None, "tenant"]

    def test_nobody_can_call_himself_the_tenant(self) -> None:
        assert self.question(replace(TERMS, principal="tenant")).scope != self.question(rules=CacheRules(sharing=Sharing.TENANT)).scope

    def test_other_models_behind_a_route_are_another_class(self) -> None:
        other = {FAST: ModelSpec(provider_ids=frozenset({"gpt-6-mini"}))}
        more = {FAST: ModelSpec(provider_ids=frozenset({"gpt-5-mini"})), ModelName("b"): ModelSpec()}
        assert len({self.question().model_class, self.question(specs=other).model_class, self.question(specs=more).model_class}) == 3

    @pytest.mark.parametrize(
        "changes", [{"sharing": "world"}, {"reader": "all"}, {"policy_epoch": ""}, {"knowledge_epoch": 5}, {"category": ""}, {"locale": 1}]
    )
    def test_rules_that_are_none_name_the_setting(self, changes: Any) -> None:
        (name,) = changes
        with pytest.raises(ConfigurationError) as caught:
            CacheRules(**changes)
        assert caught.value.key == f"policy.cache.{name}"


PHI = Tag(level=Level.CONFIDENTIAL, categories=frozenset({"phi"}))
MEDICAL = Clearance(max_level=Level.CONFIDENTIAL, categories=frozenset({"phi"}), trains=False)
FOR_CARE_ONLY = """
permit (principal, action == Action::"see", resource);
forbid (principal, action, resource)
when { resource.categories.contains("phi") && !(context has purpose && context.purpose == "care") };
"""


@pytest.mark.parametrize(
    ("rules", "purpose", "given"),
    [
        (FOR_CARE_ONLY, "care", True),
        (FOR_CARE_ONLY, None, False),
        ('permit (principal is Model, action == Action::"see", resource);', None, False),
        (FOR_CARE_ONLY + "forbid (principal is Reader, action, resource) when { resource.level > 1 };", "care", False),
        ('permit (principal, action == Action::"see", resource) when { principal.categories.contains("phi") };', None, True),
    ],
)
def test_rules_are_asked_whether_a_stored_answer_may_be_read(rules: str, purpose: str | None, given: bool) -> None:
    """The question itself is public; what was stored for it is not."""
    hit = replace(HIT, answer=replace(HIT.answer, tag=PHI))
    policy = Policy(cache=CacheRules(reader=MEDICAL), rules=CedarRules(rules))
    shelf = Shelf(hit)
    decision = router(shelf, clearance=MEDICAL, policy=policy).route(call_of(human(tag=Tag()), terms=TERMS, purpose=purpose))
    assert (decision.hit is hit) == given
    if not given:
        assert decision.model is not None
        assert isinstance(decision.evidence.cache, CacheMiss)
        assert decision.evidence.cache.reason is MissReason.NOT_PERMITTED
        assert "phi" not in decision.evidence.tag
        assert decision.asked is shelf.asked[0]


def test_a_cache_that_does_not_ask_who_reads_is_not_believed() -> None:
    hit = replace(HIT, answer=replace(HIT.answer, tag=PHI))
    policy = Policy(cache=CacheRules(reader=CLEARED))
    decision = router(Shelf(hit), clearance=MEDICAL, policy=policy).route(call_of(human(tag=Tag()), terms=TERMS))
    assert decision.hit is None
