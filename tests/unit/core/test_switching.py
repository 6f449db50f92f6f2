"""Which offer a session takes at a boundary."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from session_router.core.decision import Reason
from session_router.core.ledger import Ledger
from session_router.core.model import ModelName
from session_router.core.offer import Offer
from session_router.core.policy import Policy
from session_router.core.pricing import USD
from session_router.core.switching import Standing, Verdict, decide
from session_router.core.work_function import advanced, begun, chosen
from values import FAST, OTHER, STRONG

if TYPE_CHECKING:
    from collections.abc import Iterable

FREE = Policy(margin=0.0, patience=0, cap=None)
"""Nothing but dollars decides."""


def offer(model: str, expected: float = 1.0, **terms: float) -> Offer:
    """An offer of a segment that costs `expected` dollars of risk, unless `terms` say otherwise."""
    given = {"ingest": 0.0, "loop": 0.0, "risk": expected, "handoff": 0.0, "afterwards": 0.0, "refresh": 0.0, "arrival": 0.0, **terms}
    return Offer(model=ModelName(model), **{name: USD(dollars) for name, dollars in given.items()})


def paid(model: str, loop: float, **terms: float) -> Offer:
    """An offer of a segment that costs `loop` dollars, and no risk unless `terms` say otherwise."""
    return offer(model, 0.0, loop=loop, **terms)


def taken(offers: Iterable[Offer], policy: Policy = FREE, *, current: str | None = FAST, trusted: bool = True, **fields: Any) -> Verdict:
    standing = Standing(current=None if current is None else ModelName(current), trusted=trusted, **fields)
    return decide({one.model: one for one in offers}, standing, policy)


def choice(*args: Any, **fields: Any) -> tuple[str, Reason]:
    verdict = taken(*args, **fields)
    return verdict.model, verdict.reason


class TestExpectedDollars:
    def test_the_least_win_in_any_order(self) -> None:
        three = [offer(FAST, 3.0), offer(STRONG, 1.0), offer(OTHER, 2.0)]
        for order in permutations(three):
            assert choice(order) == (STRONG, Reason.LOWER_EXPECTED_COST)
            assert choice(order, current=STRONG) == (STRONG, Reason.STILL_BEST)
            assert choice(order, current=None) == (STRONG, Reason.FIRST_CALL)

    def test_every_term_counts(self) -> None:
        for term in ("ingest", "loop", "risk", "handoff", "afterwards"):
            assert choice([offer(FAST, 0.0, **{term: 2.0}), offer(STRONG, 1.0)])[0] == STRONG
            assert choice([offer(FAST, 0.0, **{term: 0.5}), offer(STRONG, 1.0)])[0] == FAST

    def test_what_a_return_would_take_is_no_cost_of_this_segment(self) -> None:
        for term in ("arrival", "refresh"):
            assert choice([offer(FAST, 1.0, **{term: 9.0}), offer(STRONG, 2.0)], current=None)[0] == FAST

    def test_ties_go_to_the_current_model_then_to_the_first_name(self) -> None:
        even = [offer(name) for name in (STRONG, FAST, OTHER)]
        for order in permutations(even):
            assert choice(order, current=STRONG) == (STRONG, Reason.STILL_BEST)
            assert choice(order, current=None) == (FAST, Reason.FIRST_CALL)

    def test_free_beats_cheap(self) -> None:
        assert choice([offer(FAST, 0.0), offer(STRONG, 0.01)], Policy(cap=None), current=STRONG)[0] == FAST

    def test_a_current_model_that_is_not_on_offer_is_left(self) -> None:
        assert choice([offer(STRONG), offer(OTHER, 2.0)]) == (STRONG, Reason.CURRENT_NOT_ELIGIBLE)


class TestMargin:
    @pytest.mark.parametrize(("there", "chosen"), [(0.74, STRONG), (0.75, FAST), (0.76, FAST), (2.0, FAST)])
    def test_a_switch_must_save_more_than_the_margin(self, there: float, chosen: str) -> None:
        assert choice([paid(FAST, 1.0), paid(STRONG, there)], replace(FREE, margin=0.25))[0] == chosen

    @given(risk=st.floats(0, 1e6))
    def test_the_risk_that_every_model_has_is_nothing_to_save(self, risk: float) -> None:
        here, there = paid(FAST, 1.0, risk=risk), paid(STRONG, 0.7, risk=risk)
        assert choice([here, there], replace(FREE, margin=0.25))[0] == STRONG
        assert choice([here, there], replace(FREE, margin=0.35))[0] == FAST
        # Of what is risked more on the current model, a switch must save a share too.
        riskier = paid(FAST, 0.0, risk=risk + 1.0)
        assert choice([riskier, paid(STRONG, 0.7, risk=risk)], replace(FREE, margin=0.25))[0] == STRONG
        assert choice([riskier, paid(STRONG, 0.7, risk=risk)], replace(FREE, margin=0.35))[0] == FAST

    def test_what_follows_counts_like_the_segment(self) -> None:
        here, there = paid(FAST, 0.4, afterwards=0.6), paid(STRONG, 0.3, afterwards=0.4)
        assert choice([here, there], replace(FREE, margin=0.25)) == (STRONG, Reason.LOWER_EXPECTED_COST)
        assert choice([here, there], replace(FREE, margin=0.35)) == (FAST, Reason.WITHIN_MARGIN)
        # A saving that is a small share of all that is expected is within what nobody can predict.
        assert choice([paid(FAST, 1.0, afterwards=9.0), paid(STRONG, 0.0, afterwards=9.0)], replace(FREE, margin=0.1))[0] == FAST

    def test_it_does_not_hold_back_the_first_choice(self) -> None:
        assert choice([paid(FAST, 1.0), paid(STRONG, 0.99)], replace(FREE, margin=0.5), current=None)[0] == STRONG


class TestCooldown:
    @pytest.mark.parametrize(("since", "stays"), [(0, True), (1, True), (2, True), (3, False), (None, False)])
    def test_no_switch_follows_another_within_it(self, since: int | None, *, stays: bool) -> None:
        made = choice([offer(FAST), offer(STRONG, 0.1)], replace(FREE, cooldown=2), since_switch=since)
        assert made == ((FAST, Reason.COOLDOWN) if stays else (STRONG, Reason.LOWER_EXPECTED_COST))

    def test_without_one_the_next_turn_may_switch_again(self) -> None:
        assert choice([offer(FAST), offer(STRONG, 0.1)], since_switch=1)[0] == STRONG

    def test_it_holds_nobody_who_wants_to_stay_or_cannot(self) -> None:
        cool = replace(FREE, cooldown=2)
        assert choice([offer(FAST, 0.1), offer(STRONG)], cool, since_switch=1) == (FAST, Reason.STILL_BEST)
        assert choice([offer(STRONG)], cool, since_switch=1) == (STRONG, Reason.CURRENT_NOT_ELIGIBLE)


class TestPatience:
    """The best model has a cheaper loop, and saves less than the margin asks for."""

    offers = (offer(FAST, 0.0, loop=1.0), offer(STRONG, 0.0, loop=0.96))

    def boundaries(self, policy: Policy, *offers: tuple[Offer, ...], **fields: Any) -> list[tuple[str, Reason]]:
        """Stay on `fast` as long as it is chosen."""
        made: list[tuple[str, Reason]] = []
        quiet = 0
        for one in offers:
            verdict = taken(one, policy, quiet=quiet, **fields)
            made.append((verdict.model, verdict.reason))
            quiet = verdict.quiet
        return made

    @pytest.mark.parametrize("patience", [1, 2, 3, 7])
    def test_it_ends_after_exactly_so_many_boundaries(self, patience: int) -> None:
        made = self.boundaries(replace(FREE, margin=0.05, patience=patience), *[self.offers] * patience)
        assert made == [(FAST, Reason.WITHIN_MARGIN)] * (patience - 1) + [(STRONG, Reason.SUSTAINED_LOW_NEED)]

    def test_it_outranks_the_cooldown(self) -> None:
        made = self.boundaries(replace(FREE, cooldown=9, patience=2), *[self.offers] * 2, since_switch=1)
        assert made == [(FAST, Reason.COOLDOWN), (STRONG, Reason.SUSTAINED_LOW_NEED)]

    def test_without_it_a_small_saving_is_left_for_ever(self) -> None:
        assert self.boundaries(replace(FREE, margin=0.05), *[self.offers] * 9) == [(FAST, Reason.WITHIN_MARGIN)] * 9

    def test_a_boundary_at_which_the_current_model_is_best_begins_the_count_anew(self) -> None:
        better = (offer(FAST, 0.0, loop=0.9), offer(STRONG, 0.0, loop=0.96))
        made = self.boundaries(replace(FREE, margin=0.05, patience=3), *[self.offers] * 2, better, *[self.offers] * 3)
        assert [name for name, _ in made] == [FAST] * 5 + [STRONG]

    def test_a_best_model_with_a_dearer_loop_is_no_low_need(self) -> None:
        dearer = (offer(FAST, 0.1, loop=0.9), offer(STRONG, 0.0, loop=0.96))
        assert self.boundaries(replace(FREE, margin=0.05, patience=2), *[dearer] * 9) == [(FAST, Reason.WITHIN_MARGIN)] * 9

    def test_a_switch_begins_the_count_anew(self) -> None:
        policy = replace(FREE, margin=0.05, patience=2)
        assert taken(self.offers, policy, quiet=1).quiet == 0
        assert taken((offer(FAST), offer(STRONG, 0.1)), policy, quiet=1).quiet == 0

    def test_the_cap_outranks_it(self) -> None:
        full = Ledger(anchor=FAST, spent=USD(1.0), unmoved=USD(1.0))
        made = taken(self.offers, replace(FREE, patience=1, cap=0.0), ledger=full, unmoved=USD(1.0), reserve=USD(0.5))
        assert (made.model, made.reason, made.quiet) == (FAST, Reason.CAPPED, 1)


class TestCap:
    offers = (offer(FAST, 1.0), offer(STRONG, 0.5, ingest=0.25), offer(OTHER, 0.8))

    def standing(self, spent: float, reserve: float = 0.5) -> dict[str, Any]:
        return {"ledger": Ledger(anchor=FAST, spent=USD(spent), unmoved=USD(2.0)), "unmoved": USD(1.0), "reserve": USD(reserve)}

    def test_what_leaves_nothing_for_the_way_back_is_not_allowed(self) -> None:
        assert choice(self.offers, replace(FREE, cap=0.0), **self.standing(1.75)) == (STRONG, Reason.LOWER_EXPECTED_COST)
        assert choice(self.offers, replace(FREE, cap=0.0), **self.standing(1.8)) == (FAST, Reason.CAPPED)
        assert choice(self.offers, replace(FREE, cap=0.1), **self.standing(1.8)) == (STRONG, Reason.LOWER_EXPECTED_COST)
        assert choice(self.offers, replace(FREE, cap=None), **self.standing(1.8)) == (STRONG, Reason.LOWER_EXPECTED_COST)

    def test_the_best_of_what_is_allowed_is_taken(self) -> None:
        offers = (offer(FAST, 3.0), offer(STRONG, 2.0), offer(OTHER, 1.0, afterwards=1.5))
        assert choice(offers, replace(FREE, cap=0.0), **self.standing(1.0)) == (OTHER, Reason.CAPPED)

    def test_the_anchor_is_always_allowed(self) -> None:
        for cap in (0.0, 0.1, 1.0):
            assert choice(self.offers, replace(FREE, cap=cap), current=OTHER, **self.standing(99.0)) == (FAST, Reason.CAPPED)

    def test_it_holds_for_what_the_work_function_chooses(self) -> None:
        work = {FAST: USD(9.0), STRONG: USD(0.0), OTHER: USD(9.0)}
        for spent, made in ((1.75, (STRONG, Reason.WORK_FUNCTION)), (1.8, (FAST, Reason.CAPPED))):
            assert choice(self.offers, replace(FREE, cap=0.0), trusted=False, work=work, **self.standing(spent)) == made

    def test_what_is_chosen_is_charged_to_both_sides(self) -> None:
        verdict = taken(self.offers, replace(FREE, cap=0.0), **self.standing(1.75))
        assert verdict.ledger == Ledger(anchor=FAST, spent=USD(1.75 + 0.75), unmoved=USD(3.0))

    def test_a_session_on_nothing_begins_a_ledger_where_it_goes(self) -> None:
        for current in (None, "gone"):
            verdict = taken(self.offers, current=current, **self.standing(99.0))
            assert verdict.ledger == Ledger(anchor=STRONG, spent=USD(0.75), unmoved=USD(0.75))


class TestUntrusted:
    ARRIVAL: ClassVar = {FAST: USD(0.5), STRONG: USD(1.0), OTHER: USD(0.2)}

    def offers(self, *loops: float) -> list[Offer]:
        return [offer(name, 0.0, loop=loop, arrival=self.ARRIVAL[name]) for name, loop in zip(self.ARRIVAL, loops, strict=True)]

    def test_the_work_function_chooses_and_is_advanced(self) -> None:
        offers = self.offers(1.0, 0.9, 3.0)
        served = {one.model: one.served for one in offers}
        work, current, met = begun(self.ARRIVAL, FAST), FAST, set[Reason]()
        for _ in range(20):
            verdict = taken(offers, current=current, trusted=False, work=work)
            assert verdict.model == chosen(work, served, self.ARRIVAL, current)
            assert verdict.work == advanced(work, served, self.ARRIVAL)
            assert verdict.reason is (Reason.STILL_BEST if verdict.model == current else Reason.WORK_FUNCTION)
            work, current = dict(verdict.work), verdict.model
            met.add(verdict.reason)
        # A little dearer at every boundary is enough in the end, and not at once.
        assert (current, met) == (STRONG, {Reason.STILL_BEST, Reason.WORK_FUNCTION})

    def test_it_chooses_where_the_current_model_cannot_serve(self) -> None:
        """Else who charges the one model that is left behind each time would break its bound."""
        offers = self.offers(1.0, 0.9, 3.0)
        work = {FAST: USD(5.0), STRONG: USD(9.0), OTHER: USD(0.0), "gone": USD(0.0)}
        arrival, served = {one.model: one.arrival for one in offers}, {one.model: one.served for one in offers}
        verdict = taken(offers, current="gone", trusted=False, work=work)
        assert (verdict.model, verdict.reason) == (chosen(work, served, arrival, None), Reason.CURRENT_NOT_ELIGIBLE)
        assert verdict.model == FAST != taken(offers, current="gone", trusted=True, work=work).model

    def test_it_begins_where_the_session_is(self) -> None:
        offers = self.offers(1.0, 0.9, 3.0)
        begins = begun(self.ARRIVAL, STRONG)
        assert taken(offers, current=STRONG, trusted=False) == taken(offers, current=STRONG, trusted=False, work=begins)

    def test_neither_margin_nor_cooldown_hold_it_back(self) -> None:
        policy = replace(FREE, margin=0.9, cooldown=9)
        assert choice([offer(FAST), offer(STRONG, 0.9)], policy, trusted=False, since_switch=1) == (STRONG, Reason.WORK_FUNCTION)

    def test_predictions_of_what_follows_change_nothing(self) -> None:
        offers = [offer(FAST, 1.0, afterwards=99.0), offer(STRONG, 2.0)]
        assert choice(offers, trusted=False) == (FAST, Reason.STILL_BEST)
        assert choice(offers, trusted=True) == (STRONG, Reason.LOWER_EXPECTED_COST)

    def test_it_begins_anew_once_predictions_are_no_longer_followed(self) -> None:
        """Its bound is that of a stretch which it decides alone."""
        offers = self.offers(1.0, 0.9, 3.0)
        first = taken(offers, trusted=False)
        followed = taken(offers, trusted=True, work=first.work)
        assert first.work
        assert followed.work == {}
        assert taken(offers, trusted=False, work=followed.work) == first
