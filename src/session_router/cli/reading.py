"""Takes the sessions of a file one by one, and says what went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_router.cli.progress import Progress
from session_router.cli.terminal import error_console, escaped
from session_router.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from session_router.recordings import Recording, SessionFile, TraceFile

SHOWN_ERRORS = 20
SHOWN_CHARACTERS = 100

REMEMBERED_SESSIONS = 100_000
"""Names that are remembered, to find those that come again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of the sessions of a file.

    Attributes:
        bad: Sessions that could not be read.
        stopped: Where an interrupt came; empty when none did.
    """

    bad: int
    stopped: str = ""


def take_sessions(file: SessionFile | TraceFile, take: Callable[[Recording], int], *, limit: int | None = None) -> Taken:
    """Hand every session to `take`.

    Args:
        file: The sessions.
        take: Replays one session and returns the number of its calls.
        limit: Stop after this many sessions that have a call.
    """
    console, names = error_console(), _Names()
    bad = sessions = calls = 0
    at = "before the first session"
    with Progress(console, file.size) as progress:
        try:
            for item in file:
                if isinstance(item, RecordingError):
                    bad += 1
                    if bad <= SHOWN_ERRORS:
                        console.print(f"[red]error:[/] {escaped(str(item))}")
                    continue
                names.take(item)
                at = f"in the session of line {item.line}"
                taken = take(item)
                at = f"after the session of line {item.line}"
                calls, sessions = calls + taken, sessions + bool(taken)
                progress.show(file.position, calls)
                if sessions == limit:
                    break
        except KeyboardInterrupt:
            return Taken(bad=bad, stopped=at)
    if bad > SHOWN_ERRORS:
        console.print(f"[red]error:[/] and {bad - SHOWN_ERRORS:,} more sessions that cannot be replayed.")
    names.tell(console)
    return Taken(bad=bad)


class _Names:
    """The names that sessions had so far. Of sessions that have one name nobody knows whether they are one, told twice."""

    def __init__(self) -> None:
        self._lines: dict[str, int] = {}
        self._again = 0
        self._first = ""

    def take(self, item: Recording) -> None:
        name = item.session_id
        if name in self._lines:
            self._again += 1
            shown = name if len(name) <= SHOWN_CHARACTERS else f"{name[:SHOWN_CHARACTERS]}..."
            self._first = self._first or f"{shown!r} in lines {self._lines[name]} and {item.line}"
        elif len(self._lines) < REMEMBERED_SESSIONS:
            self._lines[name] = item.line

    def tell(self, console: Console) -> None:
        first = escaped(self._first)
        if self._again == 1:
            told = f"1 session has the session_id of an earlier one: {first}; it counts"
        elif self._again:
            told = f"{self._again:,} sessions have the session_id of an earlier one, the first of them {first}: each counts"
        else:
            return
        console.print(f"[yellow]{told} as a session of its own.[/]")
