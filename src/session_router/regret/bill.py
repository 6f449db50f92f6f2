"""What a routing costs: one charge a call, and their sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from session_router.core.checking import check_number
from session_router.core.pricing import NOTHING, USD

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_router.core.model import ModelName


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What is charged besides tokens.

    Attributes:
        stake: US dollars that a badly served segment costs the user, >= 0.
        handoff: US dollars that a change of model costs besides what the new model reads, >= 0.

    Raises:
        ConfigurationError: One is negative or not finite.
    """

    stake: float
    handoff: float = 0.0

    def __post_init__(self) -> None:
        """Check the values."""
        check_number(self.stake, key="stake", rule="give US dollars >= 0.")
        check_number(self.handoff, key="handoff", rule="give US dollars >= 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one call of a routing costs, the terms left open.

    Attributes:
        model: Who serves it; `None` for nobody.
        dollars: Price of its tokens.
        cached: Input tokens that were read from the provider's cache.
        chance: At the first call of a segment: that it is served well, in [0, 1]. `None` at every other call, and when
            nobody knows.
        switched: Whether the call before it was served by another model.
        unsafe: Whether it switched while a lock held, and the model before could have gone on.
        impossible: Whether the routing has no model for it, or one that cannot serve it.
    """

    model: ModelName | None = None
    dollars: USD = NOTHING
    cached: int = 0
    chance: float | None = None
    switched: bool = False
    unsafe: bool = False
    impossible: bool = False

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "model": self.model,
            "dollars": self.dollars,
            "cached": self.cached,
            "chance": self.chance,
            "switched": self.switched,
            "unsafe": self.unsafe,
            "impossible": self.impossible,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a routing costs in all.

    Attributes:
        dollars: US dollars of the calls.
        risk: US dollars of badly served segments: the stake times the chance of one, once a segment.
        handoffs: US dollars of changes of model.
        switches: Changes of model.
        unsafe_switches: Of `switches`, those out of a lock that could have been kept.
        impossible: Calls for which it has no model, or one that cannot serve them.
        scored: Segments whose chance is known.
        chances: Sum of their chances.
    """

    dollars: float = 0.0
    risk: float = 0.0
    handoffs: float = 0.0
    switches: int = 0
    unsafe_switches: int = 0
    impossible: int = 0
    scored: int = 0
    chances: float = 0.0

    @classmethod
    def of(cls, charges: Iterable[Charge], terms: Terms) -> Bill:
        """Add up `charges`."""
        charges = list(charges)
        chances = [one.chance for one in charges if one.chance is not None]
        switches = sum(one.switched for one in charges)
        return cls(
            dollars=sum(one.dollars for one in charges),
            risk=terms.stake * sum(1 - chance for chance in chances),
            handoffs=terms.handoff * switches,
            switches=switches,
            unsafe_switches=sum(one.unsafe for one in charges),
            impossible=sum(one.impossible for one in charges),
            scored=len(chances),
            chances=sum(chances),
        )

    def plus(self, other: Bill) -> Bill:
        """Add another bill under the same terms."""
        return Bill(
            dollars=self.dollars + other.dollars,
            risk=self.risk + other.risk,
            handoffs=self.handoffs + other.handoffs,
            switches=self.switches + other.switches,
            unsafe_switches=self.unsafe_switches + other.unsafe_switches,
            impossible=self.impossible + other.impossible,
            scored=self.scored + other.scored,
            chances=self.chances + other.chances,
        )

    @property
    def total(self) -> float:
        """US dollars of it all."""
        return self.dollars + self.risk + self.handoffs

    @property
    def mean_chance(self) -> float | None:
        """Mean chance, in [0, 1], that a segment is served well; `None` when nobody knows."""
        return self.chances / self.scored if self.scored else None

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {
            "total": self.total,
            "dollars": self.dollars,
            "risk": self.risk,
            "handoffs": self.handoffs,
            "mean_chance": self.mean_chance,
            "switches": self.switches,
            "unsafe_switches": self.unsafe_switches,
            "impossible": self.impossible,
        }
