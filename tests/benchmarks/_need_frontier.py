"""Dollars against accuracy: what everyone's ranking of the same questions is worth to who routes by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks._figure import figure, say
from benchmarks._need_families import CHEAP, STRONG
from benchmarks._need_peers import OURS, TFIDF
from benchmarks._need_statistics import draws_of, interval_of
from benchmarks._need_statistics import told as intervals_told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from benchmarks._need_discrimination import Told
    from benchmarks._need_families import Family

ORACLE: Final = "oracle"
RANDOM: Final = "at random"
DIGITS: Final = 4

HOW: Final = (
    "questions go to the strong model from the highest rank down, the point is read off the same outcomes, for all alike; 0 is what "
    "mixing at random gets for the first, and the cheap model for the second, 1 the oracle, who knows every outcome"
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curve:
    """What is paid and reached as more and more questions go to the strong model.

    Attributes:
        dollars: Mean of a question, ascending; from all to the cheap model, to all to the strong one.
        accuracy: Share that is served well. Between two points lies what one gets by drawing lots among questions of equal rank.
    """

    dollars: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    def reach(self, accuracy: float) -> float:
        """Return the least dollars at which `accuracy` is reached; the last point's where none before does."""
        there = np.flatnonzero(self.accuracy >= accuracy - 1e-12)
        if not len(there):
            return float(self.dollars[-1])
        place = int(there[0])
        if place == 0:
            return float(self.dollars[0])
        low, high = self.accuracy[place - 1], self.accuracy[place]
        share = min(1.0, (accuracy - low) / (high - low)) if high > low else 1.0
        return float(self.dollars[place - 1] + share * (self.dollars[place] - self.dollars[place - 1]))

    def at(self, dollars: float) -> float:
        """Return what is reached for so much."""
        return float(np.interp(dollars, self.dollars, self.accuracy))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcomes:
    """What came of the questions, each with a weight.

    Attributes:
        served: Whether each model served each question, shape (2, questions).
        dollars: What each costs, shape (2, questions); the strong one more.
        weights: How often each question counts.
    """

    served: NDArray[np.float64]
    dollars: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def of(cls, family: Family, weights: NDArray[np.float64] | None = None) -> Outcomes:
        """Return those of a family; without weights each question counts once."""
        served = (family.table.served == 1).astype(np.float64)
        return cls(served=served, dollars=family.table.dollars, weights=np.ones(served.shape[1]) if weights is None else weights)

    def curve(self, ranks: NDArray[np.float64]) -> Curve:
        """Return the curve of a ranking."""
        order = np.argsort(-ranks, kind="stable")
        weights = self.weights[order] / self.weights.sum()
        ends = np.append(np.flatnonzero(np.diff(ranks[order])), len(order) - 1)

        def running(values: NDArray[np.float64]) -> NDArray[np.float64]:
            start = float((weights * values[CHEAP, order]).sum())
            grown = np.cumsum(weights * (values[STRONG] - values[CHEAP])[order])
            return np.concatenate([[start], start + grown[ends]])

        return Curve(dollars=running(self.dollars), accuracy=running(self.served))

    @property
    def oracle(self) -> NDArray[np.float64]:
        """The ranking of who knows all: questions that only the strong model serves first, the cheapest of them before the others."""
        gain = self.served[STRONG] - self.served[CHEAP]
        extra = np.maximum(self.dollars[STRONG] - self.dollars[CHEAP], 1e-12)
        return np.asarray(gain / extra, dtype=np.float64)


def shares(ranks: NDArray[np.float64], outcomes: Outcomes) -> tuple[float, float]:
    """Return a ranking's share of the oracle's gap: saved at the strong model's accuracy, and gained at half its dollars."""
    own, best = outcomes.curve(ranks), outcomes.curve(outcomes.oracle)
    dear, top = float(best.dollars[-1]), float(best.accuracy[-1])
    # Rounding may put it below 0.
    saved, possible = max(0.0, dear - own.reach(top)), dear - best.reach(top)
    gained, most = own.at(dear / 2) - float(best.accuracy[0]), best.at(dear / 2) - float(best.accuracy[0])
    return (saved / possible if possible > 0 else 0.0), (gained / most if most > 0 else 0.0)


def print_frontier(every: Sequence[Told]) -> None:
    """Print both figures of every family."""
    for told in every:
        family = told.family
        whole = Outcomes.of(family)
        ranked = {name: said.ranks[:, 1] for name, said in told.said.items()} | {RANDOM: np.zeros(len(family.texts))}
        found = {name: shares(ranks, whole) for name, ranks in ranked.items()}
        draws = draws_of(family.groups)
        drawn = {name: np.array([shares(ranked[name], Outcomes.of(family, weights)) for weights in draws]) for name in ranked}
        _print_table(told, found, whole)
        for place, (name, unit) in enumerate(
            (
                ("cost_at_best_single", "share of the dollars that the oracle saves at the best single model's accuracy"),
                ("accuracy_at_half_cost", "share of the oracle's gain at half the best single model's cost"),
            )
        ):
            own, apart = interval_of(drawn[OURS][:, place]), interval_of((drawn[OURS] - drawn[TFIDF])[:, place])
            ahead = found[OURS][place] - found[TFIDF][place]
            figure(
                f"{name}_{family.name}",
                _rounded(found[OURS][place]),
                unit=unit,
                n=len(family.texts),
                target=f"> {_rounded(found[TFIDF][place])}",
                peer={key: _rounded(value[place]) for key, value in found.items() if key != OURS},
                low=_rounded(own.low),
                high=_rounded(own.high),
                note=f"ours less {TFIDF} {ahead:+.4f} [{apart.low:+.4f}, {apart.high:+.4f}]; "
                f"{_others(drawn, place)}; {_paid(told, whole, place)}; {HOW}",
            )


def _others(drawn: dict[str, NDArray[np.float64]], place: int) -> str:
    return intervals_told({name: interval_of(shares_drawn[:, place]) for name, shares_drawn in drawn.items() if name != OURS})


def _paid(told: Told, whole: Outcomes, place: int) -> str:
    """Say the same in dollars and in accuracy."""
    own, best = whole.curve(told.said[OURS].ranks[:, 1]), whole.curve(whole.oracle)
    dear, top = float(best.dollars[-1]), float(best.accuracy[-1])
    if place == 0:
        return f"{own.reach(top):.6f} USD a question for {top:.4f} served, the strong model {dear:.6f}, the oracle {best.reach(top):.6f}"
    reached = f"{own.at(dear / 2):.4f} served at {dear / 2:.6f} USD a question"
    return f"{reached}, the cheap model {best.accuracy[0]:.4f}, the strong {top:.4f}, the oracle {best.at(dear / 2):.4f}"


def _print_table(told: Told, found: dict[str, tuple[float, float]], whole: Outcomes) -> None:
    strong, cheap = float(whole.served[STRONG].mean()), float(whole.served[CHEAP].mean())
    say(f"\nfrontier of {told.family.name}: the strong model serves {strong:.3f}, the cheap one {cheap:.3f}")
    say(f"{'share of the gap to the oracle':34}{'saved at equal accuracy':>26}{'gained at half cost':>22}")
    for name, (saved, gained) in sorted(found.items(), key=lambda one: -one[1][1]):
        say(f"{name:34}{saved:>26.4f}{gained:>22.4f}")


def _rounded(value: float) -> float:
    return round(value, DIGITS) + 0.0  # no minus before a zero
