"""`session-router regret`: how far from the best possible is the router?"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 -- typer reads the annotations
from pathlib import Path  # noqa: TC003 -- as above
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from session_router.recordings import Recording
    from session_router.regret import Report

STAKE_VARIABLE = "SESSION_ROUTER__POLICY__STAKE"


def regret(  # noqa: PLR0913 -- each is one option
    sessions: Annotated[Path, typer.Argument(help="Recorded sessions: one JSON object a line with OpenAI chat messages, plain or gzip.")],
    *,
    config: Annotated[
        Path | None, typer.Option(help="Configuration of the router (.toml, .yaml).", envvar="SESSION_ROUTER_CONFIG", show_envvar=True)
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with charts: one file of HTML that needs nothing else.")] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="Write one JSON row a session, and the whole report as the last; '-' is standard output, .gz compresses."),
    ] = None,
    session: Annotated[str | None, typer.Option(help="Tell this session call by call; else the one with the largest regret.")] = None,
    stake: Annotated[float | None, typer.Option(min=0, help="US dollars that a badly served segment costs; else the policy's.")] = None,
    lenient: Annotated[bool, typer.Option("--lenient", help="Exit with 0 even if some sessions cannot be replayed.")] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many sessions.")] = None,
    turn_seconds: Annotated[float, typer.Option(min=0, help="Assumed seconds from an answer to the next user turn.")] = 20.0,
    call_seconds: Annotated[float, typer.Option(min=0, help="Assumed seconds from a call to its answer.")] = 5.0,
    start: Annotated[datetime | None, typer.Option(help="Assumed time (UTC) at which each session begins; today when left out.")] = None,
) -> None:
    """Set the router beside the cheapest routing that the locks allow, found by looking at the whole session.

    Nothing is sent anywhere, and the configured store is not touched. Exit code 1 when a session could not be
    replayed (the others are), 2 when the command could not start or there is no such session, 130 when interrupted.
    """
    import os

    from session_router.cli.reading import take_sessions
    from session_router.cli.regret_table import print_regret
    from session_router.cli.replay import BAD_INPUT, INTERRUPTED, KEPT_SESSIONS, REPLAY_KEY, posix
    from session_router.cli.rows import RowFile
    from session_router.cli.terminal import error_console, output_console
    from session_router.config import load_router
    from session_router.errors import ConfigurationError
    from session_router.recordings import SessionFile
    from session_router.regret import Evaluation
    from session_router.replay import Pace, replay_session
    from session_router.stores.memory import MemorySessionStore

    # Through the environment, so that the router decides by it too and everything else is checked against it.
    environment = dict(os.environ) if stake is None else {**os.environ, STAKE_VARIABLE: repr(stake)}
    router = load_router(config, store=MemorySessionStore(maximum_sessions=KEPT_SESSIONS), key=REPLAY_KEY, environment=environment)
    pace = Pace(start=posix(start), turn_seconds=turn_seconds, call_seconds=call_seconds)
    file = SessionFile(sessions)
    _check_page(html, sessions)
    evaluation = Evaluation(router, session=session, pace=pace)
    with RowFile(json, source=sessions) as rows:

        def take(recording: Recording) -> int:
            calls = list(replay_session(recording, router, pace=pace))
            found = evaluation.add(calls)
            if found is not None and rows.wanted:
                rows.write({"kind": "session", **found.to_plain()})
                rows.flush()
            return len(calls)

        bad, stopped = take_sessions(file, take, limit=limit)
        report = evaluation.report()
        if rows.wanted:
            rows.write({"kind": "report", **report.to_plain()})
    # Rows own standard output when they go there.
    print_regret(error_console() if rows.standard_output else output_console(), report, bad=bad, stopped=stopped)
    if html is not None:
        _write_page(html, report)
    if stopped:
        raise typer.Exit(INTERRUPTED)
    if session is not None and report.timeline is None:
        raise ConfigurationError(key="--session", value=session, rule="no session that was replayed is called so.")
    if bad and not lenient:
        raise typer.Exit(BAD_INPUT)


def _check_page(path: Path | None, source: Path) -> None:
    """Refuse, before the work begins, a page that could not be written at its end."""
    from session_router.errors import ConfigurationError

    if path is None:
        return
    if path.exists() and path.samefile(source):
        raise ConfigurationError(key="--html", value=str(path), rule="it is the file of the sessions; name another.")
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigurationError(key="--html", value=str(path), rule="name a file in a directory that is there.")


def _write_page(path: Path, report: Report) -> None:
    from session_router.errors import ConfigurationError
    from session_router.regret.page import render

    try:
        path.write_text(render(report.to_plain()), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(key="--html", value=str(path), rule=f"it cannot be written ({error.strerror or error}).") from None
