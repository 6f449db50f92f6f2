"""The optimum is what trying everything would find: on any problem, and on any session under its locks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, TypeAlias
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from session_router.core import hindsight
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.hindsight import Path, cheapest_path
from session_router.core.model import ModelName, ModelSpec
from session_router.core.policy import Policy
from session_router.core.prefix import PromptCache
from session_router.core.pricing import Prices, Usage
from session_router.recordings import RecordedMessage, Recording
from session_router.regret import Bill, Hindsight, SessionCosts, Terms, lower_bound, returning_bound
from session_router.regret.lower_bound import LowerBound
from session_router.regret.returning_bound import ReturningBound
from session_router.regret.routings import baselines
from session_router.regret.runs import NEVER, RunCosts
from session_router.replay import Pace, replay_session
from session_router.router import Router
from session_router.stores.memory import MemorySessionStore
from support.talk import Says
from values import ai, human, tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

State: TypeAlias = tuple[int, tuple[int, ...]]
"""The stage to come, and the stage of the last visit of each choice; -1 for none."""


@dataclass
class Problem:
    """Each stage has a price for each choice, less what the last visit of the choice saves.

    Whole numbers, so that sums do not depend on their order.
    """

    prices: list[list[int]]
    savings: list[list[list[int]]]

    def moves(self, stage: int, state: State) -> Iterator[tuple[int, float, State]]:
        _, visits = state
        for choice, price in enumerate(self.prices[stage]):
            after = (*visits[:choice], stage, *visits[choice + 1 :])
            yield choice, float(price - self.saved(stage, choice, visits[choice])), (stage + 1, after)

    def saved(self, stage: int, choice: int, visit: int) -> int:
        return 0 if visit < 0 else self.savings[choice][stage][visit]

    def worth(self, better: State, other: State) -> float:
        rest = range(better[0], len(self.prices))
        return float(
            sum(
                max([0, *(self.saved(stage, choice, wanted) - self.saved(stage, choice, visit) for stage in rest)])
                for choice, (visit, wanted) in enumerate(zip(better[1], other[1], strict=True))
            )
        )

    def remaining(self, state: State) -> float:
        return float(
            sum(
                min(price - max(0, *self.savings[choice][stage]) for choice, price in enumerate(self.prices[stage]))
                for stage in range(state[0], len(self.prices))
            )
        )

    def start(self) -> State:
        return 0, (-1,) * len(self.savings)

    def cost(self, choices: Sequence[int]) -> float:
        state, total = self.start(), 0.0
        for stage, choice in enumerate(choices):
            _, dollars, state = list(self.moves(stage, state))[choice]
            total += dollars
        return total

    def search(self, **how: Any) -> Path[int]:
        return cheapest_path(range(len(self.prices)), self.start(), self.moves, **how)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    stages, choices = draw(st.integers(1, 6)), draw(st.integers(1, 3))
    row = st.lists(st.integers(-3, 20), min_size=choices, max_size=choices)
    saved = st.lists(st.lists(st.integers(0, 12), min_size=stages, max_size=stages), min_size=stages, max_size=stages)
    return Problem(
        prices=draw(st.lists(row, min_size=stages, max_size=stages)),
        savings=draw(st.lists(saved, min_size=choices, max_size=choices)),
    )


def test_the_cheapest_path_is_what_trying_every_path_finds() -> None:
    seen = Counter[str]()

    @settings(max_examples=300, deadline=None)
    @given(problems())
    def law(problem: Problem) -> None:
        least = min(problem.cost(choices) for choices in product(range(len(problem.savings)), repeat=len(problem.prices)))
        plain, pruned = problem.search(), problem.search(worth=problem.worth)
        with mock.patch.object(hindsight, "BEAM", 2):
            bounded = problem.search(worth=problem.worth, remaining=problem.remaining)
            only_bounded = problem.search(remaining=problem.remaining)
        for path in (plain, pruned, bounded, only_bounded):
            assert problem.cost(path.choices) == path.total == least
        assert bounded.states <= pruned.states <= plain.states
        seen["pruned"] += pruned.states < plain.states
        seen["bounded"] += bounded.states < pruned.states
        # Bounds that are none: the law would not hold of them.
        seen["too small a worth"] += problem.search(worth=lambda a, b: problem.worth(a, b) / 2).total > least
        with mock.patch.object(hindsight, "BEAM", 1):
            seen["too large a rest"] += problem.search(remaining=lambda state: 3 * problem.remaining(state) + 9 * state[1][0]).total > least

    law()
    assert min(seen[name] for name in ("pruned", "bounded", "too small a worth", "too large a rest")) >= 1, seen


SECRET = Tag(level=Level.RESTRICTED)
LOOPS = ((1,), (3,), (2, 1), (1, 2, 3), (3, 1, 2), (1, 2, 1, 2), (1, 1, 1, 1), (1, 3, 1, 1), (1, 2, 1, 1, 1), (1, 1, 1, 1, 1, 1))
"""Calls of each turn: few enough in all to try every routing of them."""

WINDOW = 120
"""Tokens; a session may outgrow it."""


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    # So large that ten tokens cost dollars. Cached input may be dearer than fresh: nobody charges so, and nothing relies on it.
    price = st.integers(0, 9).map(lambda value: value * 100_000.0)
    return ModelSpec(
        model="x",
        prices=Prices(
            input=draw(price), output=draw(price), cached_input=draw(st.none() | price), cache_write=draw(st.none() | st.just(1e6))
        ),
        prompt_cache=PromptCache(
            seconds_to_live=draw(st.sampled_from((0.0, 12.0, 40.0, 300.0))), minimum_tokens=draw(st.sampled_from((0, 60)))
        ),
        context_window=draw(st.sampled_from((None, None, WINDOW))),
        clearance=Clearance(max_level=Level.RESTRICTED if draw(st.booleans()) else Level.PUBLIC),
    )


@dataclass
class Case:
    """A session, its models, and what is charged."""

    recording: Recording
    models: dict[ModelName, ModelSpec]
    chances: list[dict[ModelName, float]]
    terms: Terms

    def costs(self) -> SessionCosts:
        policy = Policy(unlabelled=Tag(level=Level.PUBLIC), stake=self.terms.stake, handoff=self.terms.handoff)
        store = MemorySessionStore(maximum_sessions=2)
        router = Router(self.models, scorer=Says(self.chances[0]), policy=policy, store=store, key=b"k" * 32)
        calls = list(replay_session(self.recording, router, pace=Pace(turn_seconds=20.0, call_seconds=5.0)))
        return SessionCosts(calls, router, lambda one: self.chances[one.decision.turn % len(self.chances)])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = [ModelName(name) for name in ("one", "two", "three")[: draw(st.integers(2, 3))]]
    tokens, secret = st.integers(1, 40), st.sampled_from((None, None, None, SECRET))
    messages: list[RecordedMessage] = []
    begins_locked = draw(st.sampled_from((False, False, True)))
    loops = draw(st.sampled_from(LOOPS))
    for turn, calls in enumerate(loops):
        if turn or not begins_locked:
            messages.append(RecordedMessage(step=human(f"{turn}", tokens=draw(tokens))))
        for index in range(calls):
            name = f"{turn}.{index}"
            if index or (begins_locked and not messages):
                messages.append(RecordedMessage(step=tool(f"{turn}.{index - 1}", tokens=draw(tokens), tag=draw(secret))))
            usage = draw(st.none() | st.builds(Usage, input=tokens, output=tokens))
            asks = (name,) if index + 1 < calls else ()
            messages.append(RecordedMessage(step=ai(*asks, by=None, tokens=draw(tokens)), usage=usage))
    chance = st.sampled_from((0.0, 0.25, 0.5, 0.75, 1.0))
    return Case(
        recording=Recording(session_id="s", messages=tuple(messages)),
        models={name: draw(specs()) for name in names},
        chances=[{name: draw(chance) for name in names} for _ in range(3)],
        terms=Terms(stake=draw(st.sampled_from((0.0, 3.0, 40.0))), handoff=draw(st.sampled_from((0.0, 2.0)))),
    )


def going_and_returning(*, kept: float) -> Case:
    """A session of which all three models keep what they read for so many seconds, and where nothing but fresh input has a price."""
    spec = ModelSpec(
        model="x",
        prices=Prices(input=900_000.0, output=0.0, cached_input=0.0),
        prompt_cache=PromptCache(seconds_to_live=kept, minimum_tokens=0),
        clearance=Clearance(max_level=Level.RESTRICTED),
    )
    messages = [RecordedMessage(step=step) for turn in range(6) for step in (human(f"{turn}", tokens=20), ai(by=None, tokens=20))]
    names = [ModelName(name) for name in ("one", "two", "three")]
    return Case(
        recording=Recording(session_id="s", messages=tuple(messages)),
        models=dict.fromkeys(names, spec),
        chances=[{name: float(name == best) for name in names} for best in names],
        terms=Terms(stake=40.0),
    )


def allowed(costs: SessionCosts, *, locks: bool = True) -> list[tuple[ModelName, ...]]:
    """Return every routing by models that can serve, with locks or without."""
    found: list[tuple[ModelName, ...]] = [()]
    for call in costs.calls:
        found = [
            (*before, name)
            for before in found
            for name in call.eligible
            if not (locks and before and call.locked and before[-1] in call.eligible and name != before[-1])
        ]
    return found


def test_the_optimum_of_a_session_is_the_cheapest_routing_that_its_locks_allow() -> None:
    seen = Counter[str]()

    @settings(max_examples=300, deadline=None)
    @given(cases(), st.sampled_from((1, 2, 3)))
    def law(case: Case, memory: int) -> None:
        costs, terms = case.costs(), case.terms
        totals = {models: Bill.of(costs.charges(models), terms).total for models in allowed(costs)}
        least = pytest.approx(min(totals.values()), rel=1e-9, abs=1e-9)
        with mock.patch.object(hindsight, "BEAM", 1), mock.patch.object(lower_bound, "LONGEST_MEMORY", memory):
            optimum = Hindsight(costs).routing(terms)
            assert (totals[optimum], Hindsight(costs).path(terms).total) == (least, least)
        assert Hindsight(costs).path(terms).total == least
        bill = Bill.of(costs.charges(optimum), terms)
        assert (bill.unsafe_switches, bill.impossible) == (0, 0)
        seen["switches"] += bill.switches > 0
        seen["forced inside a lock"] += any(
            one.switched and call.locked for one, call in zip(costs.charges(optimum), costs.calls, strict=True)
        )
        seen["refused"] += costs.refused > 0
        # What is none of the optimum's business: a routing that breaks locks, and a search that thinks nothing of warmth.
        free = [Bill.of(costs.charges(models), terms) for models in allowed(costs, locks=False)]
        seen["cheaper without locks"] += min(bill.total for bill in free) < min(totals.values()) - 1e-6
        assert all(bill.unsafe_switches for bill in free if bill.total < min(totals.values()) - 1e-6)
        with mock.patch.object(Hindsight, "_worth", return_value=lambda *_: 0.0):
            seen["too small a worth"] += Hindsight(costs).path(terms).total > min(totals.values()) + 1e-6

    law()
    expected = ("switches", "forced inside a lock", "refused", "cheaper without locks", "too small a worth")
    assert min(seen[name] for name in expected) >= 1, seen


def rests(costs: RunCosts, terms: Terms, chosen: Sequence[ModelName]) -> list[tuple[int, ModelName, tuple[int, ...], float]]:
    """Return, for every run but the first: who served the run before it, all last visits, and the dollars from it to the end."""
    visits, states, charged = [NEVER] * len(costs.models), list[tuple[int, ModelName, tuple[int, ...]]](), list[float]()
    for number, run in enumerate(costs.runs):
        name, place = chosen[run.first], costs.models.index(chosen[run.first])
        dollars = costs.dollars(number, name, visits[place]) + terms.stake * costs.shortfall(number, name)
        if number:
            before = chosen[costs.runs[number - 1].first]
            states.append((number, before, tuple(visits)))
            charged.append(dollars + terms.handoff * (name != before))
        visits[place] = number
    return [(*state, sum(charged[index:])) for index, state in enumerate(states)]


def test_no_routing_that_the_locks_allow_costs_less_than_a_bound_says() -> None:
    seen = Counter[str]()

    @settings(max_examples=100, deadline=None)
    @given(cases())
    @example(going_and_returning(kept=300.0))
    @example(going_and_returning(kept=30.0))
    def law(case: Case) -> None:
        session, terms = case.costs(), case.terms
        costs = RunCosts(session)
        short, longer = (_with_memory(length, costs, terms) for length in (1, 2))
        returning = ReturningBound(costs, terms)
        with mock.patch.object(RunCosts, "gap", return_value=0.0):
            wrong = ReturningBound(costs, terms)  # thinks nothing of warmth
        with mock.patch.object(returning_bound, "MOST_MODELS", 1):
            silent = ReturningBound(costs, terms)
        for chosen in allowed(session):
            for number, current, visits, dollars in rests(costs, terms, chosen):
                most = dollars + 1e-9 * max(1.0, dollars)
                one, other, third = (bound.dollars(number, current, visits) for bound in (short, returning, longer))
                assert max(one, other, third) <= most
                assert silent.dollars(number, current, visits) == 0.0
                seen["the one is larger"] += one > other + 1e-6
                seen["the other is larger"] += other > one + 1e-6
                seen["no bound"] += wrong.dollars(number, current, visits) > most + 1e-6

    law()
    assert min(seen[name] for name in ("the one is larger", "the other is larger", "no bound")) >= 1, seen


def _with_memory(length: int, costs: RunCosts, terms: Terms) -> LowerBound:
    with mock.patch.object(lower_bound, "LONGEST_MEMORY", length):
        return LowerBound(costs, terms)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_no_routing_that_keeps_locks_and_serves_every_call_beats_the_optimum(case: Case) -> None:
    costs, terms = case.costs(), case.terms
    optimum = Hindsight(costs).path(terms).total
    for name, routing in baselines(case.models).items():
        bill = Bill.of(costs.charges(routing(costs, terms)), terms)
        if not bill.unsafe_switches and not bill.impossible:
            assert bill.total >= optimum - 1e-9 * max(1.0, optimum), name
        if name in {"session-router", "sticky", "locks only"}:
            assert not bill.unsafe_switches, name
