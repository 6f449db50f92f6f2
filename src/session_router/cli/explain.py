"""`session-router explain`: the story of one session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from session_router.cli.row_shape import Row

REMEMBERED_SESSIONS = 50_000
"""Names that near matches are looked for in."""


def explain(
    rows: Annotated[Path, typer.Argument(help="Rows that `session-router replay --json` wrote, plain or gzip.")],
    *,
    session: Annotated[str, typer.Option(help="Whose story: its session_id.")],
    turn: Annotated[int | None, typer.Option(min=0, help="Tell this turn only; 0 is what came before anybody typed.")] = None,
) -> None:
    """Tell the story of one session: which model answered each call, and why.

    Exit code 1 when some rows could not be read (they are left out), 2 when there is no such session or turn.
    """
    from session_router.cli.exit_codes import BAD_INPUT
    from session_router.cli.story import tell
    from session_router.cli.terminal import error_console, escaped, output_console
    from session_router.errors import ConfigurationError

    stories, names, bad = _read(rows, session)
    errors = error_console()
    for text in bad:
        errors.print(f"[red]error:[/] {escaped(text)}")
    if not stories:
        raise ConfigurationError(key="--session", value=session, rule=_near(session, names), source=str(rows))
    turns = sorted({row["turn"] for story in stories.values() for row in story})
    if turn is not None and turn not in turns:
        rule = f"the session has the turns {', '.join(map(str, turns))}."
        raise ConfigurationError(key="--turn", value=turn, rule=rule, source=str(rows))
    console = output_console()
    for number, story in enumerate(stories.values()):
        if number:
            console.print()
        tell(console, story, turn=turn)
    if len(stories) > 1:
        console.print(f"[yellow]{len(stories)} recordings have this session_id;[/] each is told by itself.")
    if bad:
        raise typer.Exit(BAD_INPUT)


def _read(path: Path, session: str) -> tuple[dict[int, list[Row]], set[str], list[str]]:
    """Read the rows of `session` by line of the recording; the names of the others; and what could not be read."""
    from session_router.cli.row_shape import problem_of
    from session_router.errors import RecordingError
    from session_router.recordings.lines import JSONLines

    stories: dict[int, list[Row]] = {}
    names: set[str] = set()
    bad: list[str] = []
    for item in JSONLines(path):
        if isinstance(item, RecordingError):
            bad.append(str(item))
            continue
        line, row = item
        if problem := problem_of(row):
            bad.append(str(RecordingError(problem[1], source=str(path), line=line, place=problem[0])))
        elif row["session_id"] == session:
            recorded = row.get("line")
            stories.setdefault(recorded if isinstance(recorded, int) else 0, []).append(row)
        elif len(names) < REMEMBERED_SESSIONS:
            names.add(str(row["session_id"]))
    return stories, names, bad


def _near(session: str, names: set[str]) -> str:
    import difflib

    if not names:
        return "the file holds no rows of any session."
    containing = sorted(name for name in names if session.lower() in name.lower())[:5]
    near = containing or difflib.get_close_matches(session, sorted(names), n=5, cutoff=0.5)
    listed = near or sorted(names)[:5]
    return f"there is no such session; {'near it are' if near else 'there are, among others,'} {', '.join(map(repr, listed))}."
