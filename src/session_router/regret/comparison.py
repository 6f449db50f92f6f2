"""What the same sessions would have cost by other routings, added up session by session.

Every dollar is an estimate: tokens may be, cached tokens always are, and each routing is charged for the recorded answers,
which another model would have written otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.regret.accounting import ScorerChances, SessionCosts
from session_router.regret.bill import Bill, Terms
from session_router.regret.routings import baselines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.replay.loop import ReplayedCall
    from session_router.router import Router


class Comparison:
    """Bills the router and the routings beside it. Its size does not depend on how many sessions there are.

    Args:
        router: Whose models, policy and scorer count; its store is not touched.

    Attributes:
        refused: Calls that nobody may or can serve, by any routing; they are in no bill.
    """

    def __init__(self, router: Router) -> None:
        self._router = router
        self._chances_of = ScorerChances(router)
        self._terms = Terms(stake=router.policy.stake, handoff=router.policy.handoff)
        self._routings = baselines(router.models)
        self._bills = dict.fromkeys(self._routings, Bill())
        self.refused = 0

    @property
    def bills(self) -> Mapping[str, Bill]:
        """The router first, then the others."""
        return self._bills

    def add(self, replayed: Sequence[ReplayedCall]) -> None:
        """Count one session.

        Args:
            replayed: All calls of one recording, oldest first.
        """
        costs = SessionCosts(replayed, self._router, self._chances_of)
        self.refused += costs.refused
        for name, routing in self._routings.items():
            bill = Bill.of(costs.charges(routing(costs, self._terms)), self._terms)
            self._bills[name] = self._bills[name].plus(bill)
