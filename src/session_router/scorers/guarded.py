"""A scorer that does not let a part of a text upgrade all of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from session_router.core.need import Alarm
from session_router.scorers.windows import WINDOWS, costs_of, jump_of, questions_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Need, Question
    from session_router.ports import Scorer
    from session_router.scorers.guard_limits import GuardLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """How much of what a whole text asks for is believed.

    Attributes:
        rest: Which window's rest has the say besides the whole; `None` while the whole is believed.
        kept: Share of the way from that rest to the whole that is left, in [0, 1].
        alarm: `None` while no jump was above its limit.
    """

    rest: int | None = None
    kept: float = 1.0
    alarm: Alarm | None = None

    @classmethod
    def of(cls, jumps: Sequence[float], limits: GuardLimits) -> Ruling:
        """Rule on the jumps of the whole text over each rest of it; on none, for a text too short for windows."""
        if not jumps:
            return BELIEVED
        alarm = _alarm(jumps, limits)
        allowances = limits.allowances if alarm is None else (0.0,) * len(jumps)
        excess, index = max((jump - allowance, -index) for index, (jump, allowance) in enumerate(zip(jumps, allowances, strict=True)))
        return BELIEVED if excess <= 0 else cls(rest=-index, kept=allowances[-index] / jumps[-index], alarm=alarm)

    def chance(self, whole: float, rest: float) -> float:
        """Return the `p_success` that is left of that of the whole text and of its rest."""
        # In this form it never leaves [0, 1], whatever is rounded.
        return min(1.0, (1 - self.kept) * rest + self.kept * whole)

    def need(self, whole: Need, rest: Need) -> Need:
        """Return the need that is left. Its interval lies between the two as well; nobody has checked it against outcomes."""
        p_success = self.chance(whole.p_success, rest.p_success)
        # A certificate goes by what is left. One of the two scores is at least that high and brings the certificate.
        known = (one for one in (whole.certificate, rest.certificate) if one is not None and p_success >= one.least_chance)
        return replace(
            whole,
            p_success=p_success,
            low=min(p_success, self.chance(whole.low, rest.low)),
            high=max(p_success, self.chance(whole.high, rest.high)),
            certificate=next(known, None),
            alarm=self.alarm,
        )


BELIEVED = Ruling()
"""The whole text is taken at its word."""


def _alarm(jumps: Sequence[float], limits: GuardLimits) -> Alarm | None:
    alarms = [
        Alarm(window=window.name, jump=jump, limit=limit)
        for window, jump, limit in zip(WINDOWS, jumps, limits.alarms, strict=True)
        if jump > limit
    ]
    return max(alarms, key=lambda alarm: alarm.jump - alarm.limit, default=None)


class GuardedScorer:
    """Scores canonical texts, with and without windows of them, and caps what a single part asks for.

    The need is that of the whole text while it asks for no more than `limits.allowances` beyond what each rest of it asks for. Of
    a larger jump only the allowance is left: the need is taken from between the whole and the rest. Above `limits.alarms` there is
    an alarm, which the needs bear, and the need is that of the rest. So whoever controls text that one of the windows covers gains no
    more than an allowance over what somebody else's part of the text asks for, whether or not they know the guard. Where more than
    two models differ in price, this holds for the window with the largest excess.

    A downgrade is no upgrade: a text that asks for less than its parts keeps the need of the whole. And a cap is only a score: what
    governance, capability or a risk gate demands is not the scorer's to forbid. A certificate of the scorer within is kept where what is
    left reaches its `least_chance`; it holds if it was made for the guarded scorer.

    It costs up to five more scores of shorter texts (three times the characters of the text in all), sync one after the other, async at the
    same time; of texts below 64 characters none. A `FittedScorer` whose file has limits does this by itself.

    Args:
        scorer: Whose scores are guarded.
        limits: Made by `limits_from` for this scorer and these models.
    """

    def __init__(self, scorer: Scorer, *, limits: GuardLimits) -> None:
        self._scorer, self._limits = scorer, limits

    def check_routes(self, routes: Iterable[str]) -> None:
        """See that the scorer within knows every route, if it can tell.

        Raises:
            ConfigurationError: It does not.
        """
        check = getattr(self._scorer, "check_routes", None)
        if callable(check):
            check(routes)

    def score(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Return the need of every model in `models`, capped."""
        return self._ruled([self._scorer.score(one, models) for one in questions_of(question)], models)

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Do what `score` does without blocking the event loop."""
        return self._ruled(await asyncio.gather(*(self._scorer.ascore(one, models) for one in questions_of(question))), models)

    def _ruled(self, scores: Sequence[Mapping[ModelName, Need]], models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        whole, *rests = scores
        costs, chances = costs_of(models), [{name: needs[name].p_success for name in models} for needs in scores]
        ruling = Ruling.of([jump_of(chances[0], rest, costs) for rest in chances[1:]], self._limits)
        return whole if ruling.rest is None else {name: ruling.need(whole[name], rests[ruling.rest][name]) for name in models}
