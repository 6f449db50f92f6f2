"""The distance to the optimum, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from session_router.cli.closing import print_left_out
from session_router.cli.terminal import escaped
from session_router.cli.words import plural
from session_router.regret.routings import ROUTER
from session_router.regret.timeline import OPTIMUM

if TYPE_CHECKING:
    from rich.console import Console

    from session_router.cli.reading import Taken
    from session_router.regret import Bill, Figures, Report


def print_regret(console: Console, report: Report, *, taken: Taken) -> None:
    """Print what an evaluation found.

    Args:
        console: Where.
        report: The numbers.
        taken: What became of the sessions.
    """
    total = report.total
    print_left_out(console, taken, empty=not total.sessions)
    if not total.sessions:
        return
    counts = ", ".join((plural(total.sessions, "session"), plural(total.segments, "segment"), plural(total.calls, "call")))
    console.print(_routings(f"Beside the optimum: {counts} (US dollars, estimated)", total, handoffs=report.terms.handoff > 0))
    if len(report.sources) > 1:
        console.print(_sources(report))
    for line in [*_farthest(report), *_assumptions(report)]:
        console.print(f"[dim]{line}[/]")


def _routings(title: str, figures: Figures, *, handoffs: bool) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("routing", overflow="fold", min_width=len(ROUTER))
    for column in ("calls $", "risk $", *(["handoffs $"] if handoffs else []), "sum $", "/ optimum", "regret $"):
        table.add_column(column, justify="right")
    for column in ("switches", "unsafe", "cannot serve"):
        table.add_column(column, justify="right")
    table.add_row(OPTIMUM, *_amounts(figures.optimum, handoffs=handoffs), _ratio(1.0), "", *_counts(figures.optimum), end_section=True)
    for name, bill in figures.routings.items():
        distance = (_ratio(figures.ratio(name)), f"{figures.regret(name):,.4f}")
        style = "bold" if name == ROUTER else ""
        table.add_row(escaped(name), *_amounts(bill, handoffs=handoffs), *distance, *_counts(bill), style=style)
    return table


def _amounts(bill: Bill, *, handoffs: bool) -> list[str]:
    amounts = [bill.dollars, bill.risk, *([bill.handoffs] if handoffs else []), bill.total]
    return [f"{amount:,.4f}" for amount in amounts]


def _counts(bill: Bill) -> tuple[str, str, str]:
    unsafe = f"[red]{bill.unsafe_switches:,}[/]" if bill.unsafe_switches else "0"
    return f"{bill.switches:,}", unsafe, f"{bill.impossible:,}"


def _sources(report: Report) -> Table:
    table = Table(title="By source: the sum over that of the optimum", title_justify="left")
    table.add_column("source", overflow="fold")
    for column in ("sessions", "calls", "optimum $"):
        table.add_column(column, justify="right")
    for name in report.total.routings:
        table.add_column(escaped(name), justify="right", style="bold" if name == ROUTER else "")
    for source, figures in report.sources.items():
        counts = (f"{figures.sessions:,}", f"{figures.calls:,}", f"{figures.optimum.total:,.4f}")
        table.add_row(escaped(source) or "(unknown)", *counts, *(_ratio(figures.ratio(name)) for name in report.total.routings))
    return table


def _farthest(report: Report) -> list[str]:
    if report.timeline is None:
        return []
    session = report.timeline.session
    name = f"{escaped(session.recording.session_id)} (line {session.recording.line})"
    router, optimum = session.figures.routings[ROUTER].total, session.figures.optimum.total
    return [f"Session {name}: router ${router:,.4f}, optimum ${optimum:,.4f}, regret ${session.figures.regret(ROUTER):,.4f}."]


def _assumptions(report: Report) -> list[str]:
    total, pace = report.total, report.pace
    lines = [
        "The optimum knows the whole session and keeps every lock; only a routing that breaks locks or cannot serve calls can cost less.",
        f"Tokens were recorded for {total.measured:,} of {total.calls:,} calls; elsewhere they are estimated. Cached tokens always are.",
        "Every routing, the optimum included, is charged by the same rules, for the recorded answers.",
        f"Risk is the stake, ${report.terms.stake:,g}, times the chance of a badly served segment: "
        + ("measured." if report.chances_measured else "predicted, not measured."),
    ]
    if pace is not None:
        lines.append(f"Assumed times: {pace.turn_seconds:g} s a user turn, {pace.call_seconds:g} s a call.")
    if total.refused:
        lines.append(f"Left out: {plural(total.refused, 'call')} that nobody may or can serve.")
    return lines


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4f}"
