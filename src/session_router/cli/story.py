"""One session of a replay, told turn by turn."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from session_router.cli.offers import assumption_lines, candidate_lines, dollars_of, legend_lines, number_of
from session_router.cli.terminal import escaped
from session_router.cli.words import ACTIONS, DEGRADED, LOCKS, REASONS, in_words, plural
from session_router.core.decision import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from session_router.cli.row_shape import Row

_SWITCHED = {Action.SWITCH.value, Action.FORCED_SWITCH.value}


def tell(console: Console, rows: Sequence[Row], *, turn: int | None) -> None:
    """Print the story of one session.

    Args:
        console: Where.
        rows: All its rows, oldest first; at least one. `row_shape.problem_of` found nothing wrong with them.
        turn: The only turn to tell; `None` for all. The totals cover the turns told.
    """
    told = [row for row in rows if turn is None or row["turn"] == turn]
    first = rows[0]
    facts = [
        f"line {first['line']} of the recording" if first.get("line") else "",
        _named("source", first),
        _named("recorded_model", first),
    ]
    console.print(f"[bold]session {_text(first['session_id'])}[/]")
    console.print(f"[dim]{' · '.join(fact for fact in [*facts, _named('policy', first)] if fact)}[/]")
    at: int | None = None
    for row in told:
        if row["turn"] != at:
            at = row["turn"]
            console.print()
            console.print(f"[bold]turn {at}[/]" if at else "[bold]before anybody typed[/]")
        _tell_call(console, row)
    console.print()
    for line in legend_lines(told):
        console.print(f"[dim]{line}[/]")
    console.print(_totals(told))


def _tell_call(console: Console, row: Row) -> None:
    action, model, previous = row["decision"], row.get("model"), row.get("previous")
    colour = {Action.KEEP.value: "green", Action.REFUSE.value: "red"}.get(action, "yellow")
    moved = f" from {_text(previous)} to {_text(model)}" if action in _SWITCHED else f" on {_text(model)}" if model and previous else ""
    verb = "begins" if action == Action.KEEP.value and not previous else in_words(action, ACTIONS)
    where = f" on {_text(model)}" if verb == "begins" else moved
    console.print(f"  call {row['call']} (message {row['message_index']})  [{colour}]{escaped(verb)}{where}[/]: {escaped(_why(row))}.")
    evidence = row["evidence"]
    for line in [*candidate_lines(row), *assumption_lines(row)]:
        console.print(f"      {line}")
    if waited := number_of(evidence.get("waited")):
        console.print(f"      [dim]waited:[/] {waited:,.1f} s, for a model to be healthy or before one was asked again")
    if found := evidence.get("cache"):
        console.print(f"      {_cache_line(found)}")
    for line in _attack_lines(evidence):
        console.print(f"      {line}")
    if evidence.get("tag"):
        console.print(f"      [dim]governance:[/] {_text(evidence['tag'])}")
    for line in _exposure_lines(evidence):
        console.print(f"      {line}")
    if evidence.get("blocked_by"):
        console.print(f"      [yellow]to be converted or left out:[/] {escaped(', '.join(evidence['blocked_by']))}")
    degraded: list[str] = evidence.get("degraded") or []
    for name in degraded:
        console.print(f"      [yellow]degraded:[/] {escaped(in_words(name, DEGRADED))}")
    console.print(f"      [dim]{_tokens(row)}[/]")


def _cache_line(found: Row) -> str:
    if "hit" not in found:
        waited = ", after waiting for somebody who asked the same" if found.get("waited") else ""
        return f"[dim]cache:[/] no stored answer ({_text(found.get('miss'))}{waited})"
    saved, seconds = number_of(found.get("saved")), number_of(found.get("saved_seconds")) or 0.0
    return (
        f"[dim]cache:[/] {_text(found.get('model'))} answered this {number_of(found.get('age_seconds')) or 0.0:,.0f} s ago "
        f"({_text(found.get('hit'))}); saved {dollars_of(saved)} and {seconds * 1_000:,.0f} ms"
    )


def _exposure_lines(evidence: Row) -> list[str]:
    lines: list[str] = []
    exposures: list[Row] = evidence.get("exposures") or []
    for one in exposures:
        until = number_of(one.get("until"))
        how_long = "for how long is not known" if until is None else f"until {moment_of(until)}"
        lines.append(f"[yellow]still held elsewhere:[/] {_text(one.get('model'))} may have {_text(one.get('tag'))}, {how_long}")
    return lines


def moment_of(seconds: float) -> str:
    """Return a moment as text; POSIX seconds that no calendar has are told as they are."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g}"


def _attack_lines(evidence: Row) -> list[str]:
    lines: list[str] = []
    if alarm := evidence.get("alarm"):
        jump, limit = number_of(alarm.get("jump")) or 0.0, number_of(alarm.get("limit")) or 0.0
        lines.append(
            f"[yellow]alarm:[/] without its {_text(alarm.get('window'))} the text asks for a dearer model by {jump:.2f} less "
            f"(alarm above {limit:.2f}); the rest was scored"
        )
    watched: Row = evidence.get("upgrades") or {}
    if watched.get("asked"):
        given = "[yellow]not given[/]" if watched.get("capped") else "given"
        whose: dict[str, Row] = {name: watched.get(name) or {} for name in ("session", "principal")}
        capped = ", ".join(f"{name} capped for {one['capped']:,} more" for name, one in whose.items() if one.get("capped"))
        lines.append(f"upgrade to {_text(watched.get('asked_for'))} {given}{f' ({capped})' if capped else ''}")
    return lines


def _why(row: Row) -> str:
    lock, reason = row.get("lock"), in_words(row["reason"], REASONS)
    if not lock:
        return reason
    holder = lock.get("model") or "the session's model"
    waiting = f", {lock['waiting_for']} open" if lock.get("waiting_for") else ""
    return f"{reason} ({holder}: {in_words(str(lock.get('kind')), LOCKS)}{waiting})"


def _tokens(row: Row) -> str:
    counts = row.get("tokens")
    if counts is None:
        return f"{row['evidence'].get('tokens') or 0} tokens estimated"
    how = "recorded" if row.get("tokens_measured") else "estimated"
    return f"{counts.get('input') or 0} tokens in, {counts.get('output') or 0} out ({how}); {dollars_of(row.get('dollars'))} estimated"


def _totals(rows: Sequence[Row]) -> str:
    locked = sum(bool(row.get("lock")) for row in rows)
    switches = sum(row["decision"] in _SWITCHED for row in rows)
    refused = sum(row["decision"] == Action.REFUSE.value for row in rows)
    dollars = sum(number_of(row.get("dollars")) or 0.0 for row in rows)
    models = {row["model"] for row in rows if row.get("model")}
    by_model = ", ".join(f"{name}: {sum(row.get('model') == name for row in rows)}" for name in sorted(map(str, models)))
    counts = f"{plural(len(rows), 'call')} ({by_model}), {locked} locked, {plural(switches, 'switch')}, {refused} refused"
    return f"[bold]in all[/] {escaped(counts)}; about {dollars_of(dollars)}"


def _named(name: str, row: Row) -> str:
    return f"{name.replace('_', ' ')} {_text(row[name])}" if row.get(name) else ""


def _text(value: object) -> str:
    return escaped(str(value))
