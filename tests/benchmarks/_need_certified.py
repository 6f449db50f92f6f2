"""What certificates let through, and what that comes to on questions that they were not made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks._figure import figure
from session_router.core.model import ModelName
from session_router.core.risk import Held, certify
from session_router.fitting import FitSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

DELTA: Final = 0.05
"""Chance that a certificate may be wrong."""

REFERENCE: Final = ModelName("strong")

NOWHERE: Final = float("inf")
"""A least chance that nothing has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One region, judged.

    Attributes:
        downgraded: Share of all questions that the cheap model may serve.
        under_served: Share of those that it fails and the strong one does not; 0 where there are none. This is the truth about the
            questions that the held-out ones were drawn from.
        under_served_rest: The same share among those that were not held out. Where the held-out ones were lucky, the rest is
            unlucky: it lies higher than the truth.
    """

    downgraded: float
    under_served: float
    under_served_rest: float


def certified(chances: NDArray[np.float64], under_served: NDArray[np.bool_], *, alpha: float, delta: float = DELTA) -> float:
    """Return the least chance that the library's certificate asks for; `NOWHERE` without one."""
    held = [Held(chance=float(chance), under_served=bool(bad)) for chance, bad in zip(chances, under_served, strict=True)]
    certificate = certify(REFERENCE, held, alpha=alpha, delta=delta)
    return NOWHERE if certificate is None else certificate.least_chance


def uncertified(chances: NDArray[np.float64], under_served: NDArray[np.bool_], *, alpha: float) -> float:
    """Return the least chance of the largest region whose observed share is at most `alpha`: the broken variant, without a bound."""
    order = np.argsort(-chances, kind="stable")
    ordered = chances[order]
    shares = np.cumsum(under_served[order]) / np.arange(1, len(order) + 1)
    # A region ends where the next chance is another one: equal chances are never parted.
    ends = np.append(ordered[:-1] != ordered[1:], True)
    fit = np.flatnonzero(ends & (shares <= alpha))
    return float(ordered[fit[-1]]) if len(fit) else NOWHERE


def share_under_served(least: float, chances: NDArray[np.float64], under_served: NDArray[np.bool_]) -> float:
    """Return the share of the questions in the region that are under-served; 0 where there are none."""
    inside = chances >= least
    return float(under_served[inside].mean()) if inside.any() else 0.0


def split_and_judged(
    chances: NDArray[np.float64],
    under_served: NDArray[np.bool_],
    least_of: Callable[[NDArray[np.float64], NDArray[np.bool_]], float],
    *,
    held: int,
    splits: int,
    seed: int,
) -> list[Judged]:
    """Find a region on `held` random questions, and judge it by all of them; again and again.

    The bound of Clopper and Pearson holds for the share among all: drawing without replacement varies less than what it is for.

    Args:
        chances: That the cheap model serves each question; nothing was fitted to any of them.
        under_served: Whether it fails what the strong one does not.
        least_of: Finds the region.
        held: Questions to find it on.
        splits: How often.
        seed: The same seed gives the same splits.
    """
    noise = np.random.default_rng(seed)
    found: list[Judged] = []
    for _ in range(splits):
        order = noise.permutation(len(chances))
        known, others = order[:held], order[held:]
        least = least_of(chances[known], under_served[known])
        found.append(
            Judged(
                downgraded=float((chances >= least).mean()),
                under_served=share_under_served(least, chances, under_served),
                under_served_rest=share_under_served(least, chances[others], under_served[others]),
            )
        )
    return found


def violations(every: Sequence[Judged], *, alpha: float) -> int:
    """Count the splits whose region has more than `alpha` under-served."""
    return sum(one.under_served > alpha for one in every)


def violations_in_rest(every: Sequence[Judged], *, alpha: float) -> int:
    """Count those in which that is so of the questions that were not held out."""
    return sum(one.under_served_rest > alpha for one in every)


def mean_downgraded(every: Sequence[Judged]) -> float:
    """Return the mean share that was let through."""
    return float(np.mean([one.downgraded for one in every]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Let:
    """What the gate lets through of a kind of questions.

    Attributes:
        own: Share of them, in the mean over splits, with certificates from outcomes of this kind.
        foreign: Share of them with a certificate from another kind, which promises nothing here; 0 where there is none.
        at_random: Share that the cheap model under-serves of all of them.
    """

    own: float
    foreign: float
    at_random: float


def print_refusals(where: str, let: Mapping[str, Let]) -> None:
    """Print what the gate lets through where the scorer knows no more than a simple rule does.

    Args:
        where: What these kinds have in common.
        let: By kind.
    """
    alpha = FitSettings().alpha
    own, foreign = {name: one.own for name, one in let.items()}, {name: one.foreign for name, one in let.items()}
    for whose, shares in (("", own), ("_foreign", foreign)):
        through = {name: share for name, share in shares.items() if share > 0}
        told = ", ".join(f"{name} {share:.1%} (at random {let[name].at_random:.3f} under-served)" for name, share in through.items())
        how = "certified on another kind" if whose else "certified on outcomes of the kind that is asked about"
        figure(
            f"gate_downgrades_{where}{whose}",
            round(max(shares.values(), default=0.0), 4),
            unit="largest share of questions that the cheap model may serve",
            n=len(let),
            target="== 0",
            note=f"alpha {alpha}, {how}; {', '.join(let) or 'none'}; lets through: {told or 'nothing'}",
        )
