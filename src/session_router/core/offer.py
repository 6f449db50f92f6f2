"""What a segment on one model would cost: the terms of the expected dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from session_router.core.pricing import USD

if TYPE_CHECKING:
    from session_router.core.model import ModelName


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """Expected US dollars of the coming segment on one model, and of what follows.

    Attributes:
        model: Its name.
        ingest: Reading what it has not cached of the prefix now, over reading it cached.
        loop: The calls of the segment on a model that has read everything.
        risk: The stake times the chance that the segment is served badly.
        handoff: Moving the session to the model; 0 for the current one.
        afterwards: What follows the segment, for a session that is on this model.
        refresh: Reading what not even a session that was on it would find cached, over reading it cached: what is new, or
            all of it when the cache has expired.
        arrival: Reading the rest of the prefix cold, and moving: what a session pays on top that was elsewhere.
    """

    model: ModelName
    ingest: USD
    loop: USD
    risk: USD
    handoff: USD
    afterwards: USD
    refresh: USD
    arrival: USD

    @property
    def served(self) -> USD:
        """The segment for a session that was on this model and need not be moved to it."""
        return USD(self.refresh + self.loop + self.risk)

    @property
    def segment(self) -> USD:
        """The segment as things are."""
        return USD(self.ingest + self.loop + self.risk + self.handoff)

    @property
    def expected(self) -> USD:
        """All of it."""
        return USD(self.segment + self.afterwards)

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values; what is zero is left out."""
        terms = {
            "ingest": self.ingest,
            "loop": self.loop,
            "risk": self.risk,
            "handoff": self.handoff,
            "afterwards": self.afterwards,
            "refresh": self.refresh,
            "arrival": self.arrival,
        }
        return {"expected": self.expected, **{key: value for key, value in terms.items() if value}}
