"""`session-router replay`: what would the router have done to recorded sessions?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from session_router.cli.options import ASSUMED, CallSeconds, Configuration, Lenient, Limit, MaybeSessions, Start, TurnSeconds
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.recordings import Recording
    from session_router.replay import ReplayedCall


def replay(  # noqa: PLR0913 -- one argument an option
    sessions: MaybeSessions = None,
    *,
    from_otlp: Annotated[
        Path | None, typer.Option(help="Read the sessions from exported traces instead: OTLP as JSON, plain or gzip.")
    ] = None,
    config: Configuration = None,
    json: Annotated[Path | None, typer.Option(help="Write one JSON row a call; '-' is standard output, .gz compresses.")] = None,
    lenient: Lenient = False,
    limit: Limit = None,
    turn_seconds: TurnSeconds = ASSUMED.turn_seconds,
    call_seconds: CallSeconds = ASSUMED.call_seconds,
    start: Start = None,
) -> None:
    """Ask the router before each recorded answer: which model, and why?

    Nothing is sent anywhere, and the configured store is not touched. Exit code 1 when a session could not be
    replayed (the others are), 2 when the replay could not start, 130 when interrupted.
    """
    from session_router.cli.closing import leave
    from session_router.cli.offline import offline_router, pace_of, stored_answers
    from session_router.cli.outputs import check_outputs
    from session_router.cli.reading import take_sessions
    from session_router.cli.rows import ROWS, RowFile, file_of_rows
    from session_router.cli.stored_table import print_stored
    from session_router.cli.summary_table import print_summary
    from session_router.cli.terminal import error_console, output_console
    from session_router.recordings import SessionFile, TraceFile
    from session_router.regret.comparison import Comparison
    from session_router.replay import RecordedNeeds, Summary, replay_session

    source = sessions or from_otlp
    if source is None or (sessions is not None and from_otlp is not None):
        raise ConfigurationError(
            key="SESSIONS", value=None if source is None else str(source), rule="name one file, or `--from-otlp FILE`."
        )
    check_outputs({ROWS: file_of_rows(json)}, sessions=source, config=config)
    router = offline_router(config)
    pace = pace_of(start, turn_seconds=turn_seconds, call_seconds=call_seconds)
    file = TraceFile(source) if sessions is None else SessionFile(source)
    scorer = router.scorer
    # Traces hold no words that a cache could compare.
    stored = None if sessions is None else stored_answers(config, router)
    summary, comparison = Summary(), Comparison(router)
    with RowFile(json) as rows:

        def take(recording: Recording) -> int:
            calls: list[ReplayedCall] = []
            # Traces hold no words that a scorer could read.
            router.scorer = RecordedNeeds(recording.needs, scorer) if recording.needs else scorer
            for replayed in replay_session(recording, router, pace=pace):
                hit = None if stored is None else stored.show(replayed)
                if rows.wanted:
                    rows.write(replayed.to_plain() | ({} if hit is None else {"stored": hit.to_plain()}))
                calls.append(replayed)
            comparison.add(calls)
            summary.add(calls)
            rows.flush()
            return len(calls)

        taken = take_sessions(file, take, limit=limit)
    # Rows own standard output when they go there.
    console = error_console() if rows.standard_output else output_console()
    print_summary(console, summary, comparison, pace=pace, taken=taken)
    if stored is not None and summary.calls:
        print_stored(console, stored)
    leave(taken, lenient=lenient)
