"""A choice by dollars at a boundary, and what the session remembers of it."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from session_router.core.appraisal import appraise
from session_router.core.decision import Reason
from session_router.core.exploration import Exploration, draw, explore
from session_router.core.gate import cold_call
from session_router.core.need import alarm_in
from session_router.core.policy import OnUnportable
from session_router.core.population import Lesson, new_lesson
from session_router.core.switching import decide
from session_router.core.upgrades import Watched
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.core.account import Account
    from session_router.core.decision import Candidate
    from session_router.core.model import ModelName
    from session_router.core.need import Alarm, Need
    from session_router.core.offer import Offer
    from session_router.core.segment import Forecast
    from session_router.core.situation import Situation
    from session_router.core.switching import Standing, Verdict
    from session_router.core.upgrades import Upgrades

NOBODY: Mapping[ModelName, str] = MappingProxyType({})


@value
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
        propensity: Chance, in (0, 1], with which this choice is made here.
        alarm: That a part of the text speaks for all of it; `None` for nothing of the kind.
        upgrades: What the watch over upgrades saw; `None` when nobody watches.
    """

    model: ModelName
    reason: Reason
    candidates: Mapping[ModelName, Candidate]
    forecast: Forecast
    standing: Standing
    before: Account
    account: Account
    lesson: Lesson
    propensity: float = 1.0
    alarm: Alarm | None = None
    upgrades: Watched | None = None


new_reckoning = maker(Reckoning)


def reckon(
    situation: Situation,
    before: Account,
    names: Sequence[ModelName],
    needs: Mapping[ModelName, Need],
    held_back: Mapping[ModelName, str] = NOBODY,
    principal: Upgrades | None = None,
) -> Reckoning:
    """Choose by dollars at a boundary.

    Args:
        situation: What the decision looks at.
        before: The session's account.
        names: The candidates, at least one, each with a price.
        needs: Of each candidate, as the scorer said. What the account believes of the scorer corrects them.
        held_back: Those of the candidates that may not be chosen, and why.
        principal: What is remembered of the principal's upgrades; `None` when nobody knows the principal.
    """
    transcript = situation.call.transcript
    scores, needs = needs, before.corrected(needs)
    ended = before.ended(transcript)
    habits = before.learned(ended)
    chances = {name: needs[name].p_success for name in names}
    appraisal = appraise(situation, before, habits, _without(held_back, chances))
    verdict, offers = decide(appraisal.offers, appraisal.standing, situation.policy), appraisal.offers
    watched = _watched(situation, before, principal, offers, verdict)
    if watched is not None and watched.capped:
        # As if the others were none of the candidates: whatever the ledger is anchored on, an upgrade is not given.
        held_back = {**held_back, **{name: "upgrades are capped" for name in offers if name not in watched.left}}
        appraisal = appraise(situation, before, habits, _without(held_back, chances))
        verdict = replace(decide(appraisal.offers, appraisal.standing, situation.policy), reason=Reason.UPGRADE_CAPPED)
    tried = _explored(situation, before, appraisal.offers, appraisal.standing, verdict)
    verdict = tried.verdict
    forecast, deviation = appraisal.forecast, before.drift.deviation(chances)
    after = before.reckoned(
        transcript,
        verdict,
        habits,
        before.drift.seen(chances, deviation),
        predicted_calls=forecast.calls,
        explored=tried.excess,
        scored=scores[verdict.model].p_success,
    )
    if watched is not None and situation.policy.upgrades is not None:
        observed = situation.policy.upgrades.observed(before.upgrades, asked=watched.asked, at=situation.call.now)
        after = replace(after, upgrades=observed)
    return new_reckoning(
        model=verdict.model,
        reason=verdict.reason,
        candidates={
            name: situation.priced(
                name,
                needs[name],
                scored=scores[name].p_success,
                offer=appraisal.offers.get(name) or offers.get(name),
                excluded=held_back.get(name, ""),
                propensity=tried.propensities.get(name),
            )
            for name in names
        },
        forecast=forecast,
        standing=appraisal.standing,
        before=before,
        account=after,
        lesson=new_lesson(number=after.number, ended=ended, chances=chances, deviation=deviation),
        propensity=tried.propensity,
        alarm=alarm_in(scores.values()),
        upgrades=watched,
    )


def _without(held_back: Mapping[ModelName, str], chances: Mapping[ModelName, float]) -> Mapping[ModelName, float]:
    return {name: chance for name, chance in chances.items() if name not in held_back} if held_back else chances


def _watched(
    situation: Situation, account: Account, principal: Upgrades | None, offers: Mapping[ModelName, Offer], verdict: Verdict
) -> Watched | None:
    """Say what the watch sees of `verdict`; `None` when there is none.

    What is dearer is said by the price by which the risk gate says what is cheaper, whatever is warm now: what the gate takes for a
    downgrade is never an upgrade, and nobody can make a model cheaper by warming it. A model whose choice would be refused is none
    that a cap may leave: an upgrade is better than no answer.
    """
    if situation.policy.upgrades is None or verdict.model in (refused := _refused(situation)):
        return None
    costs = {name: cold_call(situation, name) for name in offers if name not in refused}
    return Watched(asked_for=verdict.model, costs=costs, session=account.upgrades, principal=principal)


def _explored(
    situation: Situation, account: Account, offers: Mapping[ModelName, Offer], standing: Standing, verdict: Verdict
) -> Exploration:
    """Let exploration take another one of `offers` than `verdict` does, where it may."""
    call, policy, session = situation.call, situation.policy, situation.session
    if not policy.explore or session is None or call.internal or call.failed:
        # Nobody would remember what it was charged with; or it would look like a choice what is none.
        return Exploration(verdict=verdict)
    return explore(
        offers,
        verdict,
        standing,
        policy,
        spent=account.explored,
        drawn=draw(session.id, call.transcript.end.digest, policy.version, account.number + 1),
        forbidden=_refused(situation),
    )


def _refused(situation: Situation) -> tuple[ModelName, ...]:
    """Name the models whose choice ends in a refusal, because the policy forbids to convert the history for them."""
    if situation.policy.on_unportable is not OnUnportable.RAISE:
        return ()
    return tuple(name for name, one in situation.eligible.items() if one.foreign and name != situation.current)
