"""A cap, by construction, on the money that a session spends on switching.

A session is anchored on the first model that it was on. At each boundary the policy estimates

    cost[m]    dollars of the coming segment on m as things are: reading what m has not cached, the calls,
               stake * (1 - p_success), and the handoff when it is a move
    unmoved    the same for the anchor, had the session never left it

and the ledger adds up the cost of what was chosen (`spent`) and the never-switching estimates (`unmoved`).

**The law.** After every boundary, spent <= (1 + share) * unmoved.

**By construction.** A model other than the anchor is allowed only if

    spent + cost[m] + reserve <= (1 + share) * (unmoved so far + unmoved now)

where `reserve` is at least what a return to the anchor at the next boundary will cost above the never-switching estimate
there. The anchor is always allowed.

**Proof**, by induction over boundaries. A session that was on the anchor and stays pays `unmoved`, so both sides grow and
the right one by no less. One that goes, or stays, elsewhere satisfies the law with the reserve to spare. One that returns pays
at most unmoved now + reserve: with the condition of the boundary before, that is at most (1 + share) * (unmoved so far) +
unmoved now. So the anchor can always be afforded, and nothing has to be predicted beyond the next boundary.

**What the reserve must hold.** A session that had stayed would find in the anchor's cache all that it had read by the last call
of the segment: today's prefix, and what the segment's own calls add to it. One that returns may find nothing. What comes
after that call is read fresh by both. So

    reserve = (tokens now + tokens that the segment adds) * (price of reading fresh - price of reading cached) + handoff

An expired cache or a rewritten history makes both cold, which only leaves reserve over. Nobody knows at a boundary how much a
segment will add. The anchor's context window bounds the sum for certain, as beyond it the anchor cannot serve and the
session must leave it. A smaller number is a prediction: if a return then costs more than was reserved, the law is missed by
no more than that excess, summed over such returns, and only the anchor is allowed until the law holds again.

**Forced moves.** After a refusal, a fallback, a lost clearance or a pin there is no anchor to go back to. `Ledger(anchor=...)`
starts anew on the new model, with that segment's cost on both sides; the law then holds for each stretch between forced moves.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, cast

from session_router.core.model import ModelName
from session_router.core.pricing import NOTHING, USD
from session_router.core.value import maker, value
from session_router.errors import StoreCorrupt

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDING = 1e-9
"""Relative. A sum of k dollars of one sign is off by less than k * 2**-53 of itself: this covers sessions of millions of boundaries."""

_FIELDS = 3


@value
class Ledger:
    """What a session spent, beside what it would have spent without ever leaving its anchor.

    Attributes:
        anchor: The first model that the session was on, or was forced onto.
        spent: US dollars, estimated, of the segments as they were routed; finite, >= 0.
        unmoved: US dollars, estimated, of the same segments on the anchor; finite, >= 0.
    """

    anchor: ModelName
    spent: USD = NOTHING
    unmoved: USD = NOTHING

    def allows(self, model: ModelName, *, cost: USD, unmoved: USD, reserve: USD, share: float) -> bool:
        """Say whether `model` may serve the coming segment.

        Args:
            model: Who would serve it.
            cost: Dollars of the segment on `model` as things are.
            unmoved: Dollars of the segment on the anchor, had the session never left it.
            reserve: Dollars, at least what returning to the anchor at the next boundary costs above the never-switching
                estimate there.
            share: Of the never-switching dollars, >= 0, that may be spent on top of them.

        Returns:
            Whether the law holds afterwards and can still be kept. Always, for the anchor. No slack for rounding: what
            the last digit refuses would have come to the cap exactly.
        """
        return model == self.anchor or self.spent + cost + reserve <= (1 + share) * (self.unmoved + unmoved)

    def charged(self, *, cost: USD, unmoved: USD) -> Ledger:
        """Return the ledger after one more segment.

        Args:
            cost: Dollars of the segment on the chosen model, as `allows` was told; finite, >= 0.
            unmoved: Dollars of the segment on the anchor, had the session never left it; finite, >= 0.
        """
        return new_ledger(anchor=self.anchor, spent=USD(self.spent + cost), unmoved=USD(self.unmoved + unmoved))

    def holds(self, *, share: float) -> bool:
        """Say whether `spent` is at most (1 + `share`) times `unmoved`, up to rounding."""
        return self.spent <= (1 + share) * self.unmoved * (1 + ROUNDING)

    def to_plain(self) -> list[str | float]:
        """Return JSON-ready values: anchor, spent, unmoved."""
        return [self.anchor, self.spent, self.unmoved]

    @classmethod
    def from_plain(cls, plain: object) -> Ledger:
        """Read back what `to_plain` wrote.

        Raises:
            StoreCorrupt: It is no name with two finite amounts of 0 or more.
        """
        row = cast("Sequence[object]", plain) if isinstance(plain, (list, tuple)) else ()
        if len(row) != _FIELDS or not isinstance(row[0], str):
            msg = "a ledger is a model name and two amounts; this row has another shape and is treated as lost."
            raise StoreCorrupt(msg)
        return cls(anchor=ModelName(row[0]), spent=_dollars(row[1]), unmoved=_dollars(row[2]))


new_ledger = maker(Ledger)


def _dollars(value: object) -> USD:
    # A whole number is compared before it is converted: it may be too large for a float.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < inf:
        msg = "an amount of a ledger is a finite number of dollars >= 0; this row has another one and is treated as lost."
        raise StoreCorrupt(msg)
    try:
        return USD(float(value))
    except OverflowError as error:
        msg = "an amount of a ledger is larger than any number of dollars; this row is treated as lost."
        raise StoreCorrupt(msg) from error
