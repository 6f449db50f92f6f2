"""What the span and the metrics of each kind of decision say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from session_router.core.cached import CachedAnswer, CacheHit, CacheMiss, MissReason, Tier
from session_router.core.call import Outcome
from session_router.core.decision import Action, Evidence
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.pricing import USD, Usage
from session_router.core.wager import Stratum, Target, Wager
from session_router_otel.attributes import attributes_of
from support.telemetry import Exported, assert_conforms, facts
from support.telemetry_cache import Strata
from values import FAST, SESSION, STRONG, Answers, FlakyStore, Prefers, ai, answered, call_of, failed, human, router, spec, tool

if TYPE_CHECKING:
    from session_router import Decision

OPEN_TO_ALL, OPEN_TO_PUBLIC = Clearance(max_level=Level.RESTRICTED, categories=frozenset({"pii"})), Clearance()
SECRET = Tag(
    level=Level.CONFIDENTIAL,
    categories=frozenset({"pii"}),
    tenants=frozenset({"acme"}),
    subjects=frozenset({"aa", "bb"}),
    regions=frozenset({"eu", "us"}),
    no_train=True,
)


def test_a_session_tells_each_call(exported: Exported) -> None:
    scorer = Prefers(FAST)
    one = router(scorer=scorer)
    with exported.of(one):
        first = one.route(call_of(human("a")))
        one.observe(first, answered(FAST, "c1"))
        second = one.route(call_of(human("a"), ai("c1"), tool("c1"), now=1002.0))
        one.observe(second, answered(FAST, at=1003.0))
        scorer.wants = STRONG
        third = one.route(call_of(human("a"), ai("c1"), tool("c1"), ai(), human("b"), now=1004.0))
        one.observe(third, answered(STRONG, at=1005.0))
    told = [facts(span) for span in exported.routes]
    assert [one["decision"] for one in told] == ["keep", "keep", "switch"]
    assert [one["reason"] for one in told] == ["first_call", "locked", "work_function"]
    assert [one["model.selected"] for one in told] == ["fast", "fast", "strong"]
    assert [one.get("model.previous") for one in told] == [None, "fast", "fast"]
    assert [one["lock.state"] for one in told] == ["boundary", "tool_results_unread", "boundary"]
    assert [(one["turn.index"], one["call.index"]) for one in told] == [(1, 1), (1, 2), (2, 1)]
    assert [[event.name for event in span.events] for span in exported.routes] == [[], ["lock.acquired"], ["lock.released"]]
    assert told[2]["scores"] == (0.0, 1.0)
    costs = dict(zip(told[2]["candidates"], told[2]["cost.candidates"], strict=True))
    assert told[2]["cost.saved"] == pytest.approx(costs["fast"] - costs["strong"])
    assert {one["decision_id"] for one in told} == {first.id, second.id, third.id}
    assert {one["session.id"] for one in told} == {one["gen_ai.conversation.id"] for one in told} == {SESSION}
    assert {span.kind for span in exported.routes} == {SpanKind.INTERNAL}
    assert exported.total("session_router.decisions") == 3
    assert exported.total("session_router.decisions", lock_state="tool_results_unread") == 1
    assert exported.total("session_router.switches", model_previous="fast", model_selected="strong", reason="work_function") == 1
    assert (
        exported.total("session_router.locks", lock_event="acquired") == exported.total("session_router.locks", lock_event="released") == 1
    )
    assert exported.total("session_router.overhead") == 3
    assert exported.total("session_router.cost.saved") == pytest.approx(told[2]["cost.saved"])
    exported.check()


def test_dollars_are_expected_by_decisions_and_billed_by_usage(exported: Exported) -> None:
    one = router()
    with exported.of(one):
        decision = one.route(call_of(human("a")))
        one.observe(decision, answered_with(Usage(input=1_000, output=100)))
    assert exported.total("session_router.cost", cost_basis="billed") == pytest.approx((1_000 * 1.0 + 100 * 5.0) / 1e6)
    assert exported.total("session_router.cost", cost_basis="expected") == pytest.approx(facts(exported.routes[0])["cost.expected"])
    tokens = {labels["gen_ai.token.type"]: labels for labels, _ in exported.points()["gen_ai.client.token.usage"]}
    assert sorted(tokens) == ["input", "output"]
    exported.check()


def answered_with(usage: Usage) -> Outcome:
    return Outcome(at=1_003.0, model=FAST, usage=usage)


def test_a_lost_clearance_is_a_forced_switch_with_the_labels_by_name(exported: Exported) -> None:
    one = router({FAST: spec(clearance=OPEN_TO_PUBLIC), STRONG: spec(clearance=Clearance(**GOOD))})
    with exported.of(one):
        one.route(call_of(human("a"), ai("c1"), tool("c1", tag=SECRET), tag=Tag()))
    told = facts(exported.routes[0])
    assert (told["decision"], told["reason"]) == ("forced_switch", "lost_clearance")
    assert (told["model.previous"], told["model.selected"]) == ("fast", "strong")
    assert told["governance.tags"] == ("confidential", "pii", "no_train")
    assert exported.total("session_router.switches", decision="forced_switch") == 1
    exported.check()


GOOD: dict[str, Any] = {
    "max_level": Level.RESTRICTED,
    "categories": frozenset({"pii"}),
    "processing_regions": frozenset({"eu"}),
    "trains": False,
}


def test_a_refusal_counts_under_its_labels(exported: Exported) -> None:
    one = router({FAST: spec(clearance=OPEN_TO_PUBLIC), STRONG: spec(clearance=OPEN_TO_PUBLIC)})
    with exported.of(one):
        decision = one.route(call_of(human("a", tag=SECRET), tag=Tag()))
    assert decision.refused
    told = facts(exported.routes[0])
    assert (told["decision"], told["reason"], told["candidates"]) == ("refuse", "not_cleared", ())
    assert "model.selected" not in told
    assert exported.total("session_router.refusals", reason="not_cleared", governance_tags="confidential,pii,no_train") == 1
    assert exported.routes[0].status.status_code is StatusCode.UNSET
    exported.check()


def test_a_fallback_names_who_failed(exported: Exported) -> None:
    one = router()
    with exported.of(one):
        first = one.route(call_of(human("a")))
        one.observe(first, failed())
        one.route(call_of(human("a"), failed=(FAST,), now=1002.0))
    told, event = facts(exported.routes[1]), exported.routes[1].events[0]
    assert (told["reason"], told["model.selected"]) == ("fallback", "strong")
    assert (event.name, dict(event.attributes or {})) == ("fallback", {"session_router.model.failed": ("fast",)})
    errors = [labels.get("error.type") for labels, _ in exported.points()["gen_ai.client.operation.duration"]]
    assert errors == ["RateLimitError"]
    exported.check()


def test_what_was_unavailable_is_told(exported: Exported) -> None:
    def broken(_: object) -> Any:
        raise ConnectionError

    one = router(scorer=Answers(broken), store=FlakyStore(on_load=[OSError()]))
    with exported.of(one):
        one.route(call_of(human("a")))
    told = facts(exported.routes[0])
    assert told["degraded"] == ("scorer", "store")
    assert "scores" not in told
    assert "cost.candidates" not in told
    exported.check()


def looked_up(decision: Decision, found: CacheHit | CacheMiss, **changes: Any) -> dict[str, Any]:
    return dict(attributes_of(replace(decision, evidence=Evidence(cache=found), **changes)))


def test_a_hit_says_what_it_saved() -> None:
    one = router()
    decision = one.route(call_of(human("a")))
    answer = CachedAnswer(content="the marker", model=FAST, at=1.0, cost=USD(0.25))
    hit = CacheHit(entry="e", tier=Tier.SIMILAR, answer=answer, age_seconds=3.0, score=0.97)
    told = looked_up(decision, hit, action=Action.CACHE_HIT, model=None)
    assert told["session_router.decision"] == "cache_hit"
    assert told["session_router.cache.result"] == "hit"
    assert told["session_router.cache.reason"] == "similar"
    assert told["session_router.cache.similarity"] == 0.97
    assert told["session_router.cost.saved"] == 0.25
    assert "marker" not in repr(told)
    assert_conforms("spans", "session_router.route", told)
    missed = looked_up(decision, CacheMiss(reason=MissReason.GUARDED))
    assert (missed["session_router.cache.result"], missed["session_router.cache.reason"]) == ("miss", "guarded")
    assert_conforms("spans", "session_router.route", missed)


def test_certificates_of_a_cache_are_read_with_the_metrics(exported: Exported) -> None:
    one, two, three = router(), router(), router()
    target = Target(wrong=0.01, strata=4)
    shown = {
        Stratum(category="faq", verifier="v", score_bin=1): Wager(target=target, certified=True),
        Stratum(category="faq", verifier="v", score_bin=2): Wager(target=target),
        Stratum(category="faq", verifier="v", score_bin=3): Wager(target=target, certified=True, closed=True),
    }
    one.cache, two.cache = Strata(shown), Strata(None)  # type: ignore[assignment]
    with exported.of(one, two, three):
        points = exported.points()
        exported.check()
    assert points["session_router.cache.certified_error"] == [({"session_router.cache.category": "faq"}, 0.01)]
    states = {labels["session_router.cache.state"]: number for labels, number in points["session_router.cache.strata"]}
    assert states == {"serving": 1, "watching": 1, "closed": 1}
    assert "session_router.cache.strata" not in exported.points()


async def test_sync_and_async_tell_the_same(exported: Exported) -> None:
    def story(found: Exported) -> list[dict[str, Any]]:
        return [facts(span) for span in found.routes]

    other = Exported()
    one, two = router(), router()
    calls = [call_of(human("a")), call_of(human("a"), ai("c1"), tool("c1"), now=1002.0)]
    with exported.of(one), other.of(two):
        for call in calls:
            one.route(call)
            await two.aroute(call)
    assert story(exported) == story(other)
    assert exported.points().keys() == other.points().keys()


def test_what_is_switched_off_tells_nothing(exported: Exported) -> None:
    one = router()
    with exported.of(one):
        one.route(call_of(human("a")))
    one.route(call_of(human("a"), ai(), human("b")))
    assert len(exported.routes) == 1
    assert one.observers == ()


def test_twice_is_once(exported: Exported) -> None:
    one = router()
    with exported.of(one), exported.of(one):
        one.route(call_of(human("a")))
    assert len(exported.routes) == exported.total("session_router.decisions") == 1


def test_routers_of_one_provider_count_together(exported: Exported) -> None:
    one, two = router(), router()
    with exported.of(one, two):
        one.route(call_of(human("a")))
        two.route(call_of(human("a")))
    assert exported.total("session_router.decisions") == 2


@pytest.mark.parametrize(
    "change", [{"session_router.typed": "hello"}, {"session_router.turn.index": "1"}, {"session_router.decision": "stay"}]
)
def test_what_the_schema_does_not_know_is_found(exported: Exported, change: dict[str, Any]) -> None:
    one = router()
    with exported.of(one):
        one.route(call_of(human("a")))
    told = dict(exported.routes[0].attributes or {})
    assert_conforms("spans", "session_router.route", told)
    with pytest.raises(AssertionError, match=r"session_router\.route"):
        assert_conforms("spans", "session_router.route", told | change)


def test_what_the_schema_requires_and_is_not_there_is_found(exported: Exported) -> None:
    one = router()
    with exported.of(one):
        one.route(call_of(human("a")))
    told = dict(exported.routes[0].attributes or {})
    del told["session_router.reason"]
    with pytest.raises(AssertionError, match="reason"):
        assert_conforms("spans", "session_router.route", told)


def test_no_metric_carries_a_session(exported: Exported) -> None:
    one = router()
    with exported.of(one):
        one.observe(one.route(call_of(human("a"))), answered(FAST))
    assert SESSION not in repr(exported.points())
    assert SESSION in repr([dict(span.attributes or {}) for span in exported.spans])
