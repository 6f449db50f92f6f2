"""A scorer that is wrong in the same way every time costs less with feedback than without: measured, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from random import Random
from typing import TYPE_CHECKING

from session_router import Feedback, Policy
from session_router.core.need import Need
from session_router.core.session import SessionId
from session_router.router import Router
from support.talk import Talk
from values import FAST, STRONG, specs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Question

SESSIONS, TURNS = 30, 8
STAKE = 0.1
OUTPUT = 400
DOLLARS = {FAST: OUTPUT * 5e-6, STRONG: OUTPUT * 5e-5}
"""Of one answer; nothing else costs anything to speak of here."""


@dataclass
class Biased:
    """A scorer that knows how hard a question is, and is off by `bias` in the log-odds of `fast`."""

    bias: float
    true: Mapping[ModelName, float] | None = None

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        del question, models
        assert self.true is not None
        odds = log(self.true[FAST] / (1 - self.true[FAST])) + self.bias
        return {FAST: Need(p_success=1 / (1 + exp(-odds))), STRONG: Need(p_success=self.true[STRONG])}

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        return self.score(question, models)


def regret(bias: float, *, told: bool, seed: int, explore: float = 0.0) -> float:
    """Return expected dollars above those of who knows all chances, over some sessions of one store."""
    random, scorer = Random(seed), Biased(bias)
    policy = Policy(stake=STAKE, explore=explore, explore_dollars=1.0 if explore else 0.0)
    router = Router(specs(), scorer=scorer, policy=policy, key=b"k" * 32)
    lost = 0.0
    for number in range(SESSIONS):
        talk = Talk(router, session=SessionId(f"{number:064x}"))
        for _ in range(TURNS):
            hard, luck = random.random() < 0.5, random.random()
            scorer.true = {FAST: 0.55 if hard else 0.95, STRONG: 0.97}
            cost = {name: DOLLARS[name] + STAKE * (1 - chance) for name, chance in scorer.true.items()}
            decision = talk.turn(counted=1.0, output=OUTPUT)
            model = decision.chosen()
            lost += cost[model] - min(cost.values())
            if told:
                router.feedback(decision, Feedback.task(success=luck < scorer.true[model]))
    return lost


def regrets(bias: float, **how: float) -> tuple[float, float]:
    """Return the regret without feedback and with it, of the same sessions."""
    without, told = (sum(regret(bias, told=told, seed=seed, **how) for seed in range(3)) for told in (False, True))
    return without, told


def test_feedback_makes_up_for_a_scorer_that_thinks_too_much_of_the_cheap_model() -> None:
    without, told = regrets(2.5)
    assert 0 < told < without / 3


def test_of_a_model_that_is_never_chosen_nothing_is_learned_without_exploration() -> None:
    without, told = regrets(-2.5)
    assert told == without > 0
    without, told = regrets(-2.5, explore=0.1)
    assert told < 0.8 * without


def test_a_scorer_that_is_right_loses_little_by_it() -> None:
    wrong, _ = regrets(2.5)
    without, told = regrets(0.0)
    assert without == 0
    assert told < wrong / 20
