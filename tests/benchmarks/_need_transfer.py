"""How much is known of questions of another kind than those that were fitted to, and what the gate makes of it."""

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
    print_refusals,
    share_under_served,
    split_and_judged,
    violations,
)
from benchmarks._need_discrimination import DIGITS, LABELS, Told, areas_of
from benchmarks._need_families import CHEAP, STRONG, Family, joined, without_texts_of
from benchmarks._need_peers import LENGTH, OURS
from benchmarks._need_statistics import draws_of, exact_interval
from session_router.fitting import FitSettings
from session_router.fitting.training import train

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks._need_peers import Says

ALPHAS: Final = (0.1, 0.15)

BFCL_KINDS: Final = {
    "one_call": ("simple", "multiple_function"),
    "parallel": ("parallel_function", "parallel_multiple_function"),
    "executable": (
        "executable_simple",
        "executable_multiple_function",
        "executable_parallel_function",
        "executable_parallel_multiple_function",
        "rest",
    ),
    "java_javascript": ("java", "javascript"),
    "relevance": ("relevance",),
}
"""Kinds of the function-calling leaderboard: each is told by what was fitted to all others."""

MINT_PARTS: Final = {
    "gsm8k": "mint/reasoning/gsm8k",
    "mmlu": "mint/reasoning/mmlu",
    "mbpp": "mint/code_generation/mbpp",
    "alfworld": "mint/decision_making/alfworld",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Transfer:
    """What was fitted to, and what is asked about.

    Attributes:
        name: Stands in figures.
        family: Questions of both.
        fitted: Those that were fitted to; none of them is also asked about.
        asked: The others.
    """

    name: str
    family: Family
    fitted: NDArray[np.intp]
    asked: NDArray[np.intp]


def transfers(every: Sequence[Family]) -> Iterator[Transfer]:
    """Pair kinds of questions: within files, and across them."""
    mmlu_gsm8k, bfcl, mint, mtbench = every
    gsm8k = mmlu_gsm8k.of_parts(["gsm8k"], "gsm8k")
    mmlu = mmlu_gsm8k.of_parts([part for part in set(mmlu_gsm8k.parts.tolist()) if part != "gsm8k"], "mmlu")
    yield _across(mmlu, gsm8k)
    yield _across(gsm8k, mmlu)
    for kind, names in BFCL_KINDS.items():
        yield _left_out(bfcl, [f"bfcl-v2/{name}" for name in names], f"bfcl_rest_to_{kind}")
    for part, name in MINT_PARTS.items():
        yield _left_out(mint, [name], f"mint_rest_to_{part}")
    yield _across(mmlu_gsm8k, bfcl)
    yield _across(mmlu_gsm8k, mint.of_parts([MINT_PARTS["mbpp"], MINT_PARTS["alfworld"]], "mint_mbpp_alfworld"))
    yield _across(mmlu_gsm8k, mtbench)
    yield _across(bfcl, mmlu_gsm8k)


def _across(source: Family, target: Family) -> Transfer:
    family = joined(source, target)
    fitted = without_texts_of(family, range(len(source.texts)), target.texts)
    asked = np.arange(len(source.texts), len(family.texts), dtype=np.intp)
    return Transfer(name=f"{source.name}_to_{target.name}", family=family, fitted=fitted, asked=asked)


def _left_out(family: Family, parts: Sequence[str], name: str) -> Transfer:
    there = np.isin(family.parts, parts)
    asked = np.flatnonzero(there)
    fitted = without_texts_of(family, np.flatnonzero(~there), [family.texts[place] for place in asked])
    return Transfer(name=name, family=family, fitted=fitted, asked=asked)


def print_transfers(every: Sequence[Family], ways: Mapping[str, Says], *, splits: int) -> None:
    """Print what ours and others know of questions of another kind, and what the gate does with it.

    Args:
        every: The families.
        ways: Who speaks.
        splits: Random splits that the gate is tried on, for each.
    """
    say("\nout of distribution: fitted to one kind of questions, asked about another")
    say(f"{'':36}{'n':>7}{'AUC ours':>10}{'length':>10}{'ours less length':>30}")
    above: list[str] = []
    below: list[str] = []
    let: dict[str, Let] = {}
    for transfer in transfers(every):
        asked = transfer.family.only(transfer.asked, transfer.name)
        told = Told(family=asked, said={name: says(transfer.family, transfer.fitted, transfer.asked) for name, says in ways.items()})
        draws = draws_of(asked.groups)
        for label, kind in enumerate(LABELS):
            found = areas_of(told, label, draws, LENGTH)
            if label == 0:
                (above if found.ahead > 0 else below).append(transfer.name)
                apart = f"{found.ahead:+.4f} [{found.apart.low:+.4f}, {found.apart.high:+.4f}]"
                say(f"{transfer.name:36}{len(asked.texts):>7}{found.values[OURS]:>10.4f}{found.values[LENGTH]:>10.4f}{apart:>30}")
            others = {name: value for name, value in found.values.items() if name != OURS}
            figure(
                f"auc_{transfer.name}_{kind}",
                found.values[OURS],
                unit="AUC",
                n=len(asked.texts),
                target=f"> {found.values[LENGTH]}",
                peer=others,
                low=round(found.intervals[OURS].low, DIGITS),
                high=round(found.intervals[OURS].high, DIGITS),
                note=f"{found.note(LENGTH)}; fitted to {len(transfer.fitted)} questions of another kind",
            )
        let[transfer.name] = _print_gate(transfer, asked, splits=splits)
    figure(
        "transfers_above_length",
        len(above),
        unit="count",
        n=len(above) + len(below),
        note=f"AUC of the cheap model's failures; not above: {', '.join(below) or 'none'}: what the gate does there is in gate_TRANSFER",
    )
    print_refusals("not_above_length", {name: let[name] for name in below})


def _print_gate(transfer: Transfer, asked: Family, *, splits: int) -> Let:
    """Certify with outcomes of the kind that is asked about, half of them, as the gate needs; and with those of the other kind.

    Returns:
        What is let through at the library's own alpha.
    """
    found: dict[float, Let] = {}
    table = transfer.family.table
    trained = train(table, transfer.fitted, [CHEAP, STRONG], FitSettings().method)
    own = asked.first_of_each()
    chances = trained.chances(asked.table.vectors[own], asked.table.features[own])[:, CHEAP]
    under_served = asked.labels[own, 1] == 1
    foreign = _HeldOutOfSource.of(transfer)
    for alpha in ALPHAS:
        every = split_and_judged(chances, under_served, partial(certified, alpha=alpha), held=len(own) // 2, splits=splits, seed=0)
        missed = violations(every, alpha=alpha)
        low, high = exact_interval(missed, splits)
        # A certificate of the kind that was fitted to, taken for one of this kind: nothing was promised.
        least = certified(foreign.chances, foreign.under_served, alpha=alpha)
        let, bad = float((chances >= least).mean()), share_under_served(least, chances, under_served)
        figure(
            f"gate_{transfer.name}_{alpha}",
            missed / splits,
            unit=f"share of splits in which more than {alpha} is under-served",
            n=splits,
            target=f"<= {DELTA}",
            peer={"certified on the kind that was fitted to": float(bad > alpha)},
            low=round(low, DIGITS),
            high=round(high, DIGITS),
            note=f"fitted to another kind, certified on half of {len(own)} questions of the kind that is asked about: lets "
            f"{mean_downgraded(every):.1%} through, {sum(one.downgraded == 0 for one in every)} of {splits} splits certify nothing; "
            f"{under_served.mean():.3f} of all questions would be under-served; a certificate from {len(foreign.chances)} questions of "
            f"the kind that was fitted to would let {let:.1%} through here, {bad:.3f} of that under-served",
        )
        found[alpha] = Let(own=mean_downgraded(every), foreign=let, blind=float(under_served.mean()))
    return found[FitSettings().alpha]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _HeldOutOfSource:
    """Questions of the kind that was fitted to, two of its five folds, told by what was fitted to the other three.

    Attributes:
        chances: That the cheap model serves each.
        under_served: Whether it fails what the strong one does not.
    """

    chances: NDArray[np.float64]
    under_served: NDArray[np.bool_]

    @classmethod
    def of(cls, transfer: Transfer) -> _HeldOutOfSource:
        source = transfer.family.only(transfer.fitted, "source")
        is_held = source.folds < 2
        held = source.first_of_each()
        held = held[is_held[held]]
        trained = train(source.table, np.flatnonzero(~is_held), [CHEAP, STRONG], FitSettings().method)
        chances = trained.chances(source.table.vectors[held], source.table.features[held])[:, CHEAP]
        return cls(chances=chances, under_served=source.labels[held, 1] == 1)
