"""`session-router regret --feedback`: what would another policy have been worth, where this one was logged?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from session_router.regret.off_policy import OffPolicyEvaluation

FEEDBACK = "--feedback"
SHOWN_ERRORS = 20


def evaluate_log(
    decisions: Path, feedback: Path, *, config: Path | None, json: Path | None, lenient: bool, environment: Mapping[str, str] | None = None
) -> None:
    """Value the policy of a configuration by decisions that were logged, and print it.

    Args:
        decisions: Rows of decisions; rows of feedback among them count too.
        feedback: Rows of feedback.
        config: The configuration whose policy is valued.
        json: Where rows of JSON go, if anywhere.
        lenient: Whether lines that cannot be read are no failure.
        environment: Variables to read instead of the process's.
    """
    from session_router.cli.exit_codes import BAD_INPUT, INTERRUPTED
    from session_router.cli.off_policy_table import print_off_policy
    from session_router.cli.offline import offline_router
    from session_router.cli.outputs import check_outputs
    from session_router.cli.rows import ROWS, RowFile, file_of_rows
    from session_router.cli.terminal import error_console, output_console
    from session_router.regret.off_policy import LeftOut, OffPolicyEvaluation

    check_outputs({ROWS: file_of_rows(json)}, sessions=decisions, what="decisions", config=config)
    check_outputs({ROWS: file_of_rows(json)}, sessions=feedback, what="feedback", config=config)
    router = offline_router(config, environment=environment)
    evaluation = OffPolicyEvaluation(router.policy, router.models)
    try:
        bad = sum(_read(path, evaluation) for path in dict.fromkeys((decisions, feedback)))
        report = evaluation.report()
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    with RowFile(json) as rows:
        if rows.wanted:
            for one in evaluation.valued():
                if not isinstance(one, LeftOut):
                    rows.write({"kind": "boundary", **one.to_plain()})
            rows.write({"kind": "report", **report.to_plain(), "bad_lines": bad, "unmatched_feedback": evaluation.unmatched})
    # Rows own standard output when they go there.
    console = error_console() if rows.standard_output else output_console()
    print_off_policy(console, report, bad=bad, unmatched=evaluation.unmatched)
    if bad and not lenient:
        raise typer.Exit(BAD_INPUT)


def _read(path: Path, evaluation: OffPolicyEvaluation) -> int:
    """Add what can be used of a file; return how many lines cannot."""
    from session_router.cli.terminal import error_console, escaped

    console = error_console()
    bad = 0
    for problem in _added(path, evaluation):
        bad += 1
        if bad <= SHOWN_ERRORS:
            console.print(f"[red]error:[/] {escaped(problem)}")
    if bad > SHOWN_ERRORS:
        console.print(f"[red]error:[/] and {bad - SHOWN_ERRORS:,} more lines that cannot be read.")
    return bad


def _added(path: Path, evaluation: OffPolicyEvaluation) -> Iterator[str]:
    """Add the rows of a file, and yield what is wrong with those that are not."""
    from session_router.errors import RecordingError
    from session_router.recordings.lines import JSONLines

    for item in JSONLines(path):
        if isinstance(item, RecordingError):
            yield str(item)
            continue
        line, row = item
        try:
            _add(row, evaluation, source=str(path), line=line)
        except RecordingError as error:
            yield str(error)


def _add(row: dict[str, Any], evaluation: OffPolicyEvaluation, *, source: str, line: int) -> None:
    from session_router.errors import RecordingError
    from session_router.regret.logged import read_decision, read_feedback

    if "event" in row:
        return  # an audit log tells what else happened, too
    if "decision" in row:
        evaluation.add_decision(read_decision(row, source=source, line=line))
    elif "success" in row:
        evaluation.add_feedback(*read_feedback(row, source=source, line=line))
    else:
        rule = "it is neither a decision (it has no `decision`) nor feedback (it has no `success`)."
        raise RecordingError(rule, source=source, line=line)
