"""Where values stand in a drawing, and which of them are written beside it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

STRETCH = 6
"""Positive values whose largest is at least so many times the smallest are drawn on a logarithmic axis."""

SAME = 1e-6
"""Values that differ by less than this share of them are taken for equal, lest rounding fill the drawing."""

MARGIN = 0.07
"""Share of an axis that is left free at either end."""

MOST_STEPS = 7
"""From tick to tick, on an axis that is not logarithmic."""

MOST_DECADES = 2.5
"""A longer logarithmic axis shows powers of ten only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis of a drawing.

    Attributes:
        low: The value at `start`; its logarithm to base 10 where the axis is logarithmic.
        high: Likewise at `end`.
        start: Pixels.
        end: Pixels; below `start` for an axis that runs backwards.
        logarithmic: Whether equal ratios are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    @classmethod
    def over(cls, values: Sequence[float], *, start: float, end: float) -> Axis:
        """Return an axis on which all `values`, none below 0, can be told apart."""
        least, most = min(values), max(values)
        logarithmic = least > 0 and most >= STRETCH * least
        low, high = (log10(least), log10(most)) if logarithmic else (least, most)
        spread = high - low if high - low > SAME * abs(high) else abs(high) or 1.0
        free = spread * MARGIN
        return cls(low=low - free, high=high + free, start=start, end=end, logarithmic=logarithmic)

    def at(self, value: float) -> float:
        """Return the place of `value`, in pixels."""
        bent = log10(value) if self.logarithmic else value
        return self.start + (bent - self.low) / (self.high - self.low) * (self.end - self.start)

    def value(self, at: float) -> float:
        """Return the value at a place; the inverse of `at`."""
        bent = self.low + (at - self.start) / (self.end - self.start) * (self.high - self.low)
        return 10**bent if self.logarithmic else bent

    def ticks(self) -> list[float]:
        """Return the values >= 0 to write beside the axis: 1, 2 and 5 times a power of ten."""
        if self.logarithmic:
            factors = (1, 2, 5) if self.high - self.low <= MOST_DECADES else (1,)
            values = [factor * 10.0**decade for decade in range(floor(self.low), ceil(self.high)) for factor in factors]
            return [value for value in values if self.low <= log10(value) <= self.high]
        span = self.high - self.low
        unit = 10.0 ** floor(log10(span))
        step = next(unit * factor for factor in (0.2, 0.5, 1, 2) if span / (unit * factor) < MOST_STEPS)
        return [number * step for number in range(max(0, ceil(self.low / step)), floor(self.high / step) + 1)]
