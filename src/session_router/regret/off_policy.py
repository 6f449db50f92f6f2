"""A new policy, valued by what another one logged. Each boundary is a bandit of its own; see `core.off_policy`.

evaluation = OffPolicyEvaluation(router.policy, router.models)
for row in rows:
    evaluation.add_decision(read_decision(row))
for row in outcomes:
    evaluation.add_feedback(*read_feedback(row))
print(evaluation.report().to_plain())
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from session_router.core.decision import Reason
from session_router.core.off_policy import CONFIDENCE, LoggedBoundary, value
from session_router.core.switching import decide
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from session_router.core.model import ModelName
    from session_router.core.off_policy import Valuation
    from session_router.core.policy import Policy
    from session_router.regret.logged import LoggedChoice, LoggedDecision


class LeftOut(StrEnum):
    """Why a boundary of a log is not used."""

    NO_CHOICE = "no_choice"
    NOT_THE_POLICY = "not_the_policy"
    NO_OUTCOME = "no_outcome"
    NO_ROUTE = "no_route"
    OTHER_STAKE = "other_stake"
    NOT_REPRODUCED = "not_reproduced"
    NO_CHANCE = "no_chance"


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuedBoundary:
    """One boundary that both policies are valued by.

    Attributes:
        logged: What was logged.
        choice: What the logged policy looked at, at the stake of the new one.
        model: What it took.
        new: What the new policy would have taken.
        success: How well the segment was served, in [0, 1].
        dollars: Expected dollars of the segment on what was taken, and the stake for as far as it was served badly.
    """

    logged: LoggedDecision
    choice: LoggedChoice
    model: ModelName
    new: ModelName
    success: float
    dollars: float

    @property
    def chance(self) -> float:
        """Chance with which the logged policy takes what the new one would."""
        return self.choice.propensities.get(self.new, 0.0)

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values: one row of `session-router regret --feedback --json`."""
        return {
            "decision_id": self.logged.decision,
            "session": self.logged.session,
            "model": self.model,
            "propensity": self.choice.propensities[self.model],
            "new_model": self.new,
            "new_model_propensity": self.chance,
            "success": self.success,
            "dollars": self.dollars,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OffPolicyReport:
    """What a new policy is worth a boundary.

    Attributes:
        success: In the share of segments that are served well.
        dollars: In US dollars: less is better.
        stake: US dollars that these count for a badly served segment.
        logged_policies: Versions of the policies that logged, and the boundaries of each.
        policy: Version of the new one.
        boundaries: In the log.
        differing: Of those used, the ones at which the new policy would take another model than was taken.
        left_out: Boundaries that are not used, by reason.
        confidence: Of each interval.
    """

    success: Valuation
    dollars: Valuation
    stake: float
    logged_policies: Mapping[str, int]
    policy: str
    boundaries: int
    differing: int
    left_out: Mapping[LeftOut, int]
    confidence: float = CONFIDENCE

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "policy": self.policy,
            "logged_policies": dict(self.logged_policies),
            "boundaries": self.boundaries,
            "used": self.success.boundaries,
            "sessions": self.success.sessions,
            "differing": self.differing,
            "effective_boundaries": self.success.effective,
            "left_out": {reason.value: count for reason, count in self.left_out.items()},
            "confidence": self.confidence,
            "stake": self.stake,
            "success": _plain(self.success),
            "dollars": _plain(self.dollars),
        }


def _plain(valuation: Valuation) -> dict[str, Any]:
    return {
        "logged": valuation.logged.to_plain(),
        "ips": valuation.ips.to_plain(),
        "ips_bounds": None if valuation.bounds is None else list(valuation.bounds),
        "snips": None if valuation.snips is None else valuation.snips.to_plain(),
        "dr": valuation.dr.to_plain(),
        "gain": valuation.gain.to_plain(),
    }


class OffPolicyEvaluation:
    """Collects a log, and values a new policy by it.

    Args:
        policy: The new one. Its exploration is left aside: what is valued is what it would choose.
        routes: The models that it knows.
    """

    def __init__(self, policy: Policy, routes: Collection[ModelName]) -> None:
        self._policy, self._routes = policy, frozenset(routes)
        self._boundaries: dict[tuple[str, str], LoggedDecision] = {}
        self._segments: dict[str, tuple[str, str]] = {}
        self._feedback: list[tuple[str, float, float]] = []

    def add_decision(self, logged: LoggedDecision) -> None:
        """Add a row, in the order in which they were logged. A boundary that was decided again counts once, as it was decided last."""
        segment = (logged.session, logged.segment)
        self._segments[logged.decision] = segment
        # What a middleware asks is no part of the session, and takes the place of none of its boundaries.
        if logged.at_boundary and logged.reason != Reason.INTERNAL_CALL.value:
            self._boundaries[segment] = logged

    def add_feedback(self, decision: str, success: float, weight: float) -> None:
        """Add what came of a segment, by the id of any of its decisions.

        Args:
            decision: The id.
            success: How well it was served, in [0, 1].
            weight: How much that counts beside other feedback on the same segment, in (0, 1].
        """
        self._feedback.append((decision, success, weight))

    @property
    def unmatched(self) -> int:
        """Pieces of feedback on decisions that are not in the log."""
        return sum(decision not in self._segments for decision, _, _ in self._feedback)

    def valued(self) -> Iterator[ValuedBoundary | LeftOut]:
        """Yield each boundary, or why it is not used, in the order of the log."""
        outcomes = self._outcomes()
        for segment, logged in self._boundaries.items():
            yield self._valued(logged, outcomes.get(segment))

    def report(self, *, confidence: float = CONFIDENCE) -> OffPolicyReport:
        """Say what the new policy is worth.

        Raises:
            NoOverlap: The log says nothing about it.
            ConfigurationError: No boundary can be used, whatever the policy.
        """
        found = list(self.valued())
        left_out = Counter(one for one in found if isinstance(one, LeftOut))
        usable = [one for one in found if isinstance(one, ValuedBoundary)]
        if not usable:
            raise ConfigurationError(key="boundaries", value=_told(left_out), rule=_NOTHING_TO_USE)
        success = value([_by_success(one) for one in usable], confidence=confidence)
        dollars = value([_by_dollars(one, self._policy.stake) for one in usable], confidence=confidence)
        left_out[LeftOut.NO_CHANCE] = success.unsupported
        return OffPolicyReport(
            success=success,
            dollars=dollars,
            stake=self._policy.stake,
            logged_policies=dict(sorted(Counter(one.logged.policy for one in usable).items())),
            policy=self._policy.version,
            boundaries=len(found),
            differing=sum(one.chance > 0 and one.new != one.model for one in usable),
            left_out={reason: left_out[reason] for reason in LeftOut if left_out[reason]},
            confidence=confidence,
        )

    def _outcomes(self) -> dict[tuple[str, str], float]:
        sums: dict[tuple[str, str], tuple[float, float]] = {}
        for decision, success, weight in self._feedback:
            segment = self._segments.get(decision)
            if segment is not None:
                served, counted = sums.get(segment, (0.0, 0.0))
                sums[segment] = (served + weight * success, counted + weight)
        return {segment: min(1.0, served / counted) for segment, (served, counted) in sums.items()}

    def _valued(self, logged: LoggedDecision, success: float | None) -> ValuedBoundary | LeftOut:
        choice, model = logged.choice, logged.model
        if choice is None or model is None:
            return LeftOut.NO_CHOICE
        if logged.reason == Reason.FALLBACK.value:
            return LeftOut.NOT_THE_POLICY
        if success is None:
            return LeftOut.NO_OUTCOME
        if not choice.offers.keys() <= self._routes:
            return LeftOut.NO_ROUTE
        seen = choice if logged.stake == self._policy.stake else choice.at_stake(self._policy.stake)
        if seen is None:
            return LeftOut.OTHER_STAKE
        return self._compared(logged, seen, model, success)

    def _compared(self, logged: LoggedDecision, choice: LoggedChoice, model: ModelName, success: float) -> ValuedBoundary | LeftOut:
        new = decide(choice.offers, choice.standing, self._policy).model
        if logged.policy == self._policy.version and not logged.explored and new != model:
            return LeftOut.NOT_REPRODUCED
        dollars = _cost(choice, model) + self._policy.stake * (1 - success)
        return ValuedBoundary(logged=logged, choice=choice, model=model, new=new, success=success, dollars=dollars)


_NOTHING_TO_USE = (
    "no boundary can be used. Give decisions with a choice by dollars (two candidates or more), rows of feedback with their "
    "`decision_id`, and a configuration with the routes and the stake that they were logged with."
)


def _told(left_out: Mapping[LeftOut, int]) -> str:
    return ", ".join(f"{reason.value}: {count}" for reason, count in left_out.items()) or "none"


def _cost(choice: LoggedChoice, name: ModelName) -> float:
    """Dollars of the segment, as expected: what is left of them when it is served well."""
    offer = choice.offers[name]
    return offer.ingest + offer.loop + offer.handoff


def _by_success(one: ValuedBoundary) -> LoggedBoundary:
    chances = one.choice.chances
    return _logged(one, reward=one.success, predicted=chances[one.model], expected=chances[one.new], most=1.0)


def _by_dollars(one: ValuedBoundary, stake: float) -> LoggedBoundary:
    predicted = {name: _cost(one.choice, name) + stake * (1 - one.choice.chances[name]) for name in (one.model, one.new)}
    most = _cost(one.choice, one.new) + stake
    return _logged(one, reward=one.dollars, predicted=predicted[one.model], expected=predicted[one.new], most=most)


def _logged(one: ValuedBoundary, *, reward: float, predicted: float, expected: float, most: float) -> LoggedBoundary:
    return LoggedBoundary(
        session=one.logged.session,
        propensity=one.choice.propensities[one.model],
        target=float(one.new == one.model),
        support=float(one.chance > 0),
        reward=reward,
        predicted=predicted,
        expected=expected,
        largest=most / one.chance if one.chance else 0.0,
    )
