"""`session-router replay`: what would the router have done to recorded sessions?"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 -- typer reads the annotations
from pathlib import Path  # noqa: TC003 -- as above
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from session_router.recordings import Recording
    from session_router.replay import ReplayedCall

BAD_INPUT = 1
INTERRUPTED = 130

KEPT_SESSIONS = 1_000
"""Sessions are replayed one after the other, and each could be forgotten at its end. What all have in common is kept beside them,
though, and written on once a session: fewer places, and sessions in which nothing is priced would push it out."""

REPLAY_KEY = b"session-router replay: no secret"
"""Session identities of a replay leave no process, and the same replay gives the same ids."""


def replay(
    sessions: Annotated[Path, typer.Argument(help="Recorded sessions: one JSON object a line with OpenAI chat messages, plain or gzip.")],
    *,
    config: Annotated[
        Path | None, typer.Option(help="Configuration of the router (.toml, .yaml).", envvar="SESSION_ROUTER_CONFIG", show_envvar=True)
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write one JSON row a call; '-' is standard output, .gz compresses.")] = None,
    lenient: Annotated[bool, typer.Option("--lenient", help="Exit with 0 even if some sessions cannot be replayed.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many sessions.")] = None,
    turn_seconds: Annotated[float, typer.Option(min=0, help="Assumed seconds from an answer to the next user turn.")] = 20.0,
    call_seconds: Annotated[float, typer.Option(min=0, help="Assumed seconds from a call to its answer.")] = 5.0,
    start: Annotated[datetime | None, typer.Option(help="Assumed time (UTC) at which each session begins; today when left out.")] = None,
) -> None:
    """Ask the router before each recorded answer: which model, and why?

    Nothing is sent anywhere, and the configured store is not touched. Exit code 1 when a session could not be
    replayed (the others are), 2 when the replay could not start, 130 when interrupted.
    """
    from session_router.cli.reading import take_sessions
    from session_router.cli.rows import RowFile
    from session_router.cli.summary_table import print_summary
    from session_router.cli.terminal import error_console, output_console
    from session_router.config import load_router
    from session_router.recordings import SessionFile
    from session_router.regret.comparison import Comparison
    from session_router.replay import Pace, Summary, replay_session
    from session_router.stores.memory import MemorySessionStore

    router = load_router(config, store=MemorySessionStore(maximum_sessions=KEPT_SESSIONS), key=REPLAY_KEY)
    pace = Pace(start=posix(start), turn_seconds=turn_seconds, call_seconds=call_seconds)
    file = SessionFile(sessions)
    summary, comparison = Summary(), Comparison(router)
    with RowFile(json, source=sessions) as rows:

        def take(recording: Recording) -> int:
            calls: list[ReplayedCall] = []
            for replayed in replay_session(recording, router, pace=pace):
                if rows.wanted:
                    rows.write(replayed.to_plain())
                calls.append(replayed)
            comparison.add(calls)
            summary.add(calls)
            rows.flush()
            return len(calls)

        bad, stopped = take_sessions(file, take, limit=limit)
    # Rows own standard output when they go there.
    console = error_console() if rows.standard_output else output_console()
    print_summary(console, summary, comparison, pace=pace, bad=bad, stopped=stopped)
    if stopped:
        raise typer.Exit(INTERRUPTED)
    if bad and not lenient:
        raise typer.Exit(BAD_INPUT)


def posix(start: datetime | None) -> float:
    """Return POSIX seconds of `start` (UTC); of today's midnight for none."""
    from datetime import UTC, datetime

    # Midnight, so that two replays of one day give the same rows. Clearances expire by it.
    moment = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) if start is None else start.replace(tzinfo=UTC)
    return moment.timestamp()
