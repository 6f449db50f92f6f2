"""Who may stand in for the reference model: cheaper ones only where they are known to under-serve seldom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.core.pricing import Usage, call_cost

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.core.model import ModelName
    from session_router.core.need import Need
    from session_router.core.policy import Policy
    from session_router.core.situation import Situation


def held_back(situation: Situation, names: Sequence[ModelName], needs: Mapping[ModelName, Need]) -> dict[ModelName, str]:
    """Say which of `names` the risk gate holds back, and why.

    A model that is cheaper than the policy's reference is held back unless its need bears a certificate for this segment: that it
    under-serves at most a share of `alpha` of such segments, with confidence 1 - `delta`. The gate is open where no reference is
    set, and where the reference cannot serve the call itself: what is allowed and possible outranks what is wise.

    Args:
        situation: What the decision looks at.
        names: The candidates, each with a price.
        needs: Of each candidate.
    """
    policy = situation.policy
    if policy.reference is None:
        return {}
    reference = next((name for name in names if name == policy.reference), None)
    if reference is None:
        return {}
    price = cold_call(situation, reference)
    return {
        name: f"it is not certified to stand in for `{reference}`"
        for name in names
        if name != reference and cold_call(situation, name) < price and not _is_certified(needs[name], policy)
    }


def cold_call(situation: Situation, name: ModelName) -> float:
    """Dollars of the call for a session that has read nothing: what is warm now makes no model a cheaper one."""
    intake = situation.intakes[name]
    return call_cost(intake.prices, Usage(input=intake.tokens, output=situation.policy.output_tokens))


def _is_certified(need: Need, policy: Policy) -> bool:
    certificate = need.certificate
    return (
        certificate is not None
        and certificate.reference == policy.reference
        and certificate.bound <= policy.alpha
        and certificate.delta <= policy.delta
        and need.p_success >= certificate.least_chance
    )
