"""The summary of a replay, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from session_router.cli.terminal import escaped
from session_router.replay.comparison import ROUTER

if TYPE_CHECKING:
    from rich.console import Console

    from session_router.replay import Pace, Summary


def print_summary(console: Console, summary: Summary, *, pace: Pace, bad: int, stopped: str) -> None:
    """Print what a replay found.

    Args:
        console: Where.
        summary: The numbers.
        pace: The times that were assumed.
        bad: Sessions that could not be replayed.
        stopped: Where an interrupt came; empty when none did.
    """
    if stopped:
        console.print(f"[yellow bold]interrupted[/] {stopped}; the figures cover what was replayed until then.")
    if bad:
        console.print(f"[red]{bad:,} session{'s' if bad > 1 else ''} could not be replayed[/]; see the errors above.")
    if not summary.calls:
        console.print("no calls were replayed.")
        return
    console.print(_counts(summary))
    console.print(_dollars(summary))
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
    table.add_row("locked calls", f"{summary.locked:,}", _share(summary.locked, calls))
    for title, counts in (("lock", summary.locks), ("decision", summary.actions), ("reason", summary.reasons), ("model", summary.chosen)):
        table.add_section()
        for name, count in counts.most_common():
            table.add_row(f"{title}: {escaped(name)}", f"{count:,}", _share(count, calls))
    router = summary.comparison.spendings[ROUTER]
    table.add_section()
    table.add_row("switches", f"{router.switches:,}", _share(router.switches, calls))
    table.add_row("refusals", f"{router.impossible:,}", _share(router.impossible, calls))
    for name, count in summary.degraded.most_common():
        table.add_row(f"without {escaped(name)}", f"{count:,}", _share(count, calls))
    return table


def _dollars(summary: Summary) -> Table:
    table = Table(title="Beside the alternatives (US dollars, estimated)", title_justify="left")
    table.add_column("routing")
    for column in ("calls $", "modelled risk $", "sum $", "switches", "unsafe switches", "calls it cannot serve"):
        table.add_column(column, justify="right")
    for name, spending in summary.comparison.spendings.items():
        unsafe = f"[red]{spending.unsafe_switches:,}[/]" if spending.unsafe_switches else "0"
        table.add_row(
            escaped(name),
            f"{spending.dollars:,.4f}",
            f"{spending.risk:,.4f}",
            f"{spending.dollars + spending.risk:,.4f}",
            f"{spending.switches:,}",
            unsafe,
            f"{spending.impossible:,}",
            style="bold" if name == ROUTER else "",
        )
    return table


def _assumptions(summary: Summary, pace: Pace) -> list[str]:
    measured = f"{summary.measured:,} of {summary.calls:,}"
    return [
        f"Tokens were recorded for {measured} calls; elsewhere they are estimated: one for every 4 characters, tool schemas not included.",
        f"Dollars are estimates: cached tokens assume {pace.turn_seconds:g} s a user turn and {pace.call_seconds:g} s a call.",
        "Every model is charged for the recorded answers.",
        "Modelled risk is the stake times the predicted chance of a badly served segment; nobody measured it.",
        "Single turn takes the best model at every call and ignores locks; a switch where a lock holds is unsafe.",
    ]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}"
