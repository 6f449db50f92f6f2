"""The frontiers as one page of HTML: no script, nothing from the network."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks._need_frontier import ORACLE, RANDOM, Outcomes, shares
from benchmarks._need_peers import OURS
from session_router.regret.axis import MARGIN, Axis
from session_router.regret.frontier_chart import BOTTOM, LEFT, RIGHT, TOP, WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks._need_discrimination import Told
    from benchmarks._need_frontier import Curve

MOST_POINTS: Final = 200
"""Of a curve that is drawn."""

COLOURS: Final = ("#3d6fa3", "#aa3377", "#1f7a30", "#b8860b", "#4aa5c9", "#ee7788", "#7a5195", "#8a8a8a")
DASHES: Final = ("", "6 3", "2 3", "9 3 2 3")

STYLE: Final = """
:root { --paper: #fff; --ink: #1b1f24; --soft: #59636e; --rule: #d5dae0; --accent: #c2410c; }
@media screen and (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e8ebee; --soft: #9aa4af; --rule: #363d45; --accent: #fb8c4e; }
}
body { margin: 0 auto; padding: 24px 20px 48px; max-width: 760px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 25px; } h2 { font-size: 18px; margin: 36px 0 6px; } .soft, figcaption { color: var(--soft); font-size: 13px; }
figure { margin: 12px 0; break-inside: avoid; } figure > svg { display: block; width: 100%; height: auto; }
text { fill: var(--soft); font: 11.5px system-ui, sans-serif; } .rule { stroke: var(--rule); }
polyline { fill: none; stroke-width: 1.4; } .own { stroke: var(--accent); stroke-width: 3; } .best { stroke: var(--ink); stroke-width: 2; }
.lots { stroke: var(--soft); stroke-dasharray: 3 4; }
.key { display: flex; flex-wrap: wrap; gap: 2px 18px; font-size: 13px; } .key svg { width: 26px; height: 10px; margin-right: 5px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 4px 6px; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child, td:first-child { text-align: left; } tr.ours { font-weight: 600; }
"""


def page(every: Sequence[Told]) -> str:
    """Write all frontiers as a page. The same outcomes give the same page.

    Args:
        every: What everyone said of each family.

    Returns:
        A whole document, to be encoded as UTF-8.
    """
    sections = "\n".join(_section(told) for told in every)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Need: dollars against accuracy</title>
<style>{STYLE}</style>
</head>
<body>
<h1>What a prompt says of the need for a strong model</h1>
<p>Mixtral 8x7B beside GPT-4. Each line sends more and more questions to the strong model, from the highest rank down. Every question is
ranked by what was fitted to the other four of five folds. The oracle knows every outcome.</p>
{sections}
</body>
</html>
"""


def _section(told: Told) -> str:
    whole = Outcomes.of(told.family)
    ranked = {name: said.ranks[:, 1] for name, said in told.said.items()}
    ranked |= {RANDOM: np.zeros(len(told.family.texts)), ORACLE: whole.oracle}
    curves = {name: whole.curve(ranks) for name, ranks in ranked.items()}
    name = escape(told.family.name)
    return f"""<h2>{name}</h2>
<figure>{_drawing(curves, name)}
<figcaption>US dollars of a question to the right, share of the {len(told.family.texts):,} questions served well upwards.</figcaption>
</figure>
<p class="key">{"".join(_entry(name, place) for place, name in enumerate(curves))}</p>
{_table(ranked, whole)}"""


def _drawing(curves: Mapping[str, Curve], name: str) -> str:
    dollars = _axis([end for curve in curves.values() for end in curve.dollars[[0, -1]]], start=LEFT, end=RIGHT)
    accuracy = _axis([value for curve in curves.values() for value in curve.accuracy], start=BOTTOM, end=TOP)
    parts = [f'<svg viewBox="0 0 {WIDTH:g} {BOTTOM + 28:g}" role="img" aria-label="Frontier of {name}">']
    for tick in dollars.ticks():
        x = dollars.at(tick)
        parts.append(f'<path class="rule" d="M{x:.1f} {TOP:g}V{BOTTOM:g}"/>')
        parts.append(f'<text x="{x:.1f}" y="{BOTTOM + 16:g}" text-anchor="middle">${tick:.4g}</text>')
    for tick in accuracy.ticks():
        y = accuracy.at(tick)
        parts.append(f'<path class="rule" d="M{LEFT:g} {y:.1f}H{RIGHT:g}"/>')
        parts.append(f'<text x="{LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    for place, (title, curve) in enumerate(curves.items()):
        points = " ".join(f"{dollars.at(x):.1f},{accuracy.at(y):.1f}" for x, y in _some(curve))
        parts.append(f'<polyline {_look(title, place)} points="{points}"><title>{escape(title)}</title></polyline>')
    return "".join([*parts, "</svg>"])


def _axis(values: Sequence[float], *, start: float, end: float) -> Axis:
    """Return an axis that is not logarithmic: equal dollars are equally far apart, however cheap the cheap model is."""
    free = MARGIN * (max(values) - min(values))
    return Axis(low=min(values) - free, high=max(values) + free, start=start, end=end)


def _some(curve: Curve) -> Iterator[tuple[float, float]]:
    places: Iterable[int] = np.unique(np.linspace(0, len(curve.dollars) - 1, MOST_POINTS).round().astype(int)).tolist()
    yield from ((float(curve.dollars[place]), float(curve.accuracy[place])) for place in places)


def _look(name: str, place: int) -> str:
    if name in (OURS, ORACLE, RANDOM):
        return f'class="{({OURS: "own", ORACLE: "best", RANDOM: "lots"})[name]}"'
    dash = DASHES[place // len(COLOURS) % len(DASHES)]
    return f'stroke="{COLOURS[place % len(COLOURS)]}"' + (f' stroke-dasharray="{dash}"' if dash else "")


def _entry(name: str, place: int) -> str:
    line = f'<svg viewBox="0 0 26 10" aria-hidden="true"><polyline {_look(name, place)} points="0,5 26,5"/></svg>'
    return f"<span>{line}{escape(name)}</span>"


def _table(ranked: Mapping[str, NDArray[np.float64]], whole: Outcomes) -> str:
    found = {name: shares(ranks, whole) for name, ranks in ranked.items()}
    rows = "".join(
        f"<tr{' class=ours' if name == OURS else ''}><td>{escape(name)}</td><td>{saved:.1%}</td><td>{gained:.1%}</td></tr>"
        for name, (saved, gained) in sorted(found.items(), key=lambda one: -one[1][1])
    )
    head = "<tr><th>of what the oracle gets</th><th>saved at the strong model's accuracy</th><th>gained at half its dollars</th></tr>"
    return f"<table>{head}{rows}</table>"
