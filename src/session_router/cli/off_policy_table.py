"""What a new policy would have been worth, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from session_router.cli.words import in_words, plural
from session_router.regret.off_policy import LeftOut

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from session_router.core.off_policy import Estimate, Valuation
    from session_router.regret.off_policy import OffPolicyReport

FEW = 30
"""Below so many effective boundaries, or sessions, intervals are a rough guess."""

LEFT_OUT: Mapping[LeftOut, str] = {
    LeftOut.NO_CHOICE: "no choice by dollars was made: a pin, a refusal, a single candidate, no score",
    LeftOut.NOT_THE_POLICY: "the chosen model failed and another one answered",
    LeftOut.NO_OUTCOME: "there is no feedback",
    LeftOut.NO_ROUTE: "the new configuration has no route for one of the models",
    LeftOut.OTHER_STAKE: "they were logged with another stake, and with past sessions (`policy.experience`) whose dollars hang on it",
    LeftOut.NOT_REPRODUCED: "the policy that logged them does not choose so: they were changed, or are of another release",
    LeftOut.NO_CHANCE: "the logged policy had no chance to take what the new one would",
}
"""A test sees to it that none is forgotten."""


def print_off_policy(console: Console, report: OffPolicyReport, *, bad: int, unmatched: int) -> None:
    """Print what a valuation found.

    Args:
        console: Where.
        report: The numbers.
        bad: Lines that could not be read.
        unmatched: Pieces of feedback on decisions that are not in the log.
    """
    if bad:
        console.print(f"[red]{plural(bad, 'line')} could not be read[/]; see the errors above.")
    success, dollars = report.success, report.dollars
    counts = f"{_boundaries(success.boundaries)} of {report.boundaries:,}, of {plural(success.sessions, 'session')}"
    table = Table(title=f"A boundary under each policy: {counts}", title_justify="left")
    table.add_column("policy", overflow="fold")
    table.add_column("by", overflow="fold")
    for column in ("served well", "between", "$ a segment", "between"):
        table.add_column(column, justify="right")
    logged = " + ".join(report.logged_policies)
    table.add_row(f"logged ({logged})", "what came of it", *_cells(success.logged, dollars.logged), end_section=True)
    rows: Sequence[tuple[str, Estimate | None, Estimate | None]] = (
        ("IPS", success.ips, dollars.ips),
        ("SNIPS", success.snips, dollars.snips),
        ("DR", success.dr, dollars.dr),
    )
    for place, (name, share, amount) in enumerate(rows):
        style = "bold" if name == "DR" else ""
        table.add_row("" if place else f"new ({report.policy})", name, *_cells(share, amount), style=style)
    table.add_row("", "IPS, bounds", "", _bounds(success, percent=True), "", _bounds(dollars, percent=False), end_section=True)
    table.add_row("new - logged", "DR", *_cells(success.gain, dollars.gain))
    console.print(table)
    for reason, count in report.left_out.items():
        console.print(f"[yellow]left out:[/] {_boundaries(count)}: {in_words(reason, LEFT_OUT)}")
    if unmatched:
        console.print(f"[yellow]left out:[/] {plural(unmatched, 'row')} of feedback on decisions that are not in the log")
    for line in _notes(report):
        console.print(f"[dim]{line}[/]")


def _boundaries(count: int) -> str:
    return f"{count:,} {'boundary' if count == 1 else 'boundaries'}"


def _cells(share: Estimate | None, dollars: Estimate | None) -> tuple[str, str, str, str]:
    return (
        _percent(share),
        _between(share, percent=True),
        "-" if dollars is None else f"{dollars.value:.5f}",
        _between(dollars, percent=False),
    )


def _percent(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.1%}"


def _between(estimate: Estimate | None, *, percent: bool) -> str:
    if estimate is None or estimate.low is None or estimate.high is None:
        return "-"
    return _range(estimate.low, estimate.high, percent=percent)


def _bounds(valuation: Valuation, *, percent: bool) -> str:
    return "-" if valuation.bounds is None else _range(*valuation.bounds, percent=percent)


def _range(low: float, high: float, *, percent: bool) -> str:
    return f"{low:.1%} and {high:.1%}" if percent else f"{low:.5f} and {high:.5f}"


def _notes(report: OffPolicyReport) -> list[str]:
    used = report.success
    elsewhere = f"At {_boundaries(report.differing)} of these the new policy would take another model than was taken."
    lines = [
        f"{elsewhere} The others tell as much as {used.effective:,.0f} of its own would (effective sample size).",
        f"Dollars are those expected of the calls, and ${report.stake:g} for as far as a segment was served badly. Less is better.",
        "The state at each boundary is that of the logged session: how the new policy would have got there is not valued.",
        f"Intervals: {report.confidence:.0%} each, sessions taken as independent. The bounds hold for few sessions as well.",
    ]
    if min(used.effective, used.sessions) < FEW:
        few = f"[yellow]Few[/]: {used.effective:,.0f} effective boundaries, {plural(used.sessions, 'session')}. Trust the bounds only."
        lines.insert(0, few)
    return lines
