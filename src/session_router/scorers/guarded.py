"""A scorer that does not let a part of a text upgrade all of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from session_router.scorers.windows import WINDOWS, jump_of, questions_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Need, Question
    from session_router.ports import Scorer
    from session_router.scorers.guard_limits import GuardLimits
    from session_router.scorers.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A text that asks for much more than the rest of it does. It holds no text.

    Attributes:
        window: What was dropped.
        jump: By how much the lead of a dearer model in `p_success` fell without it; see `windows.jump_of`.
        limit: The jump above which there is an alarm.
    """

    window: Window
    jump: float
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What a guarded scorer says, and why.

    Attributes:
        needs: By model, after the cap.
        capped: Whether they are others than those of the whole text.
        alarm: `None` while no jump was above its limit.
    """

    needs: Mapping[ModelName, Need]
    capped: bool
    alarm: Alarm | None


class GuardedScorer:
    """Scores canonical texts, with and without windows of them, and caps what a single part asks for.

    The need is that of the whole text while it asks for no more than `limits.allowances` beyond what each rest of it asks for. Of
    a larger jump only the allowance is left: the need is taken from between the whole and the rest. Above `limits.alarms` there is
    an alarm, and the need is that of the rest. So whoever controls text that one of the windows covers gains no more than an allowance
    over what somebody else's part of the text asks for, whether or not they know the guard. Where more than two models differ in
    price, this holds for the window with the largest excess.

    A downgrade is no upgrade: a text that asks for less than its parts keeps the need of the whole. And a cap is only a score: what
    governance, capability or a risk gate demands is not the scorer's to forbid. Certificates stay those of the whole text; certify the
    guarded scorer, not the one within.

    It costs up to five more scores of shorter texts (three times the characters of the text in all), sync one after the other, async at the
    same time; of texts below 64 characters none.

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
        return self.examine(question, models).needs

    async def ascore(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Mapping[ModelName, Need]:
        """Do what `score` does without blocking the event loop."""
        scores = await asyncio.gather(*(self._scorer.ascore(one, models) for one in questions_of(question)))
        return self._examined(scores, models).needs

    def examine(self, question: Question, models: Mapping[ModelName, ModelSpec]) -> Examination:
        """Return what `score` does, and whether that is a cap or an alarm."""
        return self._examined([self._scorer.score(one, models) for one in questions_of(question)], models)

    def _examined(self, scores: Sequence[Mapping[ModelName, Need]], models: Mapping[ModelName, ModelSpec]) -> Examination:
        whole, *rests = scores
        if not rests:
            return Examination(needs=whole, capped=False, alarm=None)
        jumps = [jump_of(whole, rest, models) for rest in rests]
        alarm = self._alarm(jumps)
        allowances = self._limits.allowances if alarm is None else (0.0,) * len(rests)
        excess, index = max((jump - allowance, -index) for index, (jump, allowance) in enumerate(zip(jumps, allowances, strict=True)))
        if excess <= 0:
            return Examination(needs=whole, capped=False, alarm=None)
        rest, kept = rests[-index], allowances[-index] / jumps[-index]
        return Examination(needs={name: _between(rest[name], whole[name], kept) for name in models}, capped=True, alarm=alarm)

    def _alarm(self, jumps: Sequence[float]) -> Alarm | None:
        alarms = [
            Alarm(window=window, jump=jump, limit=limit)
            for window, jump, limit in zip(WINDOWS, jumps, self._limits.alarms, strict=True)
            if jump > limit
        ]
        return max(alarms, key=lambda alarm: alarm.jump - alarm.limit, default=None)


def _between(rest: Need, whole: Need, share: float) -> Need:
    """Return the need that lies `share` of the way, in [0, 1], from that of the rest to that of the whole."""
    p_success = _point(rest.p_success, whole.p_success, share)
    return replace(
        whole,
        p_success=p_success,
        low=min(p_success, _point(rest.low, whole.low, share)),
        high=max(p_success, _point(rest.high, whole.high, share)),
    )


def _point(start: float, end: float, share: float) -> float:
    # In this form it never leaves [0, 1], whatever is rounded.
    return min(1.0, (1 - share) * start + share * end)
