"""How well one knows beforehand which questions a cheap model fails: on questions like those that were fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks._figure import figure, say
from benchmarks._need_families import FOLDS
from benchmarks._need_peers import OURS, TFIDF, Said
from benchmarks._need_statistics import Interval, areas, calibration_errors, draws_of, interval_of, means, told
from session_router.fitting.calibration import reliability_of
from session_router.fitting.measures import brier_score, calibration_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks._need_families import Family
    from benchmarks._need_peers import Says

LABELS: Final = ("cheap_fails", "only_strong_succeeds")
DIGITS: Final = 4

PAIR: Final = "Mixtral 8x7B beside GPT-4; every question told by what was fitted to the other 4 of 5 folds, the same for all"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """What everyone said of every question of a family, without having seen its fold.

    Attributes:
        family: The questions.
        said: By the name of who said it.
    """

    family: Family
    said: Mapping[str, Said]


def cross_fitted(family: Family, ways: Mapping[str, Says]) -> Told:
    """Let everyone speak of each fold by what was fitted to the others."""
    folds = family.folds
    said: dict[str, Said] = {}
    for name, says in ways.items():
        ranks, fails = np.zeros((len(family.texts), 2)), np.zeros(len(family.texts))
        for fold in range(FOLDS):
            asked = np.flatnonzero(folds == fold)
            found = says(family, np.flatnonzero(folds != fold), asked)
            ranks[asked], fails[asked] = found.ranks, found.fails
        said[name] = Said(ranks=ranks, fails=fails)
    return Told(family=family, said=said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A measure of everyone, and what ours has over another.

    Attributes:
        values: By name.
        intervals: Likewise.
        ahead: Ours less the other's.
        apart: Interval of that, from the same draws.
    """

    values: Mapping[str, float]
    intervals: Mapping[str, Interval]
    ahead: float
    apart: Interval

    def note(self, other: str) -> str:
        """Say how far ours is from the other's, and where the others are."""
        doubt = "" if self.apart.low > 0 or self.apart.high < 0 else ", not told apart"
        others = told({name: ends for name, ends in self.intervals.items() if name != OURS})
        return f"ours less {other} {self.ahead:+.4f} [{self.apart.low:+.4f}, {self.apart.high:+.4f}]{doubt}; {others}"


def compared(values: Mapping[str, float], drawn: Mapping[str, NDArray[np.float64]], other: str) -> Compared:
    """Set ours beside `other`.

    Args:
        values: By name.
        drawn: By name, in each draw.
        other: Its name.
    """
    return Compared(
        values={name: round(value, DIGITS) for name, value in values.items()},
        intervals={name: interval_of(one) for name, one in drawn.items()},
        ahead=values[OURS] - values[other],
        apart=interval_of(drawn[OURS] - drawn[other]),
    )


def areas_of(every: Told, label: int, draws: NDArray[np.float64], other: str) -> Compared:
    """Compare areas under the curve."""
    labels = every.family.labels[:, label]
    whole = np.ones((1, len(labels)))
    values = {name: float(areas(said.ranks[:, label], labels, whole)[0]) for name, said in every.said.items()}
    return compared(values, {name: areas(said.ranks[:, label], labels, draws) for name, said in every.said.items()}, other)


def lead_of(every: Told) -> Compared:
    """Return by how much ours tells the cheap model's failures better than TF-IDF does."""
    return areas_of(every, 0, draws_of(every.family.groups), TFIDF)


def print_discrimination(families: Sequence[Told]) -> None:
    """Print a table and the figures of every family."""
    for every in families:
        family = every.family
        draws = draws_of(family.groups)
        by_label = [areas_of(every, label, draws, TFIDF) for label in range(len(LABELS))]
        brier = _brier(every, draws)
        error = _calibration(every, draws)
        _print_table(every, [*by_label, brier, error])
        n = len(family.texts)
        for label, found in zip(LABELS, by_label, strict=True):
            share = family.labels[:, LABELS.index(label)].mean()
            note = f"{found.note(TFIDF)}; {share:.1%} of the questions; {PAIR}"
            _print(f"auc_{family.name}_{label}", found, unit="AUC", n=n, relation=">", note=note)
        _print(
            f"brier_{family.name}", brier, unit="mean squared error of p_success", n=n, relation="<=", note=f"{brier.note(TFIDF)}; {PAIR}"
        )
        note = f"{error.note(TFIDF)}; in bins of equally many; rules that state no chance are calibrated by a line; {PAIR}"
        _print(f"calibration_error_{family.name}", error, unit="expected calibration error", n=n, relation=None, note=note)


def _print(name: str, found: Compared, *, unit: str, n: int, relation: str | None, note: str) -> None:
    others = {key: value for key, value in found.values.items() if key != OURS}
    target = None if relation is None else f"{relation} {found.values[TFIDF]}"
    low, high = (round(end, DIGITS) for end in found.intervals[OURS])
    figure(name, found.values[OURS], unit=unit, n=n, target=target, peer=others, low=low, high=high, note=note)


def _brier(every: Told, draws: NDArray[np.float64]) -> Compared:
    fails = every.family.labels[:, 0]
    values = {name: brier_score(said.fails, fails) for name, said in every.said.items()}
    return compared(values, {name: means(np.square(said.fails - fails), draws) for name, said in every.said.items()}, TFIDF)


def _calibration(every: Told, draws: NDArray[np.float64]) -> Compared:
    fails = every.family.labels[:, 0]
    values: dict[str, float] = {}
    drawn: dict[str, NDArray[np.float64]] = {}
    for name, said in every.said.items():
        reliability, bins = reliability_of(said.fails, fails)
        values[name] = calibration_error(bins)
        places = np.searchsorted(np.array(reliability.edges), said.fails, side="left")
        errors = calibration_errors(said.fails, fails, places, draws)
        # Each draw adds noise to every bin, and noise to this measure: without its mean the interval would lie too high.
        drawn[name] = np.maximum(0.0, errors - errors.mean() + values[name])
    return compared(values, drawn, TFIDF)


def _print_table(every: Told, columns: Sequence[Compared]) -> None:
    say(f"\n{every.family.name}: {len(every.family.texts)} questions, {PAIR}")
    say(f"{'':28}{'AUC cheap fails':>18}{'AUC only strong':>18}{'Brier':>10}{'cal. error':>12}")
    for name in sorted(every.said, key=lambda one: -columns[0].values[one]):
        fails, only, brier, error = (column.values[name] for column in columns)
        say(f"{name:28}{fails:>18.4f}{only:>18.4f}{brier:>10.4f}{error:>12.4f}")
