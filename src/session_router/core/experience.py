"""What followed in past sessions that stood where this one stands.

A model that is chosen now is where the next segment begins. What that is worth is read off past sessions: the
least dollars that the rest of each would have cost from there (hindsight optimisation: Chong, Givan, Chang 2000,
"A framework for simulation-based network control via hindsight optimization"; here over recorded futures, chosen by
likeness as in a nearest-neighbour forecast).
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import nsmallest
from math import exp, log
from typing import TYPE_CHECKING

from session_router.core.pricing import USD
from session_router.core.segment import Forecast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.core.model import ModelName

NEIGHBOURS = 8
LAST_NUMBER = 16
"""Later segments are compared with one another whatever their number."""

SCALE_OF_CHANCES = 0.1
"""Two boundaries are apart when a model's chances differ by this much."""

SCALE_OF_TOKENS = 0.5
"""Two boundaries are apart when the logarithms of their tokens differ by this much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One boundary of a past session, and what followed.

    Attributes:
        number: Number of its segment in the session, from 1.
        tokens: Estimated tokens of the segment's first request.
        chances: `p_success` by model.
        calls: Calls of the segment.
        growth: Tokens that its request grew by from call to call.
        output: Output tokens of a call.
        afterwards: Least US dollars of all that followed the segment, by the model that it was on.
    """

    number: int
    tokens: int
    chances: Mapping[ModelName, float]
    calls: int
    growth: float
    output: float
    afterwards: Mapping[ModelName, USD]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What past sessions say of the coming segment and of what follows it.

    Attributes:
        forecast: The segment.
        afterwards: Expected US dollars of all that follows, by the model that the segment is on.
    """

    forecast: Forecast
    afterwards: Mapping[ModelName, USD]


class Experience:
    """Past boundaries, by the number of their segment.

    Args:
        marks: At least one; all of the same models.
    """

    def __init__(self, marks: Sequence[Mark]) -> None:
        self.marks = tuple(marks)
        self._models = tuple(self.marks[0].chances)
        self._places: dict[int, list[_Place]] = {}
        for order, mark in enumerate(self.marks):
            place = _Place(log(max(1, mark.tokens)), tuple(mark.chances[name] for name in self._models), order, mark)
            self._places.setdefault(min(mark.number, LAST_NUMBER), []).append(place)

    def outlook(self, *, number: int, tokens: int, chances: Mapping[ModelName, float]) -> Outlook | None:
        """Look at the past boundaries that are most like this one.

        Args:
            number: Of the coming segment in its session, from 1.
            tokens: Estimated tokens of the request.
            chances: `p_success` by model; models that the past does not know are left out of the comparison.

        Returns:
            What followed them; `None` when no past session came so far, or none knows all of `chances`.
        """
        places = self._places.get(min(number, LAST_NUMBER))
        if places is None or not all(name in self._models for name in chances):
            return None
        own = [(index, chances[name]) for index, name in enumerate(self._models) if name in chances]
        size = log(max(1, tokens))
        near = nsmallest(NEIGHBOURS, ((place.distance(size, own), place.order, place.mark) for place in places))
        least = near[0][0]
        weights = [exp((least - distance) / 2) for distance, _, _ in near]
        total = sum(weights)

        def mean(values: list[float]) -> float:
            return sum(weight * value for weight, value in zip(weights, values, strict=True)) / total

        marks = [mark for _, _, mark in near]
        forecast = Forecast(
            calls=mean([mark.calls for mark in marks]),
            pairs=mean([mark.calls * (mark.calls - 1) / 2 for mark in marks]),
            growth=mean([mark.growth for mark in marks]),
            output=mean([mark.output for mark in marks]),
        )
        return Outlook(forecast=forecast, afterwards={name: USD(mean([mark.afterwards[name] for mark in marks])) for name in chances})


@dataclass(frozen=True, slots=True)
class _Place:
    """A mark, and where it stands among the others."""

    size: float
    chances: tuple[float, ...]
    order: int
    mark: Mark

    def distance(self, size: float, chances: Sequence[tuple[int, float]]) -> float:
        """Squared distance, in units of the scales."""
        apart = ((size - self.size) / SCALE_OF_TOKENS) ** 2
        for index, chance in chances:
            apart += ((chance - self.chances[index]) / SCALE_OF_CHANCES) ** 2
        return apart
