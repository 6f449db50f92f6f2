"""Draws the lock machine from its table: a Mermaid diagram, and the table itself.

    python tools/draw_locks.py

rewrites what stands between the `drawn` comments of `docs/explanation/locks.md`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from session_router.core.boundary import TRANSITIONS, Event, Phase

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    Table = Mapping[Phase, Mapping[Event, Phase]]

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "explanation" / "locks.md"
BOUNDARIES: Final = frozenset({Phase.OPEN, Phase.FINAL})
"""Phases without a lock; a test asks `find_lock` whether that is so."""

_DRAWN: Final = re.compile(r"(<!-- drawn: (\w+) -->\n).*?(<!-- /drawn -->)", re.DOTALL)


def mermaid(transitions: Table, *, boundaries: Collection[Phase] = BOUNDARIES) -> str:
    """Draw `transitions` as a Mermaid state diagram.

    Events that lead to one phase from everywhere leave a box of their own, and events that change no phase are not
    drawn: the rest is readable.

    Args:
        transitions: The next phase by phase and event.
        boundaries: Phases at which the model may change.
    """
    everywhere = {event: targets.pop() for event in Event if len(targets := {row.get(event) for row in transitions.values()}) == 1}
    edges = defaultdict[tuple[str, str], list[str]](list)
    for event, target in everywhere.items():
        if target is not None:
            edges["anywhere", target.value].append(event.value)
    for phase, row in transitions.items():
        for event, target in row.items():
            if event not in everywhere and target is not phase:
                edges[phase.value, target.value].append(event.value)
    lines = ["stateDiagram-v2", '    state "any phase" as anywhere', f"    [*] --> {Phase.OPEN.value}"]
    lines += [f"    {start} --> {end} : {', '.join(events)}" for (start, end), events in edges.items()]
    locked = ", ".join(phase.value for phase in transitions if phase not in boundaries)
    lines += ["    classDef locked stroke-width:3px", f"    class {locked} locked"]
    return "\n".join(lines)


def table(transitions: Table) -> str:
    """Write `transitions` as a Markdown table: a row a phase, a column an event, in the order of the code."""
    events = [event for event in Event if any(event in row for row in transitions.values())]
    head = ["phase", *(f"`{event.value}`" for event in events)]
    rows = [[f"**{phase.value}**", *(row[event].value if event in row else "-" for event in events)] for phase, row in transitions.items()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def redrawn(text: str, transitions: Table = TRANSITIONS) -> str:
    """Return the page `text` with everything that is drawn drawn anew.

    Raises:
        KeyError: A comment names something that nobody draws.
    """
    drawings = {"diagram": f"```mermaid\n{mermaid(transitions)}\n```", "table": table(transitions)}
    return _DRAWN.sub(lambda match: f"{match[1]}\n{drawings[match[2]]}\n\n{match[3]}", text)


if __name__ == "__main__":
    PAGE.write_text(redrawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
