"""The end of the demo: the same sessions by other ways of routing, side by side, and what the numbers say."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table
from rich.text import Text

from session_router_demo.report import WIDTH

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

    from session_router_demo.sessions import DemoSession
    from session_router_demo.totals import Totals

ROUTER: Final = "session-router"
SINGLE_TURN: Final = "single turn"
ALWAYS_STRONG: Final = "always strong"


def print_comparison(console: Console, runs: Mapping[str, Totals], sessions: Sequence[DemoSession], *, stake: float) -> None:
    """Print the runs side by side.

    Args:
        console: Where.
        runs: The totals by the way of routing; those named in this module.
        sessions: What was played in each run.
        stake: US dollars that a badly served turn costs.
    """
    console.print()
    console.print(Text("The same sessions again, by other ways of routing", "bold"))
    console.print(_table(runs, sessions))
    console.print()
    for finding in _findings(runs, sessions):
        _print_wrapped(console, f"- {finding}", "", subsequent="  ")
    console.print()
    for note in _notes(stake):
        _print_wrapped(console, note, "dim")


def print_totals(console: Console, totals: Totals) -> None:
    """Print the totals of one run alone."""
    rows = totals.rows
    console.print()
    console.print(
        Text.assemble(
            ("in all ", "bold"),
            f"{len(rows)} calls in {len(totals.turns)} turns, ${totals.dollars():.5f}, {totals.cached_share:.0%} of the input from caches, "
            f"{totals.changes_between_turns} model changes between turns, {totals.changes_inside_loops} inside tool loops",
        ),
        soft_wrap=True,
    )
    console.print(Text("Single turn and always strong were not played: they would spend your money again.", "dim"), soft_wrap=True)


def _table(runs: Mapping[str, Totals], sessions: Sequence[DemoSession]) -> Table:
    table = Table(box=box.ASCII2, show_edge=False, pad_edge=False, header_style="bold", min_width=80)
    table.add_column("")
    for name in runs:
        table.add_column(name, justify="right", style="bold" if name == ROUTER else "", min_width=16)

    def add(title: str, value: str, *others: str) -> None:
        table.add_row(title, value, *others)

    totals = list(runs.values())
    add("turns answered", *(f"{one.answered} of {len(one.turns)}" for one in totals))
    add("provider errors (HTTP 4xx)", *(_bad(len(one.refused)) for one in totals))
    add("model changes inside tool loops", *(_bad(one.changes_inside_loops) for one in totals))
    add("model changes between turns", *(str(one.changes_between_turns) for one in totals))
    add("turns answered from the cache", *(str(len(one.replayed)) for one in totals))
    add("input from prompt caches", *(f"{one.cached_share:.0%}" for one in totals))
    table.add_section()
    for session in sessions:
        add(f"dollars: {session.title}", *(_of_session(one, session.id) for one in totals))
    add("dollars, all calls", *(f"{one.dollars():.4f}" for one in totals))
    add("dollars per answered turn", *(f"{one.dollars() / one.answered:.4f}" if one.answered else "-" for one in totals))
    table.add_section()
    add("predicted risk in dollars", *(f"{one.risk:.4f}" for one in totals))
    add("dollars and risk", *(f"{one.dollars() + one.risk:.4f}" for one in totals))
    return table


def _bad(count: int) -> str:
    return f"[red]{count}[/]" if count else "0"


def _of_session(totals: Totals, session: str) -> str:
    lost = totals.lost_in(session)
    return f"{f'({lost} lost) ' if lost else ''}{totals.dollars(session):.4f}"


def _findings(runs: Mapping[str, Totals], sessions: Sequence[DemoSession]) -> list[str]:
    ours, single, strong = runs[ROUTER], runs[SINGLE_TURN], runs[ALWAYS_STRONG]
    lines: list[str] = []
    difference = 1 - ours.dollars() / strong.dollars() if strong.dollars() else 0.0
    more = ours.dollars() + ours.risk - strong.dollars() - strong.risk
    lines.append(
        f"Beside always strong, session-router spent {abs(difference):.0%} {'less' if difference >= 0 else 'more'} "
        f"and {'added' if ours.risk >= strong.risk else 'saved'} ${abs(ours.risk - strong.risk):.4f} of predicted risk: in sum "
        f"${abs(more):.4f} {'more' if more > 0 else 'less'}."
    )
    if hits := ours.replayed:
        saved, seconds = sum(hit.answer.cost for hit in hits), sum(hit.answer.seconds for hit in hits)
        lines.append(
            f"{len(hits)} of {len(ours.turns)} turns {'was' if len(hits) == 1 else 'were'} answered from the cache: "
            f"${saved:.5f} and {seconds * 1_000:,.0f} ms of waiting for a model were saved, by what the stored answers had taken."
        )
    if refused := single.refused:
        first = refused[0]
        lines.append(
            f"Single turn changed models {single.changes_inside_loops} times inside tool loops, and lost "
            f"{len(single.turns) - single.answered} of {len(single.turns)} turns to provider errors. The first one, in "
            f'{first.session}, turn {first.turn}, call {first.call}: "{_shortened(first.bill.error)}"'
        )
    cheaper = [one.title for one in sessions if single.dollars(one.id) < ours.dollars(one.id)]
    if cheaper:
        lines.append(
            f"Single turn paid less for its calls in {len(cheaper)} of {len(sessions)} sessions ({'; '.join(cheaper)}). A turn that is "
            "lost is not paid for to its end; compare the dollars with the turns answered."
        )
    return lines


def _print_wrapped(console: Console, text: str, style: str, *, subsequent: str = "") -> None:
    for line in textwrap.wrap(text, WIDTH, subsequent_indent=subsequent):
        console.print(Text(line, style), soft_wrap=True)


def _shortened(text: str) -> str:
    return textwrap.shorten(text, 150, placeholder=" ...")


def _notes(stake: float) -> tuple[str, str]:
    risk = (
        "Every figure is from the books of the simulated providers, except risk: that is the stake, "
        f"${stake:.2f} for a badly served turn, times the chance that the scorer predicts, or times 1 for a turn without an answer. The "
        "scorer guesses by length and keywords; nobody measured the quality."
    )
    single_turn = (
        "Single turn: the same scorer, prices and stake, but each request judged by its last message alone, without session, locks, "
        "warm caches or converted histories."
    )
    return risk, single_turn
