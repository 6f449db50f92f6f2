"""`session-router regret`: how far from the best possible is the router?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from session_router.cli.off_policy import FEEDBACK, evaluate_log
from session_router.cli.options import ASSUMED, CallSeconds, Configuration, Lenient, Limit, Start, TurnSeconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.recordings import Recording

STAKE_VARIABLE = "SESSION_ROUTER__POLICY__STAKE"
PAGE = "--html"


def regret(  # noqa: PLR0913 -- each is one option
    sessions: Annotated[
        Path,
        typer.Argument(
            help="Recorded sessions: one JSON object a line with OpenAI chat messages, plain or gzip; with --feedback, decisions."
        ),
    ],
    *,
    config: Configuration = None,
    feedback: Annotated[
        Path | None,
        typer.Option(
            FEEDBACK, help="What came of decisions that were logged: value the configuration's policy by these, without replaying anything."
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with charts: one file of HTML that needs nothing else.")] = None,
    json: Annotated[
        Path | None,
        typer.Option(help="Write one JSON row a session, and the whole report as the last; '-' is standard output, .gz compresses."),
    ] = None,
    session: Annotated[str | None, typer.Option(help="Tell this session call by call; else the one with the largest regret.")] = None,
    stake: Annotated[float | None, typer.Option(min=0, help="US dollars that a badly served segment costs; else the policy's.")] = None,
    lenient: Lenient = False,
    limit: Limit = None,
    turn_seconds: TurnSeconds = ASSUMED.turn_seconds,
    call_seconds: CallSeconds = ASSUMED.call_seconds,
    start: Start = None,
) -> None:
    """Set the router beside the cheapest routing that the locks allow, found by looking at the whole session.

    With --feedback instead: what would the configuration's policy have been worth at the boundaries that another one logged? Give
    rows of decisions, as `Decision.to_plain` or `replay --json` writes them, and rows with a `decision_id` and `success` in [0, 1].

    Nothing is sent anywhere, and the configured store is not touched. Exit code 1 when a session could not be
    replayed or a row not be read (the others are), 2 when the command could not start, there is no such session or the log says
    nothing about the policy, 130 when interrupted.
    """
    import os
    from dataclasses import replace

    from session_router.cli.closing import leave
    from session_router.cli.offline import offline_router, pace_of
    from session_router.cli.outputs import check_outputs, write_whole
    from session_router.cli.reading import take_sessions
    from session_router.cli.regret_table import print_regret
    from session_router.cli.rows import ROWS, RowFile, file_of_rows
    from session_router.cli.terminal import error_console, output_console
    from session_router.core.checking import DOLLARS_RULE, LARGEST_DOLLARS, check_number
    from session_router.errors import ConfigurationError
    from session_router.recordings import SessionFile
    from session_router.regret import Evaluation
    from session_router.replay import replay_session

    if stake is not None:
        check_number(stake, key="--stake", rule=DOLLARS_RULE, high=LARGEST_DOLLARS)
    # Through the environment, so that the router decides by it too and everything else is checked against it.
    environment = dict(os.environ) if stake is None else {**os.environ, STAKE_VARIABLE: repr(stake)}
    if feedback is not None:
        _check_unused({PAGE: html, "--session": session, "--limit": limit, "--start": start})
        evaluate_log(sessions, feedback, config=config, json=json, lenient=lenient, environment=environment)
        return
    check_outputs({PAGE: html, ROWS: file_of_rows(json)}, sessions=sessions, config=config, whole=[PAGE])
    router = offline_router(config, environment=environment)
    pace = pace_of(start, turn_seconds=turn_seconds, call_seconds=call_seconds)
    file = SessionFile(sessions)
    evaluation = Evaluation(router, session=session, pace=pace)
    with RowFile(json) as rows:

        def take(recording: Recording) -> int:
            calls = list(replay_session(recording, router, pace=pace))
            found = evaluation.add(calls)
            if found is not None and rows.wanted:
                rows.write({"kind": "session", **found.to_plain()})
                rows.flush()
            return len(calls)

        taken = take_sessions(file, take, limit=limit)
        report = replace(evaluation.report(), stopped=taken.stopped, unread=taken.bad)
        if rows.wanted:
            rows.write({"kind": "report", **report.to_plain()})
    # Before anything is printed: whoever reads that may have seen enough.
    if html is not None:
        from session_router.regret.page import render

        write_whole(PAGE, html, render(report.to_plain()))
    # Rows own standard output when they go there.
    print_regret(error_console() if rows.standard_output else output_console(), report, taken=taken)
    if session is not None and report.timeline is None and not taken.stopped:
        raise ConfigurationError(key="--session", value=session, rule="no session that was replayed is called so.")
    leave(taken, lenient=lenient)


def _check_unused(options: Mapping[str, object]) -> None:
    from session_router.errors import ConfigurationError

    for key, value in options.items():
        if value is not None:
            raise ConfigurationError(key=key, value=str(value), rule=f"it is for recorded sessions; leave it out, or `{FEEDBACK}`.")
