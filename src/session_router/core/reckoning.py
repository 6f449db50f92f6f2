"""A choice by dollars at a boundary, and what the session remembers of it."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from session_router.core.appraisal import appraise
from session_router.core.population import Lesson
from session_router.core.switching import decide

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.core.account import Account
    from session_router.core.decision import Candidate, Reason
    from session_router.core.model import ModelName
    from session_router.core.need import Need
    from session_router.core.segment import Forecast
    from session_router.core.situation import Situation
    from session_router.core.switching import Standing

NOBODY: Mapping[ModelName, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """A choice by dollars, and what led to it.

    Attributes:
        model: The choice.
        reason: Why.
        candidates: The candidates, with their offers.
        forecast: The segment that was assumed.
        standing: How the session stood before it.
        before: What the session remembered before it.
        account: What it remembers after it.
        lesson: What other sessions learn from it.
    """

    model: ModelName
    reason: Reason
    candidates: Mapping[ModelName, Candidate]
    forecast: Forecast
    standing: Standing
    before: Account
    account: Account
    lesson: Lesson


def reckon(
    situation: Situation,
    before: Account,
    names: Sequence[ModelName],
    needs: Mapping[ModelName, Need],
    held_back: Mapping[ModelName, str] = NOBODY,
) -> Reckoning:
    """Choose by dollars at a boundary.

    Args:
        situation: What the decision looks at.
        before: The session's account.
        names: The candidates, at least one, each with a price.
        needs: Of each candidate.
        held_back: Those of the candidates that may not be chosen, and why.
    """
    transcript = situation.call.transcript
    ended = before.ended(transcript)
    account = before.learned(ended)
    appraisal = appraise(situation, account, [name for name in names if name not in held_back] if held_back else names, needs)
    verdict = decide(appraisal.offers, appraisal.standing, situation.policy)
    chances = {name: needs[name].p_success for name in names}
    forecast, deviation = appraisal.forecast, account.drift.deviation(chances)
    after = account.reckoned(transcript, verdict, account.drift.seen(chances, deviation), predicted_calls=forecast.calls)
    return Reckoning(
        model=verdict.model,
        reason=verdict.reason,
        candidates={
            name: situation.priced(name, needs[name], offer=appraisal.offers.get(name), excluded=held_back.get(name, "")) for name in names
        },
        forecast=forecast,
        standing=appraisal.standing,
        before=before,
        account=after,
        lesson=Lesson(number=after.number, ended=ended, chances=chances, deviation=deviation),
    )
