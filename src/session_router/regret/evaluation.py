"""Evaluates sessions one by one, in memory that does not grow with their number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.core.policy import Policy
from session_router.errors import ConfigurationError
from session_router.regret.accounting import ScorerChances, SessionCosts
from session_router.regret.bill import Bill, Terms
from session_router.regret.figures import Figures
from session_router.regret.optimum import Hindsight
from session_router.regret.report import Report, Worst
from session_router.regret.routings import ROUTER, baselines
from session_router.regret.timeline import OPTIMUM, SessionRegret, timeline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.regret.accounting import ChancesOf
    from session_router.regret.routings import Routing
    from session_router.regret.timeline import Timeline
    from session_router.replay import Pace, ReplayedCall
    from session_router.router import Router

LADDER = (0.0, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0, 16.0)
"""The optimum is also found at the stake times each of these: its cost-quality frontier."""

KEPT_SOURCES = 50
"""Sources that have figures of their own; those of later ones are added up together."""

OTHER_SOURCES = "(other sources)"

KEPT_SESSIONS = 10
"""Sessions with the largest regret that a report names."""


class Evaluation:
    """Sets a router, and routings beside it, against the optimum.

    Args:
        router: The router that replayed the sessions.
        terms: Stake and handoff; those of the router's policy unless given.
        chances_of: Who knows the chances that a model serves a segment well; the router's scorer unless given.
        chances_measured: Whether what `chances_of` says was measured.
        routings: Further routings by name.
        session: Id of the session whose timeline is kept; that of the session in which the router's regret is the largest
            unless given.
        pace: The times that the replay assumed, for the report.

    Raises:
        ConfigurationError: A further routing has the name of another.
    """

    def __init__(
        self,
        router: Router,
        *,
        terms: Terms | None = None,
        chances_of: ChancesOf | None = None,
        chances_measured: bool = False,
        routings: Mapping[str, Routing] | None = None,
        session: str | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._router = router
        self._terms = terms or Terms(stake=router.policy.stake, handoff=router.policy.handoff)
        self._chances_of: ChancesOf = chances_of or ScorerChances(router)
        self._chances_measured = chances_measured
        own = baselines(router.models)
        for name in routings or {}:
            if name in own or name == OPTIMUM:
                raise ConfigurationError(key="routings", value=name, rule="it is taken; choose another name.")
        self._routings: Mapping[str, Routing] = {**own, **(routings or {})}
        # Where quality costs nothing there is still a frontier to show.
        unit = self._terms.stake or Policy().stake
        self._ladder = [Terms(stake=unit * step, handoff=self._terms.handoff) for step in LADDER]
        self._wanted = session
        self._pace = pace
        self._total = Figures()
        self._sources: dict[str, Figures] = {}
        self._worst: list[Worst] = []
        self._timeline: Timeline | None = None

    @property
    def total(self) -> Figures:
        """The figures so far."""
        return self._total

    def add(self, replayed: Sequence[ReplayedCall]) -> SessionRegret | None:
        """Evaluate one session.

        Args:
            replayed: All calls of one recording, oldest first.

        Returns:
            Its figures; `None` when it has no calls.

        Raises:
            ConfigurationError: Chances are not numbers in [0, 1], or only some models have one.
        """
        if not replayed:
            return None
        costs = SessionCosts(replayed, self._router, self._chances_of)
        hindsight = Hindsight(costs)
        chosen = {name: routing(costs, self._terms) for name, routing in self._routings.items()}
        charges = {OPTIMUM: costs.charges(hindsight.routing(self._terms))}
        charges |= {name: costs.charges(models) for name, models in chosen.items()}
        bills = {name: Bill.of(of_routing, self._terms) for name, of_routing in charges.items()}
        figures = Figures(
            sessions=1,
            calls=len(costs.calls),
            segments=sum(call.opens for call in costs.calls),
            locked=sum(call.locked for call in costs.calls),
            measured=sum(call.replayed.measured for call in costs.calls),
            refused=costs.refused,
            optimum=bills.pop(OPTIMUM),
            routings=bills,
            frontier={terms.stake: Bill.of(costs.charges(hindsight.routing(terms)), terms) for terms in self._ladder},
        )
        session = SessionRegret(recording=replayed[0].recording, figures=figures)
        self._count(session)
        if self._is_chosen(session):
            self._timeline = timeline(session, costs, charges)
        self._note(session)
        return session

    def report(self) -> Report:
        """Return what was found so far."""
        return Report(
            policy=self._router.policy.version,
            models=tuple(self._router.models),
            terms=self._terms,
            chances_measured=self._chances_measured,
            pace=self._pace,
            total=self._total,
            sources=dict(self._sources),
            worst=tuple(self._worst),
            timeline=self._timeline,
        )

    def _count(self, session: SessionRegret) -> None:
        source = session.recording.source
        if source not in self._sources and len(self._sources) >= KEPT_SOURCES:
            source = OTHER_SOURCES
        self._sources[source] = self._sources.get(source, Figures()).plus(session.figures)
        self._total = self._total.plus(session.figures)

    def _is_chosen(self, session: SessionRegret) -> bool:
        if self._wanted is not None:
            return self._timeline is None and session.recording.session_id == self._wanted
        return not self._worst or session.figures.regret(ROUTER) > self._worst[0].regret

    def _note(self, session: SessionRegret) -> None:
        # The sort is stable: of equals, the one that came first stands first.
        self._worst.append(Worst.of(session))
        self._worst.sort(key=lambda one: -one.regret)
        del self._worst[KEPT_SESSIONS:]
