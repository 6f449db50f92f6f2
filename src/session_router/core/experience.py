"""What followed in past sessions that stood where this one stands.

A model that is chosen now is where the next segment begins. What that is worth is read off past sessions: the
least dollars that the rest of each would have cost from there (hindsight optimisation: Chong, Givan, Chang 2000,
"A framework for simulation-based network control via hindsight optimization"; here over recorded futures, chosen by
likeness as in a nearest-neighbour forecast).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from heapq import nsmallest
from math import exp, isfinite, log
from typing import TYPE_CHECKING, Any, cast

from session_router.core.checking import LARGEST_COUNT
from session_router.core.model import ModelName
from session_router.core.pricing import USD
from session_router.core.segment import Forecast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = 1
"""Version of the plain form. Raise it when a field changes its meaning; readers refuse what they do not know."""

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
        afterwards: US dollars of all that followed the segment, by the model that it was on: the least that they could have been
            in a session that had visited no other model before.
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
        weight: Past boundaries that it rests on, >= 0: one that was the same in all counts as 1, one that is unlike as next to
            nothing.
        forecast: The segment.
        afterwards: Expected US dollars of all that follows, by the model that the segment is on.
    """

    weight: float
    forecast: Forecast
    afterwards: Mapping[ModelName, USD]


class Experience:
    """Past boundaries, by the number of their segment. It never changes.

    Args:
        marks: At least one; all of the same models.
        basis: The settings that the dollars rest on, by name: the stake, the handoff, the prices. A router with others
            refuses the experience.

    Attributes:
        fingerprint: Twelve hex digits over all of it.
    """

    def __init__(self, marks: Sequence[Mark], *, basis: Mapping[str, float] | None = None) -> None:
        self.marks = tuple(marks)
        self.basis = dict(basis or {})
        self.fingerprint = hashlib.blake2b(json.dumps(self.to_plain()).encode(), digest_size=6).hexdigest()
        self._models = tuple(self.marks[0].chances)
        self._places: dict[int, list[_Place]] = {}
        # Of marks that are equally like, some may be left out: which ones must not depend on how they were given.
        for order, mark in enumerate(sorted(self.marks, key=lambda one: _row(one, self._models))):
            place = _Place(log(max(1, mark.tokens)), tuple(mark.chances[name] for name in self._models), order, mark)
            self._places.setdefault(min(mark.number, LAST_NUMBER), []).append(place)

    def __eq__(self, other: object) -> bool:
        """Compare all of it."""
        return isinstance(other, Experience) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        """Agree with equality."""
        return hash(self.fingerprint)

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values. No text of any session is in them."""
        models = list(self.marks[0].chances)
        return {
            "schema": SCHEMA,
            "basis": self.basis,
            "models": models,
            "marks": [_row(mark, models) for mark in self.marks],
        }

    @classmethod
    def from_plain(cls, plain: object) -> Experience:
        """Read back what `to_plain` wrote.

        Raises:
            ValueError: It is something else; the message says what.
        """
        table = cast("dict[str, Any]", plain) if isinstance(plain, dict) else {}
        if table.get("schema") != SCHEMA:
            msg = f"it is no experience of schema {SCHEMA}"
            raise ValueError(msg)
        try:
            models = [ModelName(_text(name)) for name in table["models"]]
            basis = {_text(key): _finite(value) for key, value in table["basis"].items()}
            marks = [_mark(row, models) for row in table["marks"]]
        except (KeyError, TypeError, AttributeError, OverflowError) as error:
            msg = f"its shape is wrong ({type(error).__name__})"
            raise ValueError(msg) from error
        if not marks or not models:
            msg = "it remembers no boundary"
            raise ValueError(msg)
        return cls(marks, basis=basis)

    def outlook(self, *, number: int, tokens: int, chances: Mapping[ModelName, float]) -> Outlook | None:
        """Look at the past boundaries that are most like this one.

        Args:
            number: Of the coming segment in its session, from 1.
            tokens: Estimated tokens of the request.
            chances: `p_success` by model; models of the past that are not among them are left out of the comparison.

        Returns:
            What followed them; `None` when no past session came so far, or none knows all of `chances`.
        """
        places = self._places.get(min(number, LAST_NUMBER))
        if places is None or not all(name in self._models for name in chances):
            return None
        own = [(index, chances[name]) for index, name in enumerate(self._models) if name in chances]
        size = log(max(1, tokens))
        near = nsmallest(NEIGHBOURS, ((place.distance(size, own), place.order, place.mark) for place in places))
        # Relative to the nearest, however far it is: the means of far ones are as good as they can be.
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
        return Outlook(
            weight=total * exp(-least / 2),
            forecast=forecast,
            afterwards={name: USD(mean([mark.afterwards[name] for mark in marks])) for name in chances},
        )


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


def _row(mark: Mark, models: Sequence[ModelName]) -> list[Any]:
    chances, afterwards = [mark.chances[name] for name in models], [mark.afterwards[name] for name in models]
    return [mark.number, mark.tokens, mark.calls, mark.growth, mark.output, chances, afterwards]


def _mark(row: Sequence[Any], models: Sequence[ModelName]) -> Mark:
    number, tokens, calls, growth, output, chances, afterwards = row
    return Mark(
        number=_whole(number),
        tokens=_whole(tokens),
        calls=_whole(calls, low=1),
        growth=_finite(growth),
        output=_finite(output),
        chances={name: _finite(chance, high=1.0) for name, chance in zip(models, chances, strict=True)},
        afterwards={name: USD(_finite(dollars)) for name, dollars in zip(models, afterwards, strict=True)},
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        msg = f"found {value!r} where a name belongs"
        raise ValueError(msg)
    return value


def _finite(value: object, *, high: float = LARGEST_COUNT) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or not 0 <= value <= high:
        msg = f"found {value!r} where a finite number in [0, {high}] belongs"
        raise ValueError(msg)
    return value


def _whole(value: object, *, low: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= LARGEST_COUNT:
        msg = f"found {value!r} where a whole number, {low} or more, belongs"
        raise ValueError(msg)
    return value
