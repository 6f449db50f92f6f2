"""A choice by dollars, from the history and the session that lead to it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from session_router.core.account import Account
from session_router.core.decision import Action, Decision, Reason
from session_router.core.experience import LAST_NUMBER, Experience, Mark
from session_router.core.ledger import Ledger
from session_router.core.offer import Offer
from session_router.core.policy import Policy
from session_router.core.prefix import PromptCache
from session_router.core.pricing import USD, Prices
from session_router.router import Router
from support.talk import Says, Talk
from values import FAST, OTHER, STRONG, spec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName, ModelSpec

CACHED = Prices(input=10.0, output=10.0, cached_input=1.0)
ROOMY = PromptCache(minimum_tokens=0)
EVEN = {FAST: 0.5, STRONG: 0.5, OTHER: 0.5}


def priced(**fields: Any) -> ModelSpec:
    return replace(spec(prompt_cache=ROOMY, **fields), prices=CACHED)


def talk(policy: Policy | None = None, chances: dict[ModelName, float] | None = None, **ports: Any) -> Talk:
    """Three models alike."""
    ports.setdefault("scorer", Says(EVEN if chances is None else chances))
    models = {name: priced() for name in (FAST, STRONG, OTHER)}
    return Talk(Router(models, policy=policy or Policy(stake=1.0, cap=None), key=b"k" * 32, **ports))


def wants(name: ModelName, *, others: float = 0.0) -> Says:
    return Says({one: 1.0 if one == name else others for one in EVEN})


def offers(decision: Decision) -> dict[str, Offer]:
    return {one.model: one.offer for one in decision.evidence.candidates if one.offer is not None}


def past(dollars: float, *, number: int = 1, chances: Mapping[ModelName, float] = EVEN, calls: int = 2) -> Mark:
    """A boundary of a past session, after which `dollars` followed whoever served it."""
    after = dict.fromkeys(EVEN, USD(dollars))
    return Mark(number=number, tokens=100, chances=chances, calls=calls, growth=5.0, output=20.0, afterwards=after)


def account(decision: Decision) -> Account:
    assert decision.session is not None
    assert decision.session.account is not None
    return decision.session.account


class TestTheSameBoundaryAgain:
    """A crash before the answer, a resume, another replica: nothing of the session counts twice."""

    @pytest.mark.parametrize("turns", [1, 5], ids=["untrusted", "trusted"])
    @pytest.mark.parametrize("cap", [0.0, 0.5, None])
    def test_it_is_decided_alike_and_nothing_counts_twice(self, turns: int, cap: float | None) -> None:
        subject = talk(Policy(stake=1.0, cap=cap, cooldown=1))
        for _ in range(turns):
            subject.turn(2_000)
        subject.router.scorer = wants(STRONG)
        first = subject.asked(50)
        assert (first.model, first.evidence.trusted) == (STRONG, turns == 5)
        for _ in range(4):
            again = subject.again()
            assert (again.model, again.reason, again.evidence.forecast) == (first.model, first.reason, first.evidence.forecast)
            assert account(again) == account(first)
            assert offers(again) == offers(first)

    def test_a_choice_that_would_be_too_much_twice_is_made_again(self) -> None:
        subject = talk(Policy(stake=1.0, cap=0.5))
        for _ in range(2):
            subject.turn(1_000)
        subject.router.scorer = Says({**EVEN, STRONG: 0.6})
        first = subject.asked(50)
        # What the first may spend must not be missing at the next.
        for _ in range(9):
            assert (subject.again().model, subject.again().reason) == (first.model, first.reason)

    def test_a_failed_first_call_does_not_count(self) -> None:
        subject, smooth = talk(), talk()
        for one in (subject, smooth):
            one.turn(500)
            one.router.scorer = wants(STRONG, others=0.9)
        failed = subject.asked(50)
        assert failed.model == STRONG
        subject.failed(failed)
        instead = subject.again(failed=(STRONG,))
        assert (instead.model, instead.reason) == (FAST, Reason.FALLBACK)
        # As if the model that failed had never been a candidate.
        smooth.now += 1.0
        smooth.steps = [*subject.steps]
        calm = smooth.again(failed=(STRONG,))
        assert account(instead) == account(calm)
        assert account(instead).number == 2

    def test_a_failed_model_leaves_the_session_where_its_ledger_is(self) -> None:
        subject = talk()
        first = subject.turn(500)
        subject.router.scorer = wants(STRONG, others=0.9)
        failed = subject.asked(50)
        subject.failed(failed)
        instead = subject.again(failed=(STRONG,))
        assert account(instead).ledger == Ledger(
            anchor=FAST,
            spent=USD(offers(first)[FAST].segment + offers(instead)[FAST].segment),
            unmoved=USD(offers(first)[FAST].segment + offers(instead)[FAST].segment),
        )

    def test_another_history_of_as_many_messages_is_another_boundary(self) -> None:
        """A window that shows the last messages only has as many of them at every boundary."""
        subject = talk()
        for number in range(1, 6):
            decision = subject.turn(100)
            assert account(decision).number == number
            subject.steps = subject.steps[-2:]
        assert account(decision).habits.weight > 3

    def test_a_pin_at_the_same_boundary_does_not_count_it_twice(self) -> None:
        subject = talk()
        subject.turn(100)
        subject.asked(100)
        before = account(subject.again())
        for pinned in (STRONG, FAST, None):
            again = account(subject.again(only=pinned))
            assert (again.number, again.habits) == (2, before.habits)
        assert (again.drift, again.ledger) == (before.drift, before.ledger)


class TestForcedMoves:
    """There is no anchor to go back to: dollars are counted anew where the session is now."""

    @pytest.mark.parametrize("cap", [0.0, 0.5, 1.0])
    def test_after_a_pin(self, cap: float) -> None:
        subject = talk(Policy(stake=1.0, cap=cap))
        subject.turn(1_000)
        subject.now += 1
        pinned = subject.asked(50, only=STRONG)
        assert account(pinned).ledger is None
        subject.answered(pinned)
        free = subject.asked(50)
        assert account(free).ledger == Ledger(anchor=STRONG, spent=offers(free)[STRONG].segment, unmoved=offers(free)[STRONG].segment)

    def test_after_a_current_model_that_failed(self) -> None:
        subject = talk()
        subject.turn(1_000)
        subject.failed(subject.asked(50))
        instead = subject.again(failed=(FAST,))
        model = instead.chosen()
        assert model != FAST
        assert account(instead).ledger == Ledger(anchor=model, spent=offers(instead)[model].segment, unmoved=offers(instead)[model].segment)

    def test_after_another_model_answered_than_was_chosen(self) -> None:
        """A fallback inside the handler."""
        subject = talk(Policy(stake=1.0, cap=0.0))
        subject.turn(1_000, by=OTHER)
        decision = subject.asked(50)
        ledger = account(decision).ledger
        assert ledger is not None
        assert (ledger.anchor, ledger.spent) == (OTHER, offers(decision)[OTHER].segment)
        assert ledger.holds(share=0.0)

    def test_a_move_of_one_s_own_begins_none(self) -> None:
        subject = talk()
        first = subject.turn(500)
        subject.router.scorer = wants(STRONG)
        second = subject.turn(50)
        third = subject.turn(50)
        assert [one.model for one in (first, second, third)] == [FAST, STRONG, STRONG]
        ledger = account(third).ledger
        assert ledger is not None
        assert ledger.anchor == FAST
        assert ledger.spent == pytest.approx(sum(offers(one)[one.chosen()].segment for one in (first, second, third)))


class TestWarmth:
    def test_going_back_within_the_time_to_live_is_priced_warm(self) -> None:
        subject = talk()
        first = subject.turn(2_000)
        subject.router.scorer = wants(STRONG)
        second = subject.turn(300)
        third = subject.asked(70)
        assert [first.model, second.model] == [FAST, STRONG]
        # Of 2,000 + 10 + 300 + 10 + 70 tokens `fast` has read the first 2,000, `strong` 2,310.
        premium = (CACHED.input - 1.0) / 1e6
        ingest = {name: one.ingest for name, one in offers(third).items()}
        assert ingest == pytest.approx({FAST: 390 * premium, STRONG: 80 * premium, OTHER: 2_390 * premium})
        assert {one.model: one.cached for one in third.evidence.candidates} == {FAST: 2_000, STRONG: 2_310, OTHER: 0}

    def test_past_the_time_to_live_everyone_is_cold(self) -> None:
        for wait, warm in ((299.0, True), (301.0, False)):
            subject = talk()
            subject.turn(2_000)
            last = offers(subject.asked(70, wait=wait))
            assert (last[FAST].ingest < last[OTHER].ingest) is warm
            assert (last[FAST].ingest == last[OTHER].ingest) is not warm

    def test_after_a_rewrite_everyone_is_as_cold_as_for_a_new_session(self) -> None:
        subject = talk()
        subject.turn(2_000)
        subject.router.scorer = wants(STRONG)
        subject.turn(300)
        subject.rewritten(500)
        rewritten = subject.asked(70)
        fresh = talk()
        fresh.steps = subject.steps[:-1]
        new = fresh.asked(70)
        assert {name: one.ingest for name, one in offers(rewritten).items()} == pytest.approx(
            {name: one.ingest for name, one in offers(new).items()}
        )
        # And not because there is nothing to be read.
        assert min(one.ingest for one in offers(new).values()) > 0

    def test_a_call_that_failed_reads_nothing_and_forgets_nothing(self) -> None:
        subject = talk()
        subject.turn(2_000, counted=1.3)
        before = subject.stored.visits
        for how in ({}, {"by": STRONG}):
            decision = subject.asked(70)
            assert decision.model == FAST
            if how:
                subject.answered(decision, **how)
                assert set(subject.stored.visits) == {FAST, STRONG}
            else:
                subject.failed(decision)
            assert subject.stored.visits[FAST] == before[FAST]
        assert offers(subject.asked(10))[FAST].ingest < offers(subject.again())[OTHER].ingest


class TestWhatProvidersCount:
    def share(self, subject: Talk) -> float:
        """Of what `fast` has read, how much is believed to be cached."""
        decision = subject.asked(10)
        [cached] = [one.cached for one in decision.evidence.candidates if one.model == FAST]
        read = sum(step.tokens for step in subject.steps[:-2])
        subject.answered(decision, counted=1.0)
        return cached / read

    def test_one_that_caches_nothing_is_soon_priced_almost_cold(self) -> None:
        subject = talk(scorer=wants(FAST))
        subject.turn(2_000, counted=1.0, cached=0.0)
        shares = []
        for _ in range(8):
            shares.append(subject.stored.visits[FAST].held)
            subject.turn(10, counted=1.0, cached=0.0)
        assert shares[0] == 1.0
        assert shares == sorted(shares, reverse=True)
        assert self.share(subject) < 0.1

    def test_one_that_recovers_is_believed_again(self) -> None:
        subject = talk(scorer=wants(FAST))
        for _ in range(9):
            subject.turn(2_000, counted=1.0, cached=0.0)
        assert self.share(subject) < 0.1
        for _ in range(9):
            subject.turn(10, counted=1.0, cached=1.0)
        assert self.share(subject) > 0.95

    def test_one_that_does_not_say_what_it_cached_changes_nothing(self) -> None:
        subject = talk()
        subject.turn(2_000, counted=1.0, cached=0.0)
        subject.turn(10, counted=1.0, cached=0.0)
        held = subject.stored.visits[FAST].held
        assert held < 1.0
        for counted in (1.0, 1.3, None):
            subject.turn(10, counted=counted)
            assert subject.stored.visits[FAST].held == held

    def test_what_nobody_expected_to_be_cached_changes_nothing(self) -> None:
        subject = talk()
        subject.turn(2_000, counted=1.0, cached=0.0)
        subject.turn(10, wait=900.0, counted=1.0, cached=0.0)
        assert subject.stored.visits[FAST].held == 1.0

    def test_one_that_counts_more_tokens_is_priced_at_more(self) -> None:
        subject = talk()
        subject.turn(1_000, counted=1.3)
        last = subject.asked(90)
        forecast = last.evidence.forecast
        assert forecast is not None
        # 1,000 tokens are cached, 10 + 90 are not; each counts for 1.3.
        premium = 1.3 * (CACHED.input - 1.0) / 1e6
        assert offers(last)[FAST].ingest == pytest.approx(100 * premium)
        # Others are assumed to count alike until they have counted.
        assert offers(last)[STRONG].ingest == pytest.approx(1_100 * premium)
        assert {one.model: one.cached for one in last.evidence.candidates} == {FAST: 1_300, STRONG: 0, OTHER: 0}
        assert account(last).habits.output == 10.0

    def test_the_last_count_is_the_one_that_is_believed(self) -> None:
        subject = talk()
        for counted in (1.3, 1.1):
            subject.turn(1_000, counted=counted)
        assert subject.stored.visits[FAST].scale == pytest.approx(1.1)


class TestCooldown:
    def test_it_holds_for_so_many_turns_after_a_switch(self) -> None:
        made = []
        for cooldown in (0, 1, 2):
            subject = talk(Policy(stake=1.0, cap=None, cooldown=cooldown))
            for _ in range(4):
                subject.turn(10)
            subject.router.scorer = wants(STRONG)
            assert subject.turn(10).model == STRONG
            subject.router.scorer = wants(FAST)
            made.append([subject.turn(10).reason is Reason.COOLDOWN for _ in range(3)])
        assert made == [[False] * 3, [True, False, False], [True, True, False]]

    def test_a_summary_that_leaves_fewer_turns_does_not_prolong_it(self) -> None:
        subject = talk(Policy(stake=1.0, cap=None))
        for _ in range(4):
            subject.turn(10)
        subject.router.scorer = wants(STRONG)
        assert subject.turn(10).model == STRONG
        subject.rewritten(10)
        subject.router.scorer = wants(FAST)
        assert subject.turn(10).reason is Reason.LOWER_EXPECTED_COST


class TestTrust:
    def test_it_takes_three_segments_that_were_like_predicted(self) -> None:
        subject = talk()
        # At the first boundary none has ended yet.
        assert [subject.turn(100).evidence.trusted for _ in range(8)] == [False] * 4 + [True] * 4

    def test_mispredictions_are_detected(self) -> None:
        subject = talk()
        trusted = [subject.turn(10, loop=[5] * (40 if number % 2 else 0)).evidence.trusted for number in range(12)]
        assert True not in trusted

    def test_mispredictions_are_detected_whatever_the_past_says(self) -> None:
        like = [past(1.0, number=number, calls=1) for number in range(1, LAST_NUMBER + 1) for _ in range(8)]
        trusted: list[list[bool | None]] = []
        for loop in ([], [1] * 20):
            subject = talk(Policy(experience=Experience(like)))
            trusted.append([subject.turn(100, answer=1, loop=loop).evidence.trusted for _ in range(2)])
        assert trusted == [[True, True], [True, False]]

    def test_the_past_of_others_is_trusted_at_once(self) -> None:
        subject = talk(Policy(experience=Experience([past(1.0)])))
        first = subject.asked(100)
        assert first.evidence.trusted is True
        subject.answered(first)
        # No past session came so far.
        assert subject.asked(100).evidence.trusted is False

    @pytest.mark.parametrize("boundaries", [1, 2, 7])
    def test_the_past_of_others_counts_by_how_often_it_was_like_this(self, boundaries: int) -> None:
        """Against one boundary's worth of expecting more of the same."""
        first = talk(Policy(experience=Experience([past(1_000.0)] * boundaries))).asked(100)
        for offer in offers(first).values():
            assert offer.afterwards == pytest.approx(1_000.0 * boundaries / (1 + boundaries), rel=1e-3)

    def test_a_past_that_was_never_like_this_counts_for_nothing(self) -> None:
        unlike = past(1.0, chances={name: 1.0 - chance * 2 for name, chance in EVEN.items()})
        alone, first = talk(Policy()).asked(100), talk(Policy(experience=Experience([unlike] * 8))).asked(100)
        assert first.evidence.trusted is alone.evidence.trusted is False
        for name, offer in offers(first).items():
            assert offer.afterwards == pytest.approx(offers(alone)[name].afterwards, abs=1e-5)

    def test_the_same_boundary_again_is_compared_with_those_of_its_own_number(self) -> None:
        marks = [past(dollars, number=number) for number, dollars in ((1, 1_000.0), (2, 5_000.0), (3, 9_000.0)) for _ in range(8)]
        subject = talk(Policy(experience=Experience(marks)))
        subject.turn(100)
        for decision in (subject.asked(10), subject.again(), subject.again()):
            for offer in offers(decision).values():
                assert offer.afterwards == pytest.approx(5_000.0 * 8 / 9, rel=0.02)


class TestLearning:
    def test_a_session_learns_from_its_segments(self) -> None:
        subject = talk()
        subject.turn(100, answer=10, loop=[20, 20], counted=1.0)
        habits = account(subject.asked(40)).habits
        assert (habits.weight, habits.calls, habits.pairs) == (1.0, 3.0, 3.0)
        # Each call of the loop adds an answer and a result; then come the last answer and the question.
        assert (habits.growth, habits.between, habits.output) == (30.0, 50.0, 10.0)

    def test_a_summary_teaches_nothing_wrong(self) -> None:
        subject = talk()
        subject.turn(2_000, loop=[20], counted=1.0)
        subject.turn(2_000, loop=[20], counted=1.0)
        before = account(subject.asked(10)).habits
        subject.rewritten(50)
        after = account(subject.asked(10)).habits
        assert (after.growth, after.between) == (before.growth, before.between)
        assert after.calls < before.calls

    def test_a_call_of_a_middleware_teaches_nothing(self) -> None:
        subject = talk()
        subject.turn(100)
        before = subject.stored
        subject.asked(100, internal=True)
        assert subject.stored == before

    def test_a_refusal_teaches_nothing(self) -> None:
        subject = talk()
        subject.turn(100)
        before = subject.stored
        refused = subject.asked(100, failed=(FAST, STRONG, OTHER))
        assert refused.action is Action.REFUSE
        assert subject.stored == before


class TestUntrusted:
    """Through the router: what the fallback promises, with prices as users give them."""

    @pytest.mark.parametrize("cached", [(None, None), (None, 0.03), (0.3, 0.03)], ids=["no discount", "one discount", "discounts"])
    def test_what_was_paid_is_within_the_bound_of_what_could_have_been(self, cached: tuple[float | None, float | None]) -> None:
        prices = {
            FAST: Prices(input=3.0, output=15.0, cached_input=cached[0]),
            STRONG: Prices(input=0.3, output=1.5, cached_input=cached[1]),
        }
        models = {name: replace(spec(prompt_cache=ROOMY), prices=price) for name, price in prices.items()}
        # The first call is chosen by what is expected; from then on the dear model is no better than the cheap one.
        scorer = Says({FAST: 1.0, STRONG: 0.0})
        subject = Talk(Router(models, policy=Policy(stake=1.0, cap=None, handoff=0.05), scorer=scorer, key=b"k" * 32))
        assert subject.turn(1, answer=1).model == FAST
        scorer.chances = {FAST: 1.0, STRONG: 1.0}
        costs, arrivals = list[dict[str, float]](), list[dict[str, float]]()
        paid, current = 0.0, str(FAST)
        for number in range(40):
            decision = subject.turn(1, answer=1, loop=[[], [1] * 25][number % 2])
            assert decision.evidence.trusted is False
            costs.append({name: offer.served for name, offer in offers(decision).items()})
            arrivals.append({name: offer.arrival for name, offer in offers(decision).items()})
            chosen = decision.chosen()
            paid += costs[-1][chosen] + (arrivals[-1][chosen] if chosen != current else 0.0)
            current = chosen
        bound = 3 * cheapest(costs, arrivals, FAST) + 4 * max(max(one.values()) for one in arrivals)
        assert paid <= bound
        if cached[0] is None:
            # The check bites: who never moves pays more.
            assert sum(one[FAST] for one in costs) > bound


def cheapest(costs: list[dict[str, float]], arrivals: list[dict[str, float]], start: str) -> float:
    """The least that anyone could have paid in hindsight."""
    least = {name: 0.0 if name == start else float("inf") for name in costs[0]}
    for cost, arrival in zip(costs, arrivals, strict=True):
        least = {name: cost[name] + min(paid + (arrival[name] if last != name else 0.0) for last, paid in least.items()) for name in cost}
    return min(least.values())


def test_a_session_whose_model_cannot_take_the_call_does_not_begin_anew() -> None:
    models = {FAST: replace(priced(), context_window=500), STRONG: priced(), OTHER: priced()}
    subject = Talk(Router(models, policy=Policy(stake=1.0, cap=None), scorer=wants(FAST), key=b"k" * 32))
    assert subject.turn(100).reason is Reason.FIRST_CALL
    decision = subject.asked(2_000)
    assert (decision.action, decision.previous, decision.reason) == (Action.SWITCH, FAST, Reason.CURRENT_NOT_ELIGIBLE)
