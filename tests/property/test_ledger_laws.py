"""Money spent on switching stays under the cap, whatever the policy does; without the reserve, or a ledger, it does not.

A session is simulated: tokens that each model's provider caches, tokens that one that never switched would have cached,
segments that add tokens, caches that expire, histories that are rewritten. The policy is an adversary that takes any model
that it is allowed. All amounts are whole numbers, so that sums are exact.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from session_router.core.ledger import Ledger
from session_router.core.model import ModelName
from session_router.core.pricing import USD

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = settings(max_examples=300, deadline=None)
NAMES = tuple(map(ModelName, "abcd"))
ANCHOR = NAMES[0]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Dollars of a token read fresh, of one read from the cache, and of a handoff to the model."""

    fresh: int
    cached: int
    handoff: int


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What happens at one boundary and in the segment that follows.

    Attributes:
        rewritten: Tokens of the new history when it was rewritten; `None` when it was not.
        expired: Whose caches expired; the anchor's also expires for a session that never left it.
        idle_expired: Whether the caches of the models that did not serve the last segment expired.
        added: Tokens of the user's message.
        grown: Tokens that the segment's calls add.
        other: Dollars of output and stake, by model.
        choice: Which of the allowed models the policy takes, from the cheapest; -1 for the dearest.
    """

    rewritten: int | None = None
    expired: frozenset[ModelName] = frozenset()
    idle_expired: bool = False
    added: int = 0
    grown: int = 0
    other: dict[ModelName, int]
    choice: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """A session, and the share that may be spent on switching."""

    rates: dict[ModelName, Rates]
    segments: list[Segment]
    share: float


@dataclass(kw_only=True)
class World:
    """What is cached where."""

    rates: dict[ModelName, Rates]
    tokens: int = 0
    current: ModelName = ANCHOR
    cached: dict[ModelName, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))
    stayed: int = 0

    def arrive(self, segment: Segment) -> None:
        for model in NAMES:
            idle = segment.idle_expired and model != self.current
            if idle or model in segment.expired or segment.rewritten is not None:
                self.cached[model] = 0
        if ANCHOR in segment.expired or segment.rewritten is not None:
            self.stayed = 0
        self.tokens = (self.tokens if segment.rewritten is None else segment.rewritten) + segment.added

    def price(self, model: ModelName, cached: int, segment: Segment) -> USD:
        rates = self.rates[model]
        read = cached * rates.cached + (self.tokens - cached + segment.grown) * rates.fresh
        return USD(float(read + segment.other[model]))

    def cost(self, model: ModelName, segment: Segment) -> USD:
        handoff = self.rates[model].handoff if model != self.current else 0
        return USD(self.price(model, self.cached[model], segment) + handoff)

    def unmoved(self, segment: Segment) -> USD:
        return self.price(ANCHOR, self.stayed, segment)

    def serve(self, model: ModelName, segment: Segment) -> None:
        self.current = model
        self.tokens += segment.grown
        self.cached[model] = self.stayed = self.tokens

    def reserve(self, tokens: int) -> USD:
        rates = self.rates[ANCHOR]
        return USD(float(tokens * (rates.fresh - rates.cached) + rates.handoff))


def full_reserve(world: World, segment: Segment) -> USD:
    return world.reserve(world.tokens + segment.grown)


def without_growth(world: World, _segment: Segment) -> USD:
    return world.reserve(world.tokens)


def without_handoff(world: World, segment: Segment) -> USD:
    return USD(full_reserve(world, segment) - world.rates[ANCHOR].handoff)


def no_reserve(_world: World, _segment: Segment) -> USD:
    return USD(0.0)


def no_ledger(_world: World, _segment: Segment) -> USD:
    return USD(float("-inf"))


RULES: dict[str, Callable[[World, Segment], USD]] = {
    one.__name__: one for one in (full_reserve, without_growth, without_handoff, no_reserve, no_ledger)
}
BROKEN = sorted(set(RULES) - {"full_reserve"})


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """What the ledger says after a boundary, and what returning there would have cost."""

    model: ModelName
    ledger: Ledger
    anchor: Ledger
    excess: float
    held: bool


def simulate(run: Run, rule: str) -> list[Boundary]:
    world, ledger, reserved = World(rates=run.rates), Ledger(anchor=ANCHOR), 0.0
    boundaries: list[Boundary] = []
    for number, segment in enumerate(run.segments):
        world.arrive(segment)
        unmoved, reserve = world.unmoved(segment), RULES[rule](world, segment)
        costs = {model: world.cost(model, segment) for model in run.rates}
        allowed = [
            model
            for model, cost in costs.items()
            if model == ANCHOR or (number and ledger.allows(model, cost=cost, unmoved=unmoved, reserve=reserve, share=run.share))
        ]
        by_cost = sorted(allowed, key=lambda one: (costs[one], one))
        model = by_cost[segment.choice % len(by_cost)]
        returned = ledger.charged(cost=costs[ANCHOR], unmoved=unmoved)
        excess = max(0.0, costs[ANCHOR] - unmoved - reserved) if model == ANCHOR else 0.0
        ledger = ledger.charged(cost=costs[model], unmoved=unmoved)
        reserved = reserve if model != ANCHOR else 0.0
        held = ledger.spent <= (1 + run.share) * ledger.unmoved
        boundaries.append(Boundary(model=model, ledger=ledger, anchor=returned, excess=excess, held=held))
        world.serve(model, segment)
    return boundaries


def below(limit: int) -> st.SearchStrategy[int]:
    return st.integers(0, limit)


def segments(models: tuple[ModelName, ...]) -> st.SearchStrategy[Segment]:
    return st.builds(
        Segment,
        rewritten=st.one_of(st.none(), st.none(), st.none(), below(200)),
        expired=st.one_of(st.just(frozenset[ModelName]()), st.frozensets(st.sampled_from(models))),
        idle_expired=st.sampled_from((True, True, False)),
        added=below(100),
        grown=below(300),
        other=st.fixed_dictionaries({model: below(2_000) for model in models}),
        choice=st.sampled_from((-1, -1, -1, 0, 1, 2)),
    )


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    cached = draw(below(4))
    return Rates(cached=cached, fresh=cached + draw(below(8)), handoff=draw(below(400)))


@st.composite
def runs(draw: st.DrawFn) -> Run:
    models = NAMES[: draw(st.integers(2, 4))]
    return Run(
        rates={model: draw(rates()) for model in models},
        segments=draw(st.lists(segments(models), min_size=1, max_size=20)),
        share=draw(st.sampled_from((0.0, 0.0, 0.125, 0.25, 1.0))),
    )


def segment(*, choice: int, **fields: Any) -> Segment:
    return Segment(choice=choice, idle_expired=True, **fields)


def other(a: int = 0, b: int = 0) -> dict[ModelName, int]:
    return {NAMES[0]: a, NAMES[1]: b}


def two_models(away: Segment, *, handoff: int = 0) -> Run:
    """A free model besides the anchor, which first reads 100 tokens for 1,000; from its cache they would cost 100 later."""
    free, dear = Rates(fresh=0, cached=0, handoff=0), Rates(fresh=10, cached=1, handoff=handoff)
    first, last = segment(added=100, choice=0, other=other()), segment(choice=0, other=other(b=10**6))
    return Run(rates={NAMES[0]: dear, NAMES[1]: free}, segments=[first, away, last], share=0.0)


# The last segment is ruinous anywhere but on the anchor, so the session has to go back; each lacks a dollar or more for it.
EXAMPLES: dict[str, Run] = {
    "no_ledger": two_models(segment(choice=-1, other=other(b=101))),
    "no_reserve": two_models(segment(choice=0, other=other(a=10, b=20))),
    "without_growth": two_models(segment(choice=0, grown=1, other=other(a=890, b=100))),
    "without_handoff": two_models(segment(choice=0, other=other(a=899, b=99)), handoff=1),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_each_part_of_the_rule_is_needed(rule: str) -> None:
    run = EXAMPLES[rule]
    assert not all(boundary.held for boundary in simulate(run, rule))
    assert all(boundary.held for boundary in simulate(run, "full_reserve"))


def test_the_law_holds_at_every_boundary_and_the_way_back_is_always_affordable() -> None:
    tried, violations, moves = Counter[str](), Counter[str](), Counter[float]()

    @OURS
    @given(runs())
    def law(run: Run) -> None:
        for rule in RULES:
            boundaries = simulate(run, rule)
            tried[rule] += 1
            violations[rule] += not all(boundary.held for boundary in boundaries)
        for boundary in simulate(run, "full_reserve"):
            assert boundary.held
            assert boundary.ledger.holds(share=run.share)
            # Not because the ledger says so of its anchor: the dollars say so.
            assert boundary.anchor.spent <= (1 + run.share) * boundary.anchor.unmoved
            assert boundary.excess == 0
            moves[run.share] += boundary.model != ANCHOR

    law()
    assert min(tried.values()) >= 300, tried
    assert violations["full_reserve"] == 0
    assert violations["no_ledger"] >= 20, violations
    assert violations["no_reserve"] >= 3, violations
    assert moves.total() >= 50, moves


def test_what_was_not_reserved_is_all_that_the_law_can_miss() -> None:
    """Also when the reserve is too small: the excess of the returns bounds what is spent above the cap."""
    missed = Counter[str]()

    @OURS
    @given(runs())
    def law(run: Run) -> None:
        for rule in ("without_growth", "without_handoff", "no_reserve"):
            excess = 0.0
            for boundary in simulate(run, rule):
                excess += boundary.excess
                assert boundary.ledger.spent <= (1 + run.share) * boundary.ledger.unmoved + excess
                assert boundary.held or boundary.model == ANCHOR
                missed[rule] += not boundary.held

    law()
    assert missed["no_reserve"] >= 1, missed


AMOUNTS = st.integers(0, 10_000).map(lambda amount: USD(float(amount)))


@OURS
@given(spent=AMOUNTS, cost=AMOUNTS, unmoved=AMOUNTS, reserve=AMOUNTS, share=st.sampled_from((0.0, 0.25, 1.0)))
def test_what_is_allowed_leaves_the_way_back(spent: USD, cost: USD, unmoved: USD, reserve: USD, share: float) -> None:
    ledger = Ledger(anchor=ANCHOR, spent=spent, unmoved=spent)
    assert ledger.allows(ANCHOR, cost=cost, unmoved=unmoved, reserve=reserve, share=share)
    after = ledger.charged(cost=cost, unmoved=unmoved)
    returned = after.charged(cost=reserve, unmoved=USD(0.0))
    affordable = returned.spent <= (1 + share) * returned.unmoved
    assert ledger.allows(NAMES[1], cost=cost, unmoved=unmoved, reserve=reserve, share=share) is affordable
    if share == 0:
        assert affordable is (cost + reserve <= unmoved)  # no move that loses money, the way back included


@OURS
@given(st.lists(st.just(0.0) | st.floats(1e-9, 1e3), min_size=1, max_size=200), st.sampled_from((0.0, 0.1, 0.3)))
def test_rounding_never_breaks_the_law_of_a_session_that_spends_to_the_cap(amounts: list[float], share: float) -> None:
    ledger = Ledger(anchor=ANCHOR)
    for amount in amounts:
        ledger = ledger.charged(cost=USD((1 + share) * amount), unmoved=USD(amount))
        assert ledger.holds(share=share)
    dearer = ledger.charged(cost=USD(1e-6 * ledger.unmoved), unmoved=USD(0.0))
    assert dearer.holds(share=share) is (ledger.unmoved == 0)
