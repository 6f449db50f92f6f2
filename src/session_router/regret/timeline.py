"""One session, call by call: what the optimum and every routing did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.recordings import Recording
    from session_router.regret.accounting import SessionCosts
    from session_router.regret.bill import Charge
    from session_router.regret.figures import Figures

OPTIMUM = "optimum"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRegret:
    """The figures of one session.

    Attributes:
        recording: The session.
        figures: What its routings cost.
    """

    recording: Recording
    figures: Figures

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        one = self.recording
        names = {"session_id": one.session_id, "source": one.source, "line": one.line, "recorded_model": one.model}
        return {**names, **self.figures.to_plain()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One session, call by call.

    Attributes:
        session: Its figures.
        calls: Its calls that somebody can serve, oldest first, as plain values.
    """

    session: SessionRegret
    calls: Sequence[Mapping[str, Any]]

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {**self.session.to_plain(), "timeline": [dict(call) for call in self.calls]}


def timeline(session: SessionRegret, costs: SessionCosts, charges: Mapping[str, Sequence[Charge]]) -> Timeline:
    """Tell a session call by call.

    Args:
        session: Its figures.
        costs: Its costs.
        charges: By routing, `OPTIMUM` included, one a call.
    """
    return Timeline(session=session, calls=[_call(costs, index, charges) for index in range(len(costs.calls))])


def _call(costs: SessionCosts, index: int, charges: Mapping[str, Sequence[Charge]]) -> dict[str, Any]:
    call = costs.calls[index]
    replayed = call.replayed
    decision, lock = replayed.decision, replayed.decision.lock
    return {
        "message_index": replayed.message_index,
        "turn": decision.turn,
        "call": decision.call,
        "segment": call.segment,
        "opens_segment": call.opens,
        "seconds": replayed.call.now - costs.calls[0].replayed.call.now,
        "lock": None if lock is None else lock.kind.value,
        "tokens": {"input": replayed.usage.input, "output": replayed.usage.output, "measured": replayed.measured},
        "eligible": list(call.eligible),
        "chances": dict(call.chances) if call.opens else {},
        "routings": {name: of_routing[index].to_plain() for name, of_routing in charges.items()},
    }
