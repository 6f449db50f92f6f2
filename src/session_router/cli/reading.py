"""Takes the sessions of a file one by one, and says what went wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from session_router.cli.progress import Progress
from session_router.cli.terminal import error_console, escaped
from session_router.errors import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_router.recordings import Recording, SessionFile

SHOWN_ERRORS = 20


def take_sessions(file: SessionFile, take: Callable[[Recording], int], *, limit: int | None = None) -> tuple[int, str]:
    """Hand every session to `take`.

    Args:
        file: The sessions.
        take: Replays one session and returns the number of its calls.
        limit: Stop after this many sessions that have a call.

    Returns:
        Number of sessions that could not be read; and where an interrupt came, or an empty text.
    """
    console = error_console()
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
                at = f"in the session of line {item.line}"
                taken = take(item)
                at = f"after the session of line {item.line}"
                calls, sessions = calls + taken, sessions + bool(taken)
                progress.show(file.position, calls)
                if sessions == limit:
                    break
        except KeyboardInterrupt:
            return bad, at
    if bad > SHOWN_ERRORS:
        console.print(f"[red]error:[/] and {bad - SHOWN_ERRORS:,} more sessions that cannot be replayed.")
    return bad, ""
