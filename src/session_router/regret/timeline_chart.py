"""One session as a drawing: a cell for each call, coloured by model, for the router and for the optimum."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, groupby
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias

from session_router.regret.routings import ROUTER
from session_router.regret.timeline import OPTIMUM
from session_router.regret.written import count, dollars, percent, shortened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    _Point: TypeAlias = tuple[float, float]

LEFT, RIGHT = 104.0, 748.0
"""Edges of the plot, in pixels."""

WIDEST_CELL = 30.0

MOST_CALLS = 1_200
"""Calls that are drawn, from the first."""

CALLS_A_STRIP = 120
"""A longer session is drawn in strips of equal length, one below the other."""

CHARACTER = 6.6

SUM_HEIGHT = 84.0
"""Height of the lines that add up the dollars, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One call under one routing.

    Attributes:
        x: Left edge, in pixels.
        colour: Place of its model among the models; `None` for nobody.
        flag: `unsafe` for such a switch, `impossible` where the routing has no model that can serve the call, else empty.
        note: What is said about it.
    """

    x: float
    colour: int | None
    flag: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """The calls of a strip under one routing.

    Attributes:
        routing: Its name.
        cells: Its calls.
        names: Where a model's name is written: the middle in pixels, the name, and the place of the model.
        sums: Points of the line that adds up its dollars; the vertical from 0 at the most to 1 at nothing.
    """

    routing: str
    cells: Sequence[Cell]
    names: Sequence[tuple[float, str, int]]
    sums: Sequence[_Point]


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedStretch:
    """Calls in a row at which a lock of one kind holds.

    Attributes:
        x: Left edge, in pixels.
        width: Pixels.
        note: What is said about it.
    """

    x: float
    width: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """Calls that are drawn side by side.

    Attributes:
        turns: Where a turn begins: the pixel, and its number where there is room for it.
        locks: Where a lock holds.
        lanes: The router, then the optimum.
    """

    turns: Sequence[tuple[float, str]]
    locks: Sequence[LockedStretch]
    lanes: Sequence[Lane]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineChart:
    """The drawing.

    Attributes:
        width: Of a cell, in pixels.
        strips: One below the other.
        most: US dollars at the top of the lines that add up; 0 where there is nothing to add up.
        left_out: Calls that are not drawn.
    """

    width: float
    strips: Sequence[Strip]
    most: float
    left_out: int

    @property
    def flags(self) -> set[str]:
        """The flags that occur."""
        return {cell.flag for strip in self.strips for lane in strip.lanes for cell in lane.cells}


def timeline_chart(report: Mapping[str, Any]) -> TimelineChart | None:
    """Draw the session of a report, a plain `Report`; `None` when it has none, or one without calls."""
    session = report["session"]
    if session is None or not session["timeline"]:
        return None
    calls: list[Any] = session["timeline"][:MOST_CALLS]
    sums = {name: list(accumulate(_total(call["routings"][name], report) for call in calls)) for name in (ROUTER, OPTIMUM)}
    most = max(of_routing[-1] for of_routing in sums.values())
    length = ceil(len(calls) / ceil(len(calls) / CALLS_A_STRIP))
    width = min(WIDEST_CELL, (RIGHT - LEFT) / length)

    def lane(name: str, first: int) -> Lane:
        part = calls[first : first + length]
        before = sums[name][first - 1] if first else 0.0
        paid = [before, *sums[name][first : first + length]]
        return Lane(
            routing=name,
            cells=[_cell(call, first + place, name, report["models"], LEFT + place * width) for place, call in enumerate(part)],
            names=list(_names([call["routings"][name]["model"] for call in part], report["models"], width)),
            sums=[(LEFT + place * width, 1 - dollars / most) for place, dollars in enumerate(paid)] if most else [],
        )

    strips = [
        Strip(
            turns=list(_turns(calls[first : first + length], width)),
            locks=list(_locks(calls[first : first + length], first, width)),
            lanes=[lane(ROUTER, first), lane(OPTIMUM, first)],
        )
        for first in range(0, len(calls), length)
    ]
    return TimelineChart(width=width, strips=strips, most=most, left_out=len(session["timeline"]) - len(calls))


def _total(charge: Mapping[str, Any], report: Mapping[str, Any]) -> float:
    risk = 0.0 if charge["chance"] is None else report["stake"] * (1 - charge["chance"])
    return float(charge["dollars"] + risk + report["handoff"] * charge["switched"])


def _cell(call: Mapping[str, Any], number: int, routing: str, models: Sequence[str], x: float) -> Cell:
    charge, tokens = call["routings"][routing], call["tokens"]
    model = charge["model"]
    lines = [
        f"call {number + 1}: call {call['call']} of turn {call['turn']}, after {call['seconds']:,.10g} s",
        f"{routing}: {'nobody' if model is None else shortened(model)}, {dollars(charge['dollars'])}",
        f"tokens ({'recorded' if tokens['measured'] else 'estimated'}): {count(tokens['input'])} in, {count(tokens['output'])} out",
        f"of the input cached (modelled): {count(charge['cached'])}",
    ]
    if charge["chance"] is not None:
        lines.append(f"chance that the segment is served well: {percent(charge['chance'])}")
    if call["lock"]:
        lines.append(f"lock: {_words(call['lock'])}")
    lines += [
        words
        for key, words in (("switched", "switched here"), ("unsafe", "unsafe: a lock held"), ("impossible", "nobody who can serve it"))
        if charge[key]
    ]
    return Cell(
        x=x,
        colour=None if model not in models else models.index(model),
        flag="unsafe" if charge["unsafe"] else "impossible" if charge["impossible"] else "",
        note="\n".join(lines),
    )


def _names(served: Sequence[str | None], models: Sequence[str], width: float) -> Iterator[tuple[float, str, int]]:
    place = 0
    for model, calls in groupby(served):
        length = len(list(calls))
        if model is not None and model in models and len(model) * CHARACTER < length * width - 4:
            yield LEFT + (place + length / 2) * width, model, models.index(model)
        place += length


def _turns(calls: Sequence[Mapping[str, Any]], width: float) -> Iterator[tuple[float, str]]:
    place = 0
    for turn, of_turn in groupby(call["turn"] for call in calls):
        number, length = str(turn), len(list(of_turn))
        yield LEFT + place * width, number if len(number) * CHARACTER + 4 <= length * width else ""
        place += length


def _locks(calls: Sequence[Mapping[str, Any]], first: int, width: float) -> Iterator[LockedStretch]:
    place = 0
    for lock, locked in groupby(call["lock"] for call in calls):
        length = len(list(locked))
        if lock:
            calls_of_it = f"call {first + place + 1}" if length == 1 else f"calls {first + place + 1} to {first + place + length}"
            yield LockedStretch(x=LEFT + place * width, width=length * width, note=f"{calls_of_it}: {_words(lock)}")
        place += length


def _words(lock: str) -> str:
    return lock.replace("_", " ")
