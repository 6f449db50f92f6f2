"""The diagram in the documentation is drawn from the code's table."""

from __future__ import annotations

import pytest

import draw_locks
from session_router.core.boundary import TRANSITIONS, Event, Phase, Position, find_lock
from session_router.core.step import Ask, AskKind, Role, Step
from session_router.core.transcript import Transcript

HISTORIES: dict[Phase, tuple[Step, ...]] = {}


def step(role: Role, **fields: object) -> Step:
    return Step(role=role, digest=b"0" * 16, tokens=1, **fields)  # type: ignore[arg-type]


HUMAN = step(Role.HUMAN)
ASKED = step(Role.AI, asks=(Ask(id="1"),))
HISTORIES |= {
    Phase.OPEN: (HUMAN,),
    Phase.ASKED: (HUMAN, ASKED),
    Phase.ANSWERED: (HUMAN, ASKED, step(Role.TOOL, answers=("1",))),
    Phase.INVALID: (HUMAN, step(Role.AI, asks=(Ask(id="1", kind=AskKind.INVALID_CALL),))),
    Phase.PAUSED: (HUMAN, step(Role.AI, asks=(Ask(id="1", kind=AskKind.SERVER_TOOL),))),
    Phase.PARTIAL: (HUMAN, step(Role.AI, partial=True)),
    Phase.FINAL: (HUMAN, step(Role.AI)),
}


def test_page_shows_the_table_of_the_code() -> None:
    text = draw_locks.PAGE.read_text(encoding="utf-8")
    assert text.count("<!-- drawn: ") == 2
    assert draw_locks.redrawn(text) == text, "run tools/draw_locks.py"


def test_page_of_another_table_differs() -> None:
    text = draw_locks.PAGE.read_text(encoding="utf-8")
    other = {phase: dict(row) for phase, row in TRANSITIONS.items()}
    other[Phase.ASKED][Event.HUMAN] = Phase.ASKED
    assert draw_locks.redrawn(text, other) != text


def test_diagram_draws_every_change() -> None:
    lines = draw_locks.mermaid(TRANSITIONS).splitlines()
    drawn: dict[tuple[str, str], str] = {}
    for line in lines:
        arrow, _, events = line.strip().partition(" : ")
        if events:
            start, end = arrow.split(" --> ")
            drawn |= {(start, event): end for event in events.split(", ")}
    for phase, row in TRANSITIONS.items():
        for event, target in row.items():
            shown = drawn.get((phase.value, event.value)) or drawn.get(("anywhere", event.value)) or phase.value
            assert shown == target.value, (phase, event)


@pytest.mark.parametrize("phase", Phase)
def test_thick_borders_are_locks(phase: Phase) -> None:
    history = Transcript().extended(HISTORIES[phase])
    position: Position = history.position
    assert position.phase is phase
    assert (find_lock(history) is None) == (phase in draw_locks.BOUNDARIES)
    locked = next(line for line in draw_locks.mermaid(TRANSITIONS).splitlines() if line.strip().startswith("class "))
    assert (phase.value in locked) == (phase not in draw_locks.BOUNDARIES)
