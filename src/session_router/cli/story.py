"""One session of a replay, told turn by turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.cli.terminal import escaped
from session_router.cli.words import ACTIONS, DEGRADED, LOCKS, REASONS, in_words
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
    console.print(_totals(told))


def _tell_call(console: Console, row: Row) -> None:
    action, model, previous = row["decision"], row.get("model"), row.get("previous")
    colour = {Action.KEEP.value: "green", Action.REFUSE.value: "red"}.get(action, "yellow")
    moved = f" from {_text(previous)} to {_text(model)}" if action in _SWITCHED else f" on {_text(model)}" if model and previous else ""
    verb = "begins" if action == Action.KEEP.value and not previous else in_words(action, ACTIONS)
    where = f" on {_text(model)}" if verb == "begins" else moved
    console.print(f"  call {row['call']} (message {row['message_index']})  [{colour}]{escaped(verb)}{where}[/]: {escaped(_why(row))}.")
    for line in _candidates(row):
        console.print(f"      {line}")
    evidence = row["evidence"]
    if evidence.get("tag"):
        console.print(f"      [dim]governance:[/] {_text(evidence['tag'])}")
    if evidence.get("blocked_by"):
        console.print(f"      [yellow]to be converted or left out:[/] {escaped(', '.join(evidence['blocked_by']))}")
    degraded: list[str] = evidence.get("degraded") or []
    for name in degraded:
        console.print(f"      [yellow]degraded:[/] {escaped(in_words(name, DEGRADED))}")
    console.print(f"      [dim]{_tokens(row)}[/]")


def _why(row: Row) -> str:
    lock, reason = row.get("lock"), in_words(row["reason"], REASONS)
    if not lock:
        return reason
    holder = lock.get("model") or "the session's model"
    waiting = f", {lock['waiting_for']} open" if lock.get("waiting_for") else ""
    return f"{reason} ({holder}: {in_words(str(lock.get('kind')), LOCKS)}{waiting})"


def _candidates(row: Row) -> list[str]:
    candidates: list[Row] = row["evidence"].get("candidates") or []
    width = max((len(str(one.get("model"))) for one in candidates), default=0)
    return [_candidate(one, width, chosen=one.get("model") == row.get("model")) for one in candidates]


def _candidate(one: Row, width: int, *, chosen: bool) -> str:
    name = escaped(str(one.get("model")).ljust(width))
    mark = "[green]*[/]" if chosen else " "
    facts = [f"{_dollars(one.get('cost'))} for the call"]
    if (chance := _number(one.get("p_success"))) is not None:
        facts.append(f"{chance:.1%} to serve it well (p_success)")
    if one.get("expected") is not None:
        facts.append(f"{_dollars(one['expected'])} expected")
    if cached := _number(one.get("cached")):
        facts.append(f"{cached:,.0f} tokens still cached")
    if one.get("excluded"):
        why = "not cleared" if one.get("uncleared") else "excluded"
        facts.append(f"[red]{why}: {_text(one['excluded'])}[/]")
    return f"{mark} {name}  {' · '.join(facts)}"


def _tokens(row: Row) -> str:
    counts = row.get("tokens")
    if counts is None:
        return f"{row['evidence'].get('tokens') or 0} tokens estimated"
    how = "recorded" if row.get("tokens_measured") else "estimated"
    return f"{counts.get('input') or 0} tokens in, {counts.get('output') or 0} out ({how}); {_dollars(row.get('dollars'))} estimated"


def _totals(rows: Sequence[Row]) -> str:
    locked = sum(bool(row.get("lock")) for row in rows)
    switches = sum(row["decision"] in _SWITCHED for row in rows)
    refused = sum(row["decision"] == Action.REFUSE.value for row in rows)
    dollars = sum(_number(row.get("dollars")) or 0.0 for row in rows)
    models = {row["model"] for row in rows if row.get("model")}
    by_model = ", ".join(f"{name}: {sum(row.get('model') == name for row in rows)}" for name in sorted(map(str, models)))
    counts = f"{_plural(len(rows), 'call')} ({by_model}), {locked} locked, {_plural(switches, 'switch')}, {refused} refused"
    return f"[bold]in all[/] {escaped(counts)}; about {_dollars(dollars)}"


def _plural(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}{'es' if what.endswith('ch') else 's'}"


def _named(name: str, row: Row) -> str:
    return f"{name.replace('_', ' ')} {_text(row[name])}" if row.get(name) else ""


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _dollars(value: object) -> str:
    number = _number(value)
    return "$?" if number is None else f"${number:,.5f}"


def _text(value: object) -> str:
    return escaped(str(value))
