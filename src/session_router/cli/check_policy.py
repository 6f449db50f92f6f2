"""`session-router check-policy`: which labels can go where."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from session_router.cli.options import Configuration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from session_router.core.clearance_check import ClearanceCheck, Label, Verdict


def check_policy(
    file: Annotated[Path | None, typer.Argument(help="The configuration, in place of --config.")] = None,
    *,
    config: Configuration = None,
    at: Annotated[
        datetime | None, typer.Option(help="Look at it at this time (UTC), by which attestations may have ended; else now.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show which labels can go where, which combinations leave nobody, and which models nothing can use.

    Nothing is sent anywhere, and no model is built. Exit code 1 when a model can see nothing, or a label that the policy declares for
    a tool or a source can go nowhere; 2 when the configuration is wrong, here or anywhere else.
    """
    import json as text
    import time

    from session_router.cli.exit_codes import BAD_INPUT
    from session_router.cli.moments import seconds_of
    from session_router.cli.terminal import output_console
    from session_router.config import check_configuration, load_governance
    from session_router.core.clearance_check import check_clearances

    file = config if file is None else file
    policy, clearances = load_governance(file)
    found = check_clearances(clearances, policy, now=time.time() if at is None else seconds_of(at))
    if json:
        typer.echo(text.dumps(found.to_plain(), indent=2))
    else:
        _print(output_console(), found)
    # Whoever checks one part of a file takes the rest for checked.
    check_configuration(file)
    if not found.sound:
        raise typer.Exit(BAD_INPUT)


def _print(console: Console, found: ClearanceCheck) -> None:
    from rich.table import Table

    from session_router.cli.terminal import escaped

    if not found.in_use:
        console.print("No model has a clearance and no label is declared: nobody asks who may see what.")
        return
    table = Table(title="Who may see what", title_justify="left")
    table.add_column("label")
    for name in found.clearances:
        table.add_column(escaped(name), overflow="fold")
    kind = "level"
    for label, verdicts in found.verdicts.items():
        if label.kind != kind:
            table.add_section()
            kind = label.kind
        table.add_row(escaped(_named(label)), *(_cell(verdict) for verdict in verdicts.values()))
    console.print(table)
    _print_combinations(console, found)
    for name, rule in found.unusable.items():
        console.print(f"[red]{escaped(name)} may see nothing:[/] {escaped(rule)}.")
    for label in found.nowhere:
        console.print(f"[red]{escaped(_named(label))} can go nowhere.[/]")
    _print_unlabelled(console, found)
    if found.sound:
        console.print("[green]Every model can be used, and every declared label can go somewhere.[/]")


def _print_unlabelled(console: Console, found: ClearanceCheck) -> None:
    """Say what a first clearance brings with it, and the matrix only hints at: all that nobody labelled is refused."""
    from session_router.core.policy import SOURCES

    declared = {label.name for label in found.verdicts if label.kind == "source"}
    somewhere = any(
        verdict.permitted for label, verdicts in found.verdicts.items() if label.kind == "unlabelled" for verdict in verdicts.values()
    )
    if somewhere or not (left := [source for source in SOURCES if source not in declared]):
        return
    console.print(f"What nobody labelled can go nowhere, and nothing says what comes from {_listed(left)}: such a request is refused.")
    console.print(
        "Label it where it comes from ([policy.sources.NAME]), or say what counts for the rest (policy.unlabelled).", markup=False
    )


def _print_combinations(console: Console, found: ClearanceCheck) -> None:
    from session_router.cli.terminal import escaped

    if not found.unroutable:
        console.print("Every combination of these labels can go somewhere, but for two regions or two tenants at once.")
        return
    console.print("Together, these can go nowhere (and so can two regions, or two tenants, at once):")
    purposes = len({one.purpose for one in found.unroutable}) > 1
    for one in found.unroutable:
        names = escaped(" + ".join(one.labels)) or "any data, even what is public"
        purpose = "" if not purposes else ", for no stated purpose" if one.purpose is None else f", for {escaped(one.purpose)}"
        console.print(f"  {names}{purpose}")
    if found.more:
        console.print("  and more.")


def _named(label: Label) -> str:
    return label.name if label.kind in {"level", "category", "region", "tenant", "unlabelled"} else f"{label.kind} {label.name}"


def _cell(verdict: Verdict) -> str:
    from session_router.cli.terminal import escaped

    if not verdict.permitted:
        return f"[red]no:[/] {escaped(verdict.rule)}"
    return "[green]yes[/]" if verdict.purposes is None else f"[green]for {escaped(_listed(verdict.purposes))}[/]"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
