"""What a session spends on exploration stays within its budget, and its log tells the chance of everything that was taken."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from math import nextafter, sqrt
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.core import exploration, reckoning
from session_router.core.decision import Reason
from session_router.core.exploration import Exploration, draw, explore
from session_router.core.model import ModelName, ModelSpec
from session_router.core.offer import Offer
from session_router.core.policy import OnUnportable, Policy
from session_router.core.prefix import PromptCache
from session_router.core.pricing import USD, Prices
from session_router.core.session import SessionId
from session_router.core.switching import Standing, decide, within_cap
from session_router.router import Router
from support.talk import Says, Talk
from values import FAST, OTHER, SESSION, STRONG, signed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from session_router.core.decision import Decision

NAMES = (FAST, STRONG, OTHER)
MODELS = {
    name: ModelSpec(
        model="simulated",
        prices=Prices(input=dollars, output=5 * dollars, cached_input=dollars / 10),
        prompt_cache=PromptCache(minimum_tokens=0),
    )
    for name, dollars in ((FAST, 0.25), (STRONG, 3.0), (OTHER, 1.0))
}
EAGER = Policy(stake=0.1, cap=None, explore=0.5, explore_dollars=0.02)

amounts = st.sampled_from([0.0, 1e-9, 0.001, 0.01, 0.1, 1.0]).map(USD)
offers = st.dictionaries(st.sampled_from(NAMES), st.tuples(amounts, amounts, amounts, amounts), min_size=1).map(
    lambda terms: {
        name: Offer(model=name, ingest=ingest, loop=loop, risk=risk, handoff=USD(0.0), afterwards=after, refresh=USD(0.0), arrival=USD(0.0))
        for name, (ingest, loop, risk, after) in terms.items()
    }
)
policies = st.builds(
    Policy,
    cap=st.sampled_from([None, 0.0, 0.5]),
    explore=st.sampled_from([0.0, 0.05, 0.5]),
    explore_dollars=st.sampled_from([0.0, 0.001, 0.01, 5.0]),
)
standings = st.builds(Standing, current=st.none() | st.sampled_from(NAMES), trusted=st.booleans(), unmoved=amounts, reserve=amounts)
draws = st.floats(min_value=0.0, max_value=nextafter(1.0, 0.0))


def tried(offers: dict[ModelName, Offer], standing: Standing, policy: Policy, *, spent: float = 0.0, drawn: float = 0.0) -> Exploration:
    return explore(offers, decide(offers, standing, policy), standing, policy, spent=USD(spent), drawn=drawn)


def boundaries(policy: Policy, turns: int = 30, *, session: SessionId = SESSION) -> Iterator[Decision]:
    """Route a session whose need goes up and down."""
    scorer = Says({})
    talk = Talk(Router(MODELS, policy=policy, scorer=scorer, key=b"k" * 32), session=session)
    for turn in range(turns):
        scorer.chances = {FAST: 0.9 if turn % 3 else 0.5, STRONG: 0.98, OTHER: 0.9 if turn % 2 else 0.6}
        yield talk.turn(200)


def explored(decision: Decision) -> float:
    assert decision.session is not None
    assert decision.session.account is not None
    return decision.session.account.explored


class TestTheBudget:
    @settings(max_examples=300, deadline=None)
    @given(offers, standings, policies, st.lists(draws, min_size=1, max_size=12))
    def test_no_sequence_of_boundaries_is_charged_more(
        self, offers: dict[ModelName, Offer], standing: Standing, policy: Policy, drawn: list[float]
    ) -> None:
        spent = 0.0
        for one in drawn:
            found = tried(offers, standing, policy, spent=spent, drawn=one)
            assert found.excess >= 0
            spent += found.excess
            assert spent <= policy.explore_dollars

    @pytest.mark.parametrize("dollars", [0.0, 0.01, 0.02, 1.0])
    def test_a_session_is_charged_what_it_explored_for_and_no_more(self, dollars: float) -> None:
        met = 0
        # In which of them something is tried is drawn.
        for number in range(12):
            charged = 0.0
            for decision in boundaries(replace(EAGER, explore_dollars=dollars), session=SessionId(f"{number:064x}")):
                if decision.reason is Reason.EXPLORED:
                    met += 1
                    expected = {one.model: one.expected for one in decision.evidence.candidates if one.expected is not None}
                    # Never more than over the best; less where the policy's own choice was not that.
                    assert explored(decision) - charged <= expected[decision.chosen()] - min(expected.values()) + 1e-12
                else:
                    assert explored(decision) == charged
                charged = explored(decision)
                assert charged <= dollars
        assert (met > 0) == (dollars > 0)

    def test_without_a_memory_of_it_a_session_is_charged_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            reckoning, "explore", lambda *args, spent, **facts: explore(*args, spent=USD(0.0), **facts) if spent >= 0 else None
        )
        assert max(explored(decision) for decision in boundaries(EAGER)) > EAGER.explore_dollars

    def test_without_a_look_at_the_excess_a_session_is_charged_more(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def spendthrift(offers: Any, verdict: Any, standing: Any, policy: Policy, **facts: Any) -> Exploration:
            left = policy.explore_dollars - facts["spent"]
            return explore(offers, verdict, standing, replace(policy, explore_dollars=1e9 if left > 0 else 0.0), **facts)

        monkeypatch.setattr(reckoning, "explore", spendthrift)
        assert max(explored(decision) for decision in boundaries(EAGER)) > EAGER.explore_dollars


class TestTheChances:
    @settings(max_examples=300, deadline=None)
    @given(offers, standings, policies)
    def test_they_are_those_with_which_models_are_taken(self, offers: dict[ModelName, Offer], standing: Standing, policy: Policy) -> None:
        own = decide(offers, standing, policy).model
        steps = 300
        taken = [tried(offers, standing, policy, drawn=(step + 0.5) / steps) for step in range(steps)]
        counts = Counter(one.verdict.model for one in taken)
        first = taken[0]
        assert all(one.propensities == first.propensities for one in taken)
        chances = first.propensities or {own: 1.0}
        assert sum(chances.values()) == pytest.approx(1.0)
        assert set(counts) == set(chances)
        for name, chance in chances.items():
            assert counts[name] / steps == pytest.approx(chance, abs=2 / steps)
        for one in taken:
            assert one.propensity == chances[one.verdict.model]

    @settings(max_examples=200, deadline=None)
    @given(offers, standings, policies, draws)
    def test_what_is_tried_is_allowed_and_accounted_for(
        self, offers: dict[ModelName, Offer], standing: Standing, policy: Policy, drawn: float
    ) -> None:
        own = decide(offers, standing, policy)
        found = explore(offers, own, standing, policy, spent=USD(0.0), drawn=drawn)
        if found.verdict.reason is not Reason.EXPLORED:
            assert (found.verdict, found.excess) == (own, 0.0)
            return
        name = found.verdict.model
        assert name != own.model
        assert name in within_cap(offers, standing, policy)
        if standing.current in offers:
            assert found.verdict.ledger.spent == pytest.approx(offers[name].segment)
        else:
            assert (found.verdict.ledger.anchor, found.verdict.ledger.spent) == (name, pytest.approx(offers[name].segment))
        assert found.verdict.work == own.work

    def test_nothing_is_tried_by_default(self) -> None:
        assert (Policy().explore, Policy().explore_dollars) == (0.0, 0.0)
        for policy in (Policy(stake=0.1), replace(EAGER, explore=0.0), replace(EAGER, explore_dollars=0.0)):
            made = list(boundaries(policy))
            assert {decision.evidence.propensity for decision in made} == {1.0}
            assert not any(decision.reason is Reason.EXPLORED for decision in made)
            assert not any(one.propensity for decision in made for one in decision.evidence.candidates)

    def test_what_is_forbidden_is_not_tried(self) -> None:
        terms = dict.fromkeys(("loop", "handoff", "afterwards", "refresh", "arrival", "ingest"), USD(0.0))
        two = {name: Offer(model=name, risk=USD(0.001), **terms) for name in (FAST, STRONG)}
        standing = Standing(current=FAST, trusted=True)
        own = decide(two, standing, EAGER)
        assert explore(two, own, standing, EAGER, spent=USD(0.0), drawn=0.0).verdict.model == STRONG
        assert explore(two, own, standing, EAGER, spent=USD(0.0), drawn=0.0, forbidden=[STRONG]) == Exploration(verdict=own)


class TestDraws:
    def test_they_are_uniform_and_do_not_follow_one_another(self) -> None:
        drawn = [draw(SESSION, bytes(16), "policy", number) for number in range(4_000)]
        assert all(0 <= one < 1 for one in drawn)
        for tenth in range(10):
            share = sum(tenth / 10 <= one < (tenth + 1) / 10 for one in drawn) / len(drawn)
            assert share == pytest.approx(0.1, abs=4 * sqrt(0.09 / len(drawn)))
        pairs = [(one - 0.5) * (other - 0.5) for one, other in pairwise(drawn)]
        assert sum(pairs) / len(pairs) == pytest.approx(0.0, abs=4 / 12 / sqrt(len(pairs)))

    def test_every_fact_counts(self) -> None:
        facts: dict[str, Any] = {"session": SESSION, "history": bytes(16), "version": "policy", "number": 1}
        changed = ({"session": SessionId("0b" * 32)}, {"history": b"1" * 16}, {"version": "other"}, {"number": 2})
        assert len({draw(**facts | change) for change in ({}, *changed)}) == len(changed) + 1

    def test_a_replica_draws_alike(self) -> None:
        unlimited = replace(EAGER, explore_dollars=100.0)
        first, second = list(boundaries(unlimited)), list(boundaries(unlimited))
        assert [one.to_plain() for one in first] == [one.to_plain() for one in second]
        other = list(boundaries(unlimited, session=SessionId("0b" * 32)))
        assert [one.model for one in other] != [one.model for one in first]

    def test_a_draw_from_nothing_that_differs_is_always_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Then whoever explores once does so for ever: what the facts are for."""
        monkeypatch.setattr(reckoning, "draw", lambda *_: 0.25)
        unlimited = replace(EAGER, explore_dollars=100.0)
        assert {decision.reason for decision in boundaries(unlimited)} == {Reason.EXPLORED}
        monkeypatch.setattr(reckoning, "draw", exploration.draw)
        share = sum(decision.reason is Reason.EXPLORED for decision in boundaries(unlimited, 100)) / 100
        assert share == pytest.approx(0.5, abs=0.2)


class TestWhereNothingIsTried:
    """At these boundaries the same session, or another one, does explore."""

    def test_a_session_that_nobody_keeps_has_no_budget(self) -> None:
        talk = Talk(Router(MODELS, policy=EAGER, scorer=Says(dict.fromkeys(NAMES, 0.9)), key=b"k" * 32), session=None)
        assert {talk.turn().evidence.propensity for _ in range(20)} == {1.0}

    def test_what_a_middleware_asks_leaves_no_trace_in_the_account(self) -> None:
        talk = Talk(Router(MODELS, policy=EAGER, scorer=Says(dict.fromkeys(NAMES, 0.9)), key=b"k" * 32))
        met = Counter[float | None]()
        for _ in range(20):
            talk.says()
            assert talk.again(internal=True).evidence.propensity == 1.0
            decision = talk.again()
            met[decision.evidence.propensity] += 1
            talk.answered(decision)
        assert met[0.5] > 0, met

    def test_a_model_that_takes_the_place_of_a_failed_one_was_not_tried(self) -> None:
        met = Counter[Reason]()
        talk = Talk(Router(MODELS, policy=replace(EAGER, explore_dollars=5.0), scorer=Says(dict.fromkeys(NAMES, 0.9)), key=b"k" * 32))
        for _ in range(20):
            before = 0.0 if talk.router.store.load(SESSION) is None else explored_of(talk)
            first = talk.asked()
            talk.failed(first)
            second = talk.again(failed=(first.chosen(),))
            assert (second.reason, second.evidence.propensity, explored(second)) == (Reason.FALLBACK, 1.0, before)
            met[first.reason] += 1
            talk.answered(second)
        assert met[Reason.EXPLORED] > 0, met

    def test_a_history_that_must_not_be_converted_is_not_taken_elsewhere(self) -> None:
        actions = {}
        for rule in (OnUnportable.RAISE, OnUnportable.CONVERT):
            talk = Talk(
                Router(MODELS, policy=replace(EAGER, on_unportable=rule), scorer=Says({FAST: 0.9, STRONG: 0.9, OTHER: 0.9}), key=b"k" * 32)
            )
            decision = talk.asked()
            for _ in range(20):
                talk.answered(decision)
                talk.steps[-1] = replace(talk.steps[-1], bindings=frozenset({signed(decision.chosen())}))
                decision = talk.asked()
                actions.setdefault(rule, Counter())[decision.reason] += 1
        assert set(actions[OnUnportable.RAISE]) == {Reason.STILL_BEST}
        assert actions[OnUnportable.CONVERT][Reason.EXPLORED] > 0


def explored_of(talk: Talk) -> float:
    account = talk.stored.account
    return 0.0 if account is None else account.explored
