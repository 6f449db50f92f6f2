"""What a semantic cache may keep, for how long, and how sure it must be."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from session_router.core.cached import GENERAL
from session_router.core.checking import check_kind, check_number
from session_router.core.governance import Clearance
from session_router.core.pricing import USD
from session_router.core.wager import SCORE_BINS, Target
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSIONS: Final = 4
"""Room for strata: of this many embedders, verifiers and classes of models, one after the other or side by side."""

_SECONDS: Final = "give a number of seconds, 0 or more."


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """Settings of a `SemanticCache`.

    Attributes:
        clearance: What the place where entries lie may see. The default keeps public data only; nothing whose tag says
            `zero_retention` is ever kept, whatever stands here.
        time_to_live: How long an answer is served, unless its category says otherwise.
        categories: Times to live by category. A category that is not named counts as `general`.
        wrong: The share of wrong answers per hit that a stratum may have to be served, in (0, 1).
        mistakes: Chance that any certificate is wrong, in (0, 1).
        judge_error: Upper bound of the share of audits in which the judge passes a wrong answer, in [0, 1).
        serve_similar: Whether certified strata are served; if not, the third tier only watches.
        audit_share: Share of the hits of certified strata that are asked again instead of served, in [0, 1].
        audit_dollars_per_day: What judging, and asking again, may cost; audits pause when it is spent.
        neighbours: How many near questions are looked at.
        least_cosine: Of a neighbour that guards and the verifier are asked about.
        wait_seconds: How long a look-up waits while somebody else asks the same.
        check_seconds: How long guards and verifier may take together; what is late is a miss.
        maximum_entries: The oldest beyond this number are removed.
        clock_skew_seconds: How far clocks of replicas may differ: an erasure refuses writers in flight that long after it.

    Raises:
        ConfigurationError: A setting is wrong.
    """

    clearance: Clearance = field(default_factory=lambda: Clearance(trains=False, version="cache"))
    time_to_live: timedelta = timedelta(days=1)
    categories: Mapping[str, timedelta] = field(default_factory=lambda: MappingProxyType({}))
    wrong: float = 0.01
    mistakes: float = 0.05
    judge_error: float = 0.0
    serve_similar: bool = True
    audit_share: float = 0.05
    audit_dollars_per_day: USD = USD(1.0)  # noqa: RUF009 -- a name for a number
    neighbours: int = 5
    least_cosine: float = 0.5
    wait_seconds: float = 10.0
    check_seconds: float = 0.05
    maximum_entries: int = 100_000
    clock_skew_seconds: float = 5.0

    def __post_init__(self) -> None:
        """Check the values."""
        check_kind(self.clearance, Clearance, key="cache.clearance", rule="give a `Clearance`.")
        for name, span in {"": self.time_to_live, **self.categories}.items():
            key = f"cache.categories.{name}" if name else "cache.time_to_live"
            check_kind(span, timedelta, key=key, rule="give a `timedelta`.")
            if span <= timedelta():
                raise ConfigurationError(key=key, value=span, rule="give a time above 0.")
        check_number(self.audit_share, key="cache.audit_share", rule="give a share in [0, 1].", high=1.0)
        check_number(self.audit_dollars_per_day, key="cache.audit_dollars_per_day", rule="give US dollars, 0 or more.")
        check_number(self.neighbours, key="cache.neighbours", rule="give a number from 1 to 100.", low=1, high=100, whole=True)
        check_number(self.least_cosine, key="cache.least_cosine", rule="give a cosine in [-1, 1].", low=-1.0, high=1.0)
        for name in ("wait_seconds", "check_seconds", "clock_skew_seconds"):
            check_number(getattr(self, name), key=f"cache.{name}", rule=_SECONDS)
        check_number(self.maximum_entries, key="cache.maximum_entries", rule="give a number above 0.", low=1, whole=True)
        check_kind(self.target, Target, key="cache.wrong", rule="give a share in (0, 1).")

    @property
    def target(self) -> Target:
        """What the certificates promise, together."""
        strata = SCORE_BINS * len({GENERAL, *self.categories}) * VERSIONS
        return Target(wrong=self.wrong, strata=strata, mistakes=self.mistakes, judge_error=self.judge_error)

    def category(self, name: str) -> str:
        """Return the category that `name` counts as."""
        return name if name in self.categories else GENERAL

    def lifetime(self, category: str) -> float:
        """Return the seconds that an answer of a category is served."""
        return self.categories.get(category, self.time_to_live).total_seconds()
