"""The routings that the router is set beside. None looks ahead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from session_router.core.model import ModelName
from session_router.regret.accounting import ServableCall, SessionCosts
from session_router.regret.bill import Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROUTER: Final = "session-router"
SINGLE_TURN: Final = "single turn"
STICKY: Final = "sticky"
LOCKS_ONLY: Final = "locks only"

Routing: TypeAlias = Callable[[SessionCosts, Terms], Sequence[ModelName | None]]
"""Names the model of each call of a session; `None` where it has none."""


def replayed(costs: SessionCosts, _terms: Terms) -> list[ModelName | None]:
    """Route as the router decided."""
    return [call.replayed.decision.model for call in costs.calls]


def always(name: ModelName) -> Routing:
    """Return the routing that never leaves one model."""

    def routing(costs: SessionCosts, _terms: Terms) -> list[ModelName | None]:
        return [name] * len(costs.calls)

    return routing


def choosing(chooses: Callable[[ServableCall], bool]) -> Routing:
    """Return a routing that takes the best model by the price of the coming call plus its risk.

    It knows before a call what a router can know: the estimated input, an assumed output, what each model still has cached of
    what this routing gave it to read, and the chances.

    Args:
        chooses: Whether it chooses anew at a call. It does so also where its model cannot serve the call.
    """

    def routing(costs: SessionCosts, terms: Terms) -> list[ModelName | None]:
        chosen: list[ModelName | None] = []
        visits: dict[ModelName, int] = {}
        current: ModelName | None = None
        for index, call in enumerate(costs.calls):
            if current is None or current not in call.eligible or chooses(call):
                current = _best(costs, index, terms, visits, current)
            visits[current] = index
            chosen.append(current)
        return chosen

    return routing


def _best(costs: SessionCosts, index: int, terms: Terms, visits: Mapping[ModelName, int], current: ModelName | None) -> ModelName:
    call = costs.calls[index]
    expected: dict[ModelName, float] = {name: costs.expected(index, name, visits.get(name)) for name in call.eligible}
    if call.chances:
        expected = {name: dollars + terms.stake * (1 - call.chances[name]) for name, dollars in expected.items()}
    return min(expected, key=lambda name: (expected[name], name != current, name))


def baselines(models: Iterable[ModelName]) -> dict[str, Routing]:
    """Return the router and what it is set beside, by name."""
    return {
        ROUTER: replayed,
        SINGLE_TURN: choosing(lambda _: True),
        STICKY: choosing(lambda _: False),
        LOCKS_ONLY: choosing(lambda call: not call.locked),
        **{f"always {name}": always(name) for name in models},
    }
