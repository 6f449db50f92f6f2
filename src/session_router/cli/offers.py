"""What each candidate was expected to cost, term by term, and what was assumed; in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.cli.terminal import escaped
from session_router.core.decision import Reason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.cli.row_shape import Row

TERMS: Mapping[str, str] = {
    "ingest": "reading what the model has not cached of the history, beyond what reading it cached would cost",
    "loop": "the calls of the segment, from the user's words to the final answer, on a model that has read everything",
    "risk": "the stake times the chance that the segment is served badly",
    "handoff": "the fee for a switch",
    "afterwards": "what is expected to follow the segment in a session that is on this model",
}
"""What the expected dollars are made of. A test sees to it that no term is forgotten."""

EXPECTED = "expected"
_WIDTH = 11


def candidate_lines(row: Row) -> list[str]:
    """Tell every candidate: a table of dollars where the segment was priced, else a line each."""
    candidates: list[Row] = row["evidence"].get("candidates") or []
    width = max((len(str(one.get("model"))) for one in candidates), default=0)
    # A term that is zero is left out of a row; rows of earlier releases have none at all.
    terms = [term for term in TERMS if any(one.get(term) is not None for one in candidates)]
    lines = [_candidate(one, width, terms, chosen=one.get("model") == row.get("model")) for one in candidates]
    if not terms:
        return lines
    heads = "".join(head.rjust(_WIDTH) for head in [*terms, EXPECTED])
    return [f"  {' ' * width}[dim]{heads}  dollars[/]", *lines]


def assumption_lines(row: Row) -> list[str]:
    """Tell what the expected dollars assume, whether predictions were trusted, and what the session has spent."""
    evidence = row["evidence"]
    lines: list[str] = []
    if evidence.get("forecast"):
        lines.append(f"[dim]assumed:[/] {_forecast(evidence['forecast'])}")
    if evidence.get("trusted") is not None:
        lines.append(f"[dim]predictions:[/] {_trust(row, trusted=evidence['trusted'])}")
    if evidence.get("spent"):
        spent, unmoved = evidence["spent"]
        lines.append(f"[dim]expected so far:[/] {dollars_of(spent)} for all segments; {dollars_of(unmoved)} had the session never switched")
    return lines


def legend_lines(rows: Sequence[Row]) -> list[str]:
    """Explain the terms that were told."""
    candidates = [one for row in rows for one in row["evidence"].get("candidates") or ()]
    told = [term for term in TERMS if any(one.get(term) is not None for one in candidates)]
    return [f"{term}: {TERMS[term]}" for term in told]


def _candidate(one: Row, width: int, terms: Sequence[str], *, chosen: bool) -> str:
    name = escaped(str(one.get("model")).ljust(width))
    mark = "[green]*[/]" if chosen else " "
    facts: list[str] = []
    amounts = ""
    if terms and one.get(EXPECTED) is not None:
        amounts = "".join(_amount(one.get(term) or 0.0) for term in terms) + _amount(one[EXPECTED])
    else:
        facts.append(f"{dollars_of(one.get('cost'))} for the call")
        if one.get(EXPECTED) is not None:
            facts.append(f"{dollars_of(one[EXPECTED])} expected")
    if (chance := number_of(one.get("p_success"))) is not None:
        scored = number_of(one.get("scored"))
        said = "" if scored is None else f"; the scorer said {scored:.1%}, and feedback corrects it"
        facts.append(f"{chance:.1%} to serve it well (p_success{said})")
    if (taken := number_of(one.get("propensity"))) is not None:
        facts.append(f"{taken:.1%} to be taken here (exploration)")
    if cached := number_of(one.get("cached")):
        facts.append(f"{cached:,.0f} tokens still cached")
    if one.get("excluded"):
        why = "not cleared" if one.get("uncleared") else "excluded"
        facts.append(f"[red]{why}: {escaped(str(one['excluded']))}[/]")
    return f"{mark} {name}{amounts}  {' · '.join(facts)}"


def _forecast(forecast: Row) -> str:
    calls, growth, output, further, between = (
        number_of(forecast.get(name)) for name in ("calls", "growth", "output", "further", "between")
    )
    parts = [
        f"a segment of {calls:,.1f} calls" if calls is not None else "",
        f"{output:,.0f} output tokens a call" if output is not None else "",
        f"{growth:,.0f} tokens more from call to call" if growth is not None else "",
        f"{further:,.1f} segments after it" if further is not None else "",
        f"{between:,.0f} tokens more from one to the next" if between is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def _trust(row: Row, *, trusted: bool) -> str:
    if trusted:
        return "trusted"
    decided = row["reason"] in {Reason.WORK_FUNCTION.value, Reason.STILL_BEST.value}
    why = "not trusted: too few segments were seen, or they were not like what was predicted"
    return f"{why}; the work function decided" if decided else why


def number_of(value: object) -> float | None:
    """Return a number that a row holds; `None` when it is none."""
    return float(value) if isinstance(value, int | float) else None


def dollars_of(value: object) -> str:
    """Return dollars as text."""
    number = number_of(value)
    return "$?" if number is None else f"${number:,.5f}"


def _amount(value: object) -> str:
    return f"{number_of(value) or 0.0:,.5f}".rjust(_WIDTH)
