"""The cost-quality frontier as a drawing: dollars to the right, the mean chance of being served well upwards."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any, TypeAlias

from session_router.regret.axis import SAME, Axis
from session_router.regret.routings import ROUTER
from session_router.regret.timeline import OPTIMUM
from session_router.regret.written import shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    _Point: TypeAlias = tuple[float, float]
    _Box: TypeAlias = tuple[float, float, float, float]

LEFT, RIGHT, TOP, BOTTOM = 62.0, 748.0, 24.0, 384.0
"""Edges of the plot, in pixels."""

WIDTH = 760.0
"""Of the drawing, in pixels."""

CHARACTER, LINE = 6.6, 15.0
"""Size of a letter, in pixels: a little more than fonts need, so that labels keep apart."""

LONGEST_NAME = 32

MOST_NAMES = 4
"""Names in one label."""

NO_CHANCES = "Nobody scored the chance that a model serves a segment well, so there is no quality to draw against the dollars."
FREE = "No call costs anything, so there is nothing to draw: the best model is free."
ONE_POINT = "Every routing costs the same and serves equally well, so there is nothing to draw."

_REACHES = (11.0, 24.0, 40.0, 60.0)
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1), (1, -1), (-1, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Words beside a mark.

    Attributes:
        text: The words.
        x: Where they begin, end or have their middle, in pixels.
        baseline: The line that they stand on.
        anchor: `start`, `end` or `middle`: the part of them that stands at `x`.
        leader: From the mark to the words, `(x, y, x, y)`; `None` where they are next to each other.
    """

    text: str
    x: float
    baseline: float
    anchor: str
    leader: _Box | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A routing, or the optimum at one stake.

    Attributes:
        x: Pixels.
        y: Pixels.
        kind: `optimum`, `router`, `routing`, `unfair` (it breaks locks, or leaves calls unserved) or `step` (another stake).
        name: What it is called.
        dollars: Of the calls and handoffs.
        mean_chance: In [0, 1].
        stake: US dollars, for a `step`.
        label: Its name, where there is room for it.
    """

    x: float
    y: float
    kind: str
    name: str
    dollars: float
    mean_chance: float
    stake: float | None = None
    label: Label | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontierChart:
    """The drawing.

    Attributes:
        dollars: The horizontal axis.
        shortfall: The vertical axis, top to bottom: 1 - the chance of being served well.
        curve: Points of the frontier.
        level: Points at which the total is that of the optimum.
        marks: What stands in it, the most important last.
    """

    dollars: Axis
    shortfall: Axis
    curve: Sequence[_Point]
    level: Sequence[_Point]
    marks: Sequence[Mark]


def frontier_chart(figures: Mapping[str, Any], *, stake: float) -> FrontierChart | str:
    """Draw the frontier of some sessions.

    Args:
        figures: Theirs, as plain values.
        stake: The report's, in US dollars.

    Returns:
        The drawing; a sentence that says why where there is none.
    """
    routings: dict[str, Any] = {name: point for name, point in figures["frontier"]["routings"].items() if point["mean_chance"] is not None}
    steps: list[Any] = figures["frontier"]["optimum"]
    optimum = figures["optimum"]
    if not routings or optimum["mean_chance"] is None:
        return NO_CHANCES
    best = {"dollars": optimum["dollars"] + optimum["handoffs"], "mean_chance": optimum["mean_chance"]}
    places = [(point["dollars"], 1 - point["mean_chance"]) for point in (best, *routings.values(), *steps)]
    if not any(cost for cost, _ in places):
        return FREE
    if all(max(values) - min(values) <= SAME * max(values) for values in zip(*places, strict=True)):
        return ONE_POINT
    dollars = Axis.over([place[0] for place in places], start=LEFT, end=RIGHT)
    shortfall = Axis.over([place[1] for place in places], start=TOP, end=BOTTOM)

    def mark(kind: str, name: str, point: Mapping[str, Any], stake: float | None = None) -> Mark:
        cost, chance = point["dollars"], point["mean_chance"]
        return Mark(x=dollars.at(cost), y=shortfall.at(1 - chance), kind=kind, name=name, dollars=cost, mean_chance=chance, stake=stake)

    curve = [(dollars.at(cost), shortfall.at(missed)) for cost, missed in _joined(places[len(routings) + 1 :])]
    level = list(_level(optimum, dollars, shortfall, weight=_weight(figures, stake)))
    named = [mark("router" if name == ROUTER else _kind(figures["routings"][name]), name, point) for name, point in routings.items()]
    labelled = _labelled([mark("optimum", OPTIMUM, best), *named], [*curve, *level])
    return FrontierChart(
        dollars=dollars,
        shortfall=shortfall,
        curve=curve,
        level=level,
        marks=[*(mark("step", OPTIMUM, step, step["stake"]) for step in steps), *reversed(labelled)],
    )


def _kind(bill: Mapping[str, Any]) -> str:
    return "unfair" if bill["unsafe_switches"] or bill["impossible"] else "routing"


def _joined(places: Sequence[_Point]) -> Iterator[_Point]:
    """Join places by straight lines of dollars and chances: what one gets by routing some sessions as the one and some as the next."""
    for (x, y), (next_x, next_y) in pairwise(places):
        yield from ((x + (next_x - x) * step / 16, y + (next_y - y) * step / 16) for step in range(16))
    yield from places[-1:]


def _weight(figures: Mapping[str, Any], stake: float) -> float:
    """Return US dollars of risk for a shortfall of 1. Segments that nobody scored bear no risk."""
    missed = 1 - figures["optimum"]["mean_chance"]
    return float(figures["optimum"]["risk"] / missed if missed else stake * figures["segments"])


def _level(optimum: Mapping[str, Any], dollars: Axis, shortfall: Axis, *, weight: float) -> Iterator[_Point]:
    """Return where dollars and risk add up to what the optimum costs."""
    for y in range(int(TOP), int(BOTTOM) + 1, 4):
        cost = optimum["total"] - weight * shortfall.value(y)
        if dollars.value(LEFT) <= cost <= dollars.value(RIGHT):
            yield dollars.at(cost), y


def _labelled(marks: Sequence[Mark], drawn: Sequence[_Point]) -> list[Mark]:
    """Find room for the name of each mark, the first one first, off the lines that were drawn.

    Marks in one place share a label, which the first of them bears.
    """
    taken: list[_Box] = [(one.x - 6, one.y - 6, one.x + 6, one.y + 6) for one in marks]
    labelled: list[Mark] = []
    for number, mark in enumerate(marks):
        together = [place for place, other in enumerate(marks) if abs(other.x - mark.x) < 1 and abs(other.y - mark.y) < 1]
        if together[0] < number:
            labelled.append(mark)
            continue
        text = _joint_name([marks[place].name for place in together])
        box = min(_rooms(mark, len(text) * CHARACTER), key=lambda room: _crowding(room, taken, drawn))
        taken.append(box)
        labelled.append(replace(mark, label=_label(mark, text, box)))
    return labelled


def _joint_name(names: Sequence[str]) -> str:
    further = len(names) - MOST_NAMES
    return ", ".join(shortened(name, LONGEST_NAME) for name in names[:MOST_NAMES]) + (f" + {further}" if further > 0 else "")


def _rooms(mark: Mark, width: float) -> Iterator[_Box]:
    for reach, (right, down) in product(_REACHES, _DIRECTIONS):
        middle = mark.x + right * (reach + width / 2)
        height = mark.y + down * (reach if right else reach + LINE / 4)
        yield middle - width / 2, height - LINE / 2, middle + width / 2, height + LINE / 2


def _crowding(room: _Box, taken: Iterable[_Box], drawn: Iterable[_Point]) -> float:
    left, top, right, bottom = room
    outside = left < LEFT or right > WIDTH or top < TOP or bottom > BOTTOM
    covered = sum(left < other[2] and other[0] < right and top < other[3] and other[1] < bottom for other in taken)
    crossed = sum(left < x < right and top < y < bottom for x, y in drawn)
    return 100 * outside + 10 * covered + min(crossed, 9)


def _label(mark: Mark, text: str, box: _Box) -> Label:
    left, top, right, bottom = box
    # The end towards the mark is where it should be, however wide the letters of the reader's font are.
    x, anchor = (left, "start") if left > mark.x else (right, "end") if right < mark.x else ((left + right) / 2, "middle")
    end_x, end_y = min(max(mark.x, left), right), min(max(mark.y, top + 3), bottom - 3)
    far = abs(end_x - mark.x) > _REACHES[0] or abs(end_y - mark.y) > _REACHES[0]
    return Label(text=text, x=x, baseline=bottom - LINE / 4, anchor=anchor, leader=(mark.x, mark.y, end_x, end_y) if far else None)
