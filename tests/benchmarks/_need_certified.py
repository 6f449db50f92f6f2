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
        blind: Share that the cheap model under-serves of all of them: what who knows nothing gets.
        foreign: Share of them with a certificate from another kind, which promises nothing here; `None` where nobody tried.
    """

    own: float
    blind: float
    foreign: float | None = None


def print_refusals(where: str, let: Mapping[str, Let]) -> None:
    """Print what the gate lets through where the scorer knows no more than a simple rule does.

    Where even blind downgrades keep alpha, nothing need be known to certify them: those kinds are named apart.

    Args:
        where: What these kinds have in common.
        let: By kind.
    """
    alpha = FitSettings().alpha
    needed = {name: one for name, one in let.items() if one.blind > alpha}
    _print_refusal(f"gate_downgrades_{where}", {name: one.own for name, one in let.items()}, let)
    _print_refusal(f"gate_downgrades_{where}_blind_breaks_alpha", {name: one.own for name, one in needed.items()}, let)
    foreign = {name: one.foreign for name, one in let.items() if one.foreign is not None}
    if foreign:
        _print_refusal(f"gate_downgrades_{where}_foreign_certificate", foreign, let)


def _print_refusal(name: str, shares: Mapping[str, float], let: Mapping[str, Let]) -> None:
    told = ", ".join(f"{kind} {share:.1%} (blind {let[kind].blind:.3f} under-served)" for kind, share in shares.items() if share > 0)
    figure(
        name,
        round(max(shares.values(), default=0.0), 4),
        unit="largest share of questions that the cheap model may serve",
        n=len(shares),
        target="== 0",
        note=f"alpha {FitSettings().alpha}; of {', '.join(shares) or 'none'}; lets through: {told or 'nothing'}",
    )
