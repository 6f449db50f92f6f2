"""A cache whose audits are shown to observers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_router.errors import StoreUnavailable

if TYPE_CHECKING:
    from session_router.core.wager import Stratum, Wager


@dataclass(frozen=True)
class Strata:
    """A cache that tells what its audits have shown, or fails to."""

    shown: dict[Stratum, Wager] | None

    def strata(self) -> dict[Stratum, Wager]:
        if self.shown is None:
            raise StoreUnavailable
        return self.shown
