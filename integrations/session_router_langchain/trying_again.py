"""What follows a failed attempt: another model, the same one again after a while, or the error."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from session_router.core.decision import Reason
from session_router_langchain.outcomes import is_control_flow

if TYPE_CHECKING:
    from session_router.core.call import Call, Outcome
    from session_router.core.decision import Decision
    from session_router.core.health import HealthRules
    from session_router.core.model import ModelName
    from session_router.core.session import Session


@dataclass(slots=True)
class Failures:
    """The attempts of one call that failed.

    At a boundary another model follows. Where none is left, and under a lock, where no other may, a model is asked again whose
    trouble passes: after a pause, within what a call may wait, and within the retry budget.

    Attributes:
        rules: How long to wait; `None` for no second attempt.
        first: The first error, which goes up when nothing helps.
        passing: The models that failed in a way that may pass.
        retries: How many pauses there were.
    """

    rules: HealthRules | None
    first: BaseException | None = None
    passing: set[ModelName] = field(default_factory=set["ModelName"])
    retries: int = 0

    def is_retry(self, decision: Decision) -> bool:
        """Whether `decision` asks a model again that has failed this call."""
        return decision.model in self.passing

    def after(
        self, call: Call, decision: Decision, outcome: Outcome, session: Session | None, error: BaseException, *, delivered: bool
    ) -> Call | None:
        """Return the call to route next, or `None` when `error` must go up.

        Nothing moves under a lock; and once the user has seen the beginning of an answer, nothing must follow it.
        """
        if is_control_flow(error) or delivered or decision.model is None:
            return None
        self.first = self.first or error
        if outcome.failure is not None and outcome.failure.is_passing:
            self.passing.add(decision.model)
        else:
            self.passing.discard(decision.model)
        carried = session if call.carried is not None else None
        call = replace(call, now=max(outcome.at, call.now), waited=decision.evidence.waited, carried=carried)
        if decision.lock is None and call.only is None:
            return replace(call, failed=(*call.failed, decision.model))
        return call if decision.model in self.passing else None

    def again(self, call: Call, decision: Decision) -> Call | None:
        """Return the call to route once more after all models failed, or `None` when `first` must go up."""
        if decision.reason not in {Reason.NOT_CAPABLE, Reason.NOT_HEALTHY} or not self.passing.intersection(call.failed):
            return None
        left = tuple(name for name in call.failed if name not in self.passing)
        return replace(call, failed=left, now=decision.at, waited=decision.evidence.waited)

    def pause(self, call: Call) -> float | None:
        """Return how long to wait before a model is asked again; `None` when the call has waited long enough."""
        if self.rules is None:
            return None
        seconds = self.rules.backoff(self.retries)
        if call.waited + seconds > self.rules.wait_seconds:
            return None
        self.retries += 1
        return seconds
