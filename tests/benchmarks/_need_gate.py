"""The risk gate, tried on random splits: fitted on one part, certified on the next, judged by all that nothing was fitted to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks._figure import figure, say
from benchmarks._need_certified import (
    DELTA,
    Let,
    certified,
    mean_downgraded,
    split_and_judged,
    uncertified,
    violations,
    violations_in_rest,
)
from benchmarks._need_families import CHEAP, STRONG
from benchmarks._need_statistics import exact_interval
from session_router.fitting import FitSettings
from session_router.fitting.splitting import place_of
from session_router.fitting.training import train

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from benchmarks._need_certified import Judged
    from benchmarks._need_families import Family

ALPHAS: Final = (0.05, 0.1, 0.15)
FITTED: Final = 1 / 3
HELD: Final = 2_000
"""Questions that a certificate is made from; a third of a smaller family."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """What the gate did on a family.

    Attributes:
        let: What it lets through at the library's own alpha.
        missed: By alpha, splits in which more was under-served.
        splits: Of how many.
    """

    let: Let
    missed: Mapping[float, int]
    splits: int


HOW: Final = (
    "fitted to a third of the questions, certified on {held} random ones of the other {all}; a split violates when more than alpha is "
    "under-served of all questions of those {all} that its certificate lets through, which is the truth that it speaks of; {fits} fits, "
    "{each} random splits for each, independent of one another given the fit, and the guarantee holds given the fit"
)


def print_gate(family: Family, *, splits: int, fits: int) -> Gated:
    """Print how often the gate lets too much through, and what it lets through.

    Args:
        family: Questions with the outcomes of both models.
        splits: In all.
        fits: Over how many fits they are spread: the guarantee holds for each of them alone, so that splits may share one.

    Returns:
        What came of it.
    """
    every: dict[tuple[float, bool], list[Judged]] = {(alpha, bounded): [] for alpha in ALPHAS for bounded in (True, False)}
    held = count = 0
    for number in range(fits):
        chances, under_served = _apart(family, number)
        held = min(HELD, len(chances) // 2)
        count = len(chances)
        for (alpha, bounded), found in every.items():
            least_of: Callable[[NDArray[np.float64], NDArray[np.bool_]], float] = partial(
                certified if bounded else uncertified, alpha=alpha
            )
            found.extend(split_and_judged(chances, under_served, least_of, held=held, splits=splits // fits, seed=number))
    how = HOW.format(held=held, all=count, fits=fits, each=splits // fits)
    say(f"\ngate on {family.name}: {how}")
    for alpha in ALPHAS:
        _print(family, alpha, every[alpha, True], every[alpha, False], how)
    usual = FitSettings().alpha
    return Gated(
        let=Let(own=mean_downgraded(every[usual, True]), blind=float(family.labels[:, 1].mean())),
        missed={alpha: violations(every[alpha, True], alpha=alpha) for alpha in ALPHAS},
        splits=splits,
    )


def print_violations(gated: Mapping[str, Gated]) -> None:
    """Print the worst of all families and alphas."""
    worst, name, alpha = max((missed / one.splits, name, alpha) for name, one in gated.items() for alpha, missed in one.missed.items())
    splits = gated[name].splits
    low, high = exact_interval(round(worst * splits), splits)
    figure(
        "gate_violations",
        worst,
        unit="share of splits, the largest of all families and alphas",
        n=splits,
        target=f"<= {DELTA}",
        low=round(low, 4),
        high=round(high, 4),
        note=f"{name}, alpha {alpha}; of {', '.join(gated)}, each at alpha {', '.join(map(str, ALPHAS))}",
    )


def _apart(family: Family, number: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Fit to a third of the keys; return chances of one question of each of the others, and whether the cheap model under-serves it."""
    places = np.array([place_of(key, seed=number, purpose="gate") for key in family.keys])
    trained = train(family.table, np.flatnonzero(places < FITTED), [CHEAP, STRONG], FitSettings().method)
    others = family.first_of_each()
    others = others[places[others] >= FITTED]
    chances = trained.chances(family.table.vectors[others], family.table.features[others])[:, CHEAP]
    return chances, family.labels[others, 1] == 1


def _print(family: Family, alpha: float, kept: list[Judged], broken: list[Judged], how: str) -> None:
    splits = len(kept)
    missed, missed_broken = violations(kept, alpha=alpha), violations(broken, alpha=alpha)
    low, high = exact_interval(missed, splits)
    without = sum(one.downgraded == 0 for one in kept)
    say(
        f"  alpha {alpha}: {missed} of {splits} splits violate it, without a bound {missed_broken}; "
        f"lets {mean_downgraded(kept):.1%} through, without a bound {mean_downgraded(broken):.1%}"
    )
    figure(
        f"gate_violations_{family.name}_{alpha}",
        missed / splits,
        unit=f"share of splits in which more than {alpha} is under-served",
        n=splits,
        target=f"<= {DELTA}",
        peer={"largest region whose observed share is at most alpha": missed_broken / splits},
        low=round(low, 4),
        high=round(high, 4),
        note=f"delta {DELTA}; judged by the questions that were not held out alone, {violations_in_rest(kept, alpha=alpha)} splits; {how}",
    )
    figure(
        f"gate_downgrades_{family.name}_{alpha}",
        round(mean_downgraded(kept), 4),
        unit="share of questions that the cheap model may serve",
        n=splits,
        peer={"largest region whose observed share is at most alpha": round(mean_downgraded(broken), 4)},
        note=f"of them {_mean_risk(kept):.3f} are under-served, without a bound {_mean_risk(broken):.3f}; all questions at random "
        f"{family.labels[:, 1].mean():.3f}; {without} of {splits} splits certify nothing",
    )


def _mean_risk(every: list[Judged]) -> float:
    let = [one for one in every if one.downgraded]
    return float(np.mean([one.under_served for one in let])) if let else 0.0
