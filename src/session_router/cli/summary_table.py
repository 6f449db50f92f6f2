"""The summary of a replay, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from session_router.cli.closing import print_left_out
from session_router.cli.terminal import escaped
from session_router.cli.words import share
from session_router.core.decision import Action
from session_router.regret.routings import ROUTER

if TYPE_CHECKING:
    from rich.console import Console

    from session_router.cli.reading import Taken
    from session_router.regret.comparison import Comparison
    from session_router.replay import Pace, Summary


def print_summary(console: Console, summary: Summary, comparison: Comparison, *, pace: Pace, taken: Taken) -> None:
    """Print what a replay found.

    Args:
        console: Where.
        summary: The counts.
        comparison: The dollars.
        pace: The times that were assumed.
        taken: What became of the sessions.
    """
    print_left_out(console, taken, empty=not summary.calls)
    if not summary.calls:
        return
    console.print(_counts(summary))
    console.print(_dollars(comparison))
    for line in _assumptions(summary, pace):
        console.print(f"[dim]{line}[/]")


def _counts(summary: Summary) -> Table:
    table = Table(title="What the router would have done", title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("count", justify="right")
    table.add_column("share", justify="right")
    calls = summary.calls
    table.add_row("sessions", f"{summary.sessions:,}", "")
    table.add_row("calls", f"{calls:,}", "")
    table.add_row("locked calls", f"{summary.locked:,}", share(summary.locked, calls))
    for title, counts in (("lock", summary.locks), ("decision", summary.actions), ("reason", summary.reasons), ("model", summary.chosen)):
        table.add_section()
        for name, count in counts.most_common():
            table.add_row(f"{title}: {escaped(name)}", f"{count:,}", share(count, calls))
    table.add_section()
    table.add_row("switches", f"{summary.switches:,}", share(summary.switches, calls))
    refusals = summary.actions[Action.REFUSE.value]
    table.add_row("refusals", f"{refusals:,}", share(refusals, calls))
    if priced := summary.trusted + summary.untrusted:
        table.add_row("choices by dollars", f"{priced:,}", share(priced, calls))
        table.add_row("of these, predictions trusted", f"{summary.trusted:,}", "")
    if summary.alarms:
        table.add_row("alarms: part of a text spoke for all", f"{summary.alarms:,}", share(summary.alarms, priced))
    if summary.upgrades:
        table.add_row("upgrades asked for", f"{summary.upgrades:,}", share(summary.upgrades, priced))
        table.add_row("of these, capped", f"{summary.capped:,}", "")
    for name, count in summary.degraded.most_common():
        table.add_row(f"without {escaped(name)}", f"{count:,}", share(count, calls))
    return table


def _dollars(comparison: Comparison) -> Table:
    table = Table(title="Beside the alternatives (US dollars, estimated)", title_justify="left")
    handoffs = any(bill.handoffs for bill in comparison.bills.values())
    table.add_column("routing")
    for column in ("calls $", "modelled risk $", *(["handoffs $"] if handoffs else []), "sum $", "switches", "unsafe switches"):
        table.add_column(column, justify="right")
    table.add_column("calls it cannot serve", justify="right")
    for name, bill in comparison.bills.items():
        dollars = [bill.dollars, bill.risk, *([bill.handoffs] if handoffs else []), bill.total]
        unsafe = f"[red]{bill.unsafe_switches:,}[/]" if bill.unsafe_switches else "0"
        counts = [f"{bill.switches:,}", unsafe, f"{bill.impossible + comparison.refused:,}"]
        table.add_row(escaped(name), *(f"{amount:,.4f}" for amount in dollars), *counts, style="bold" if name == ROUTER else "")
    return table


def _assumptions(summary: Summary, pace: Pace) -> list[str]:
    measured = f"{summary.measured:,} of {summary.calls:,}"
    return [
        f"Tokens were recorded for {measured} calls; elsewhere they are estimated: one for every 4 characters, tool schemas not included.",
        f"Dollars are estimates: cached tokens assume {pace.turn_seconds:g} s a user turn and {pace.call_seconds:g} s a call.",
        "Every routing is charged by the same rules, for the recorded answers.",
        "Modelled risk is the stake times the predicted chance of a badly served segment; nobody measured it.",
        "Single turn takes the model with the least dollars and risk of the coming call, at every call; where a lock holds, it is unsafe.",
        "Locks only does the same at boundaries, sticky once a session.",
    ]
