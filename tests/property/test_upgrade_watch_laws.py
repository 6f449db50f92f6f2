"""A cap on upgrades weakens no constraint: what governance, capability, health and the risk gate have left, it chooses among.

Every law is asserted of capped boundaries too, and counts them; beside each stands a cap that is broken and breaks it.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.core import flow, reckoning, upgrades
from session_router.core.account import Account
from session_router.core.decision import Decision, Reason
from session_router.core.governance import Clearance, Level, Tag, permits
from session_router.core.model import Capability, ModelName, ModelSpec
from session_router.core.need import Need, Question
from session_router.core.policy import OnUnportable, Policy
from session_router.core.pricing import Prices, Usage, call_cost
from session_router.core.risk import Certificate
from session_router.core.session import Session, SessionId
from session_router.core.situation import Situation
from session_router.core.upgrades import Upgrades, UpgradeWatch
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from support.talk import Says, Talk
from values import FAST, OTHER, STRONG, ai, call_of, human, signed, specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from session_router.core.call import Call

OURS = settings(max_examples=800, deadline=None)
PRINCIPAL = SessionId("9a" * 32)
WATCH = UpgradeWatch(expected=0.1, excessive=0.6, between_false_alarms=20.0, capped_boundaries=3)
CAPPED = Upgrades(capped=2)

PRICES = st.sampled_from([0.1, 1.0, 1.0, 3.0, 10.0])
MODELS = (FAST, STRONG, OTHER)
CLEARED_ROUTES = st.fixed_dictionaries(
    dict.fromkeys(
        MODELS,
        st.builds(
            lambda price, level, capabilities: ModelSpec(
                model="simulated", prices=Prices(input=price, output=price), clearance=Clearance(max_level=level), capabilities=capabilities
            ),
            PRICES,
            st.sampled_from([Level.INTERNAL, Level.INTERNAL, Level.INTERNAL, Level.PUBLIC]),
            st.sampled_from([None, None, frozenset({Capability.TOOLS}), frozenset[Capability]()]),
        ),
    )
)


def call_at_a_boundary(bound: str | None, level: Level, requires: frozenset[Capability], failed: tuple[ModelName, ...]) -> Call:
    """A second turn; the history may be bound to the model that answered the first."""
    before = [human("first"), ai(by=bound, bindings=frozenset({signed(bound)}))] if bound else []
    return call_of(*before, human("second"), principal=PRINCIPAL, tag=Tag(level=level), requires=requires, failed=failed)


CALLS = st.builds(
    call_at_a_boundary,
    st.sampled_from([None, None, None, *MODELS]),
    st.sampled_from([Level.PUBLIC, Level.INTERNAL]),
    st.sampled_from([frozenset[Capability](), frozenset({Capability.TOOLS})]),
    st.sampled_from([(), (FAST,), (OTHER,)]),
)
NEEDS = st.sampled_from(MODELS).map(lambda wanted: {name: Need(p_success=float(name == wanted)) for name in MODELS})
POLICIES = st.builds(Policy, stake=st.sampled_from([1.0, 10.0]), on_unportable=st.sampled_from(OnUnportable), unlabelled=st.just(Tag()))


@dataclass
class Said:
    """A scorer that says what it was given."""

    said: Mapping[ModelName, Need]

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, Need]:
        del question
        return {name: self.said[name] for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> dict[ModelName, Need]:
        return self.score(question, models)


def router(models: Mapping[ModelName, ModelSpec], said: Mapping[ModelName, Need], policy: Policy, *, capped: bool) -> Router:
    store = MemorySessionStore()
    store.commit(Session(id=PRINCIPAL, version=1, account=Account(upgrades=CAPPED if capped else Upgrades())))
    return Router(models, scorer=Said(said), policy=replace(policy, upgrades=WATCH), store=store, key=b"k" * 32)


def is_capped(decision: Decision) -> bool:
    return decision.evidence.upgrades is not None and decision.evidence.upgrades.capped


def counts_of(check: Callable[[Call, Mapping[ModelName, ModelSpec], Mapping[ModelName, Need], Policy, Counter[str]], None]) -> Counter[str]:
    met = Counter[str]()

    @OURS
    @given(CALLS, CLEARED_ROUTES, NEEDS, POLICIES)
    def law(call: Call, models: dict[ModelName, ModelSpec], said: dict[ModelName, Need], policy: Policy) -> None:
        check(call, models, said, policy, met)

    law()
    return met


def check_constraints(
    call: Call, models: Mapping[ModelName, ModelSpec], said: Mapping[ModelName, Need], policy: Policy, met: Counter[str]
) -> None:
    """Count boundaries at which a cap made a constraint give way."""
    free = router(models, said, policy, capped=False).route(call)
    try:
        held = router(models, said, policy, capped=True).route(call)
    except Exception:  # noqa: BLE001 -- whatever a broken cap ends in
        met["broken"] += 1
        return
    met["capped"] += is_capped(held)
    # Whoever would have had an answer has one.
    met["broken"] += held.refused != free.refused
    if held.model is None:
        return
    tag = Situation.of(call, models, policy, None).tag
    cleared = tag is None or permits(tag, models[held.model].clearance, now=call.now, purpose=call.purpose)
    capabilities = models[held.model].capabilities
    capable = capabilities is None or call.requires <= capabilities
    met["broken"] += not cleared or not capable or held.model in call.failed
    if is_capped(held):
        others = [one for one in held.evidence.candidates if one.model != held.model]
        met["beside a model that may not"] += any(one.uncleared or one.model in call.failed for one in others)


def test_what_is_allowed_and_possible_outranks_the_cap() -> None:
    met = counts_of(check_constraints)
    assert min(met["capped"], met["beside a model that may not"]) >= 5, met
    assert met["broken"] == 0, met


def test_a_cap_that_looked_at_the_price_of_every_model_would_leave_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def over_all(situation: Situation, account: Account, principal: Any, offers: Any, verdict: Any) -> Any:
        del offers
        costs = {name: reckoning.cold_call(situation, name) for name in situation.specs}
        return upgrades.Watched(asked_for=verdict.model, costs=costs, session=account.upgrades, principal=principal)

    monkeypatch.setattr(reckoning, "_watched", over_all)
    assert counts_of(check_constraints)["broken"] >= 1


def test_a_cap_that_asked_again_about_models_that_are_refused_would_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(situation: Situation) -> tuple[ModelName, ...]:
        del situation
        return ()

    monkeypatch.setattr(reckoning, "_refused", nobody)
    assert counts_of(check_constraints)["broken"] >= 1


# The floor of the risk gate.

ROUTES = st.fixed_dictionaries(
    dict.fromkeys((FAST, STRONG, OTHER), PRICES.map(lambda price: ModelSpec(model="simulated", prices=Prices(input=price, output=price))))
)
CERTIFICATE = Certificate(reference=STRONG, least_chance=0.5, under_served=0, segments=100, bound=0.05, delta=0.05)
CERTIFIED = st.builds(Need, p_success=st.floats(0, 1), certificate=st.sampled_from([None, CERTIFICATE]))
GATED = Policy(stake=1.0, reference=STRONG, upgrades=WATCH)


def check_floor(models: Mapping[ModelName, ModelSpec], said: Mapping[ModelName, Need], met: Counter[str]) -> None:
    talk = Talk(router(models, said, GATED, capped=True))
    decision = talk.asked(principal=PRINCIPAL)
    met["capped"] += is_capped(decision)
    price = {name: spec.prices.input for name, spec in models.items() if spec.prices is not None}
    model = decision.chosen()
    need = said[model]
    fit = need.certificate is not None and need.p_success >= CERTIFICATE.least_chance
    met["reference forced"] += model == STRONG and price[STRONG] > min(price.values())
    met["broken"] += price[model] < price[STRONG] and not fit


def floor_counts() -> Counter[str]:
    met = Counter[str]()

    @OURS
    @given(ROUTES, st.fixed_dictionaries(dict.fromkeys((FAST, STRONG, OTHER), CERTIFIED)))
    def law(models: dict[ModelName, ModelSpec], said: dict[ModelName, Need]) -> None:
        check_floor(models, said, met)

    law()
    return met


def test_the_reference_is_the_floor_under_a_cap_too() -> None:
    met = floor_counts()
    assert min(met["capped"], met["reference forced"]) >= 20, met
    assert met["broken"] == 0, met


def test_a_cap_before_the_gate_would_break_the_floor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "held_back", lambda *_: {})
    assert floor_counts()["broken"] >= 20


# What a capped boundary takes, and what its row says.


def test_a_capped_boundary_takes_the_cheapest_and_its_row_says_why() -> None:
    met = Counter[str]()

    @OURS
    @given(ROUTES, st.fixed_dictionaries(dict.fromkeys((FAST, STRONG, OTHER), CERTIFIED)), st.integers(0, 3), st.booleans())
    def law(
        models: dict[ModelName, ModelSpec],
        said: dict[ModelName, Need],
        turns: int,
        begins_capped: bool,
    ) -> None:
        talk = Talk(router(models, said, replace(GATED, reference=None), capped=begins_capped))
        for _ in range(turns):
            talk.answered(talk.asked(principal=PRINCIPAL))
        decision = talk.asked(principal=PRINCIPAL)
        row: dict[str, Any] = json.loads(json.dumps(decision.to_plain()))
        watched = row["evidence"]["upgrades"]
        costs = {
            name: call_cost(spec.prices, Usage(input=decision.prefix.tokens, output=GATED.output_tokens))
            for name, spec in models.items()
            if spec.prices is not None
        }
        assert watched["costs"] == pytest.approx(costs)
        # All of it follows from the row.
        asked = watched["costs"][watched["asked_for"]] > min(watched["costs"].values())
        capped = asked and (watched["session"]["capped"] > 0 or watched["principal"]["capped"] > 0)
        assert (watched["asked"], watched["capped"]) == (asked, capped)
        met["capped"] += capped
        met["asked"] += asked
        if capped:
            assert watched["costs"][row["model"]] == min(watched["costs"].values())
            assert row["reason"] == Reason.UPGRADE_CAPPED
            excluded = {one["model"] for one in row["evidence"]["candidates"] if one.get("excluded") == "upgrades are capped"}
            assert excluded == {name for name, cost in watched["costs"].items() if cost > min(watched["costs"].values())}
        else:
            assert row["reason"] != Reason.UPGRADE_CAPPED
            assert row["model"] == watched["asked_for"]

    law()
    assert met["capped"] >= 20, met
    assert met["asked"] > met["capped"], met


@OURS
@given(CALLS, CLEARED_ROUTES, NEEDS, POLICIES, st.booleans())
def test_sync_is_async(
    call: Call,
    models: dict[ModelName, ModelSpec],
    said: dict[ModelName, Need],
    policy: Policy,
    capped: bool,
) -> None:
    one, other = (router(models, said, policy, capped=capped) for _ in range(2))
    assert one.route(call) == asyncio.run(other.aroute(call))
    assert one.store.load(PRINCIPAL) == other.store.load(PRINCIPAL)


# A boundary that is decided again counts once.


def evidence_after(again: Iterable[int]) -> tuple[float, float, int]:
    """What the session and the principal remember after boundaries that were asked so many times more."""
    watch = UpgradeWatch(expected=0.1, excessive=0.6, between_false_alarms=1e9)
    subject = Router(specs(), scorer=Says({FAST: 0.0, STRONG: 1.0}), policy=Policy(stake=10.0, upgrades=watch), key=b"k" * 32)
    talk = Talk(subject)
    for times in again:
        decision = talk.asked(principal=PRINCIPAL)
        for _ in range(times):
            talk.failed(decision)
            decision = talk.again(principal=PRINCIPAL)
        talk.answered(decision)
    row = subject.store.load(PRINCIPAL)
    assert row is not None
    assert row.account is not None
    assert talk.stored.account is not None
    return talk.stored.account.upgrades.evidence, row.account.upgrades.evidence, row.version


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=4))
def test_a_boundary_that_is_decided_again_counts_once(again: list[int]) -> None:
    once = evidence_after([0] * len(again))
    assert evidence_after(again) == once
    assert once[2] == len(again)


def test_a_router_that_did_not_know_it_again_would_count_it_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "rewound", lambda *_: None)
    assert evidence_after([3]) > evidence_after([0])
