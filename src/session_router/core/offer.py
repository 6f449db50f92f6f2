"""What a segment on one model would cost: the terms of the expected dollars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from session_router.core.pricing import USD
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.model import ModelName


@value
class Later:
    """What follows the segment, for a session that is on this model and stays there: what does not hang on the stake, and what does.

    Attributes:
        dollars: Of the calls.
        lapses: Segments that are expected to be served badly.
        arrival: Reading everything cold, and the fee, for a session that moves here after the segment instead.
    """

    dollars: USD
    lapses: float
    arrival: USD

    def staying(self, stake: float) -> float:
        """Return what follows on this model, where a badly served segment costs `stake` US dollars."""
        return self.dollars + stake * self.lapses


new_later = maker(Later)


def afterwards(later: Mapping[ModelName, Later], stake: float) -> dict[ModelName, USD]:
    """Expect, from each model, the cheaper of two plans for what follows: to stay, or to move once.

    Args:
        later: By model, at least one.
        stake: US dollars that a badly served segment costs.
    """
    stay = {name: one.staying(stake) for name, one in later.items()}
    # Moving to where one is costs no less than to stay.
    move = min([stay[name] + one.arrival for name, one in later.items()])
    return {name: USD(min(dollars, move)) for name, dollars in stay.items()}


@value
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
        later: What `afterwards` is made of; `None` where past sessions have their say in it, whose stake it was.
    """

    model: ModelName
    ingest: USD
    loop: USD
    risk: USD
    handoff: USD
    afterwards: USD
    refresh: USD
    arrival: USD
    later: Later | None = None

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
        return USD(self.ingest + self.loop + self.risk + self.handoff + self.afterwards)

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
        later = {} if self.later is None else {"later": [self.later.dollars, self.later.lapses, self.later.arrival]}
        return {"expected": self.expected, **{key: value for key, value in terms.items() if value}, **later}


new_offer = maker(Offer)
