"""What an audit log says, for people."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from rich.table import Table

from session_router.cli.terminal import escaped
from session_router.cli.words import plural

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from session_router.audit.erasing import Erasure
    from session_router.audit.lines import Line
    from session_router.audit.reading import Verification

SHOWN_PROBLEMS = 20


def print_verification(console: Console, found: Verification, path: Path) -> None:
    """Say what was found."""
    said = [plural(found.records, "record"), f"{found.erased:,} erased", plural(len(found.notes), "note")]
    console.print(f"{escaped(str(path))}: {', '.join(said)}.")
    if found.head is not None:
        newer = f", and {plural(found.newer, 'line')} newer than it" if found.newer else ""
        console.print(f"The head was signed at {moment(found.head.at)} over {plural(found.head.count, 'line')}{newer}.")
    if found.torn:
        console.print(
            f"[yellow]{plural(found.torn, 'byte')} behind the last line:[/] a writer died, or is at work; the next one sees to it."
        )
    for note in found.notes:
        if note.get("event") == "recovered":
            kept = escaped(str(note.get("kept")))
            console.print(f"[yellow]a writer died in the middle of a line;[/] its {note.get('bytes')} bytes are kept in {kept}.")
    for problem in found.problems[:SHOWN_PROBLEMS]:
        console.print(f"[red]{escaped(str(problem))}[/]")
    if len(found.problems) > SHOWN_PROBLEMS:
        console.print(f"[red]and {len(found.problems) - SHOWN_PROBLEMS:,} more.[/]")
    if found.head is None and not found.records and found.problems:
        console.print("[yellow]No line fits this key: is it the log's?[/]")
    if found.sound:
        console.print("[green]Every line is as it was written, and none is missing.[/]")
    else:
        console.print(f"[red bold]The log is not as it was written: {plural(len(found.problems), 'problem')}.[/]")


def verification_row(found: Verification) -> str:
    """Return what was found as one line of JSON."""
    return json.dumps(
        {
            "sound": found.sound,
            "records": found.records,
            "erased": found.erased,
            "notes": list(found.notes),
            "newer": found.newer,
            "torn": found.torn,
            "head": None if found.head is None else {"count": found.head.count, "digest": found.head.digest, "at": found.head.at},
            "problems": [{"fault": one.fault.value, "line": one.line, "detail": one.detail} for one in found.problems],
        }
    )


def print_lines(console: Console, lines: Sequence[Line]) -> None:
    """Print lines as a table."""
    if not lines:
        console.print("there are no such records.")
        return
    table = Table()
    table.add_column("number", justify="right")
    for column in ("written", "what", "model", "why", "label"):
        table.add_column(column, overflow="fold")
    table.add_column("whose", overflow="fold")
    for line in lines:
        table.add_row(f"{line.sequence:,}", moment(line.at), *map(escaped, _cells(line)))
    console.print(table)


def print_erasure(console: Console, erasure: Erasure, *, sound: bool) -> None:
    """Say what was erased, and what is not ours to erase."""
    console.print(f"What led back to this subject is erased from {plural(len(erasure.sequences), 'record')}.")
    for one in erasure.exposures:
        where = f" at {escaped(one.endpoint)}" if one.endpoint else ""
        until = "for how long is not known" if one.until is None else f"until {moment(one.until)}"
        console.print(f"[yellow]{escaped(one.model)}{where} may still hold what {plural(one.calls, 'call')} sent, {until}.[/]")
    if erasure.sequences and not erasure.exposures:
        console.print("By what their clearances say, no provider holds anything of these calls any more.")
    if sound:
        console.print("[green]The log still verifies.[/]")
    else:
        console.print("[red bold]The log is not as it was written;[/] see `session-router audit verify`.")


def moment(seconds: float) -> str:
    """Write POSIX seconds as UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _cells(line: Line) -> tuple[str, str, str, str, str]:
    if line.note is not None:
        return f"(the log: {line.note.get('event')})", "", str(line.note.get("why") or ""), "", ""
    record = line.record()
    previous, model = record.get("previous") or record.get("chosen"), record.get("model")
    moved = f"{previous} -> {model}" if previous and model and previous != model else str(model or "")
    what = str(record.get("decision") or record.get("event") or "")
    why = str(record.get("reason") or record.get("why") or record.get("error") or _answer(record))
    whose = "(erased)" if line.erased else _short(record.get("session"))
    return what, moved, why, _label(record), whose


def _answer(record: dict[str, Any]) -> str:
    """Say who answered, by the provider's own id, and what it took."""
    tokens: object = record.get("tokens")
    # A record may hold anything.
    counted = cast("dict[str, object]", tokens) if isinstance(tokens, dict) else {}
    told = [str(record.get("returned") or ""), *(f"{counted[name]} {name}" for name in ("input", "cached", "output") if counted.get(name))]
    return ", ".join(one for one in told if one)


def _label(record: dict[str, Any]) -> str:
    evidence: object = record.get("evidence")
    # A record may hold anything.
    tag = cast("dict[str, object]", evidence).get("tag") if isinstance(evidence, dict) else None
    return str(tag or "").removeprefix("data labelled ")


def _short(name: object) -> str:
    return f"{name[:12]}..." if isinstance(name, str) and len(name) > 16 else str(name or "")  # noqa: PLR2004 -- as wide as the column
