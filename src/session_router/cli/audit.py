"""`session-router audit`: is the log as it was written, what does it say, and how to erase somebody from it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from session_router.cli.audit_log import Configuration, Head, KeyFile, Log

if TYPE_CHECKING:
    from session_router.audit.lines import Line

SHOWN = 20

audit = typer.Typer(no_args_is_help=True, help="Verify, show, erase from and export the audit log.", rich_markup_mode="markdown")

Subject = Annotated[str | None, typer.Option(help="Records that name this, whole: a subject as in its tag, a session, a principal.")]
Since = Annotated[datetime | None, typer.Option(help="Records written at this time (UTC) or later.")]
Until = Annotated[datetime | None, typer.Option(help="Records written before this time (UTC).")]


@audit.command()
def verify(
    log: Log = None,
    *,
    copy: Annotated[
        list[Path] | None,
        typer.Option(help="A head that was kept elsewhere, as `audit head` prints it: shows that log and head were both put back."),
    ] = None,
    head: Head = None,
    key_file: KeyFile = None,
    config: Configuration = None,
    json: Annotated[bool, typer.Option("--json", help="Print what was found as one JSON row.")] = False,
) -> None:
    """Find any line that was changed, taken out, moved, repeated or cut off.

    Nothing is written. Exit code 1 when something is wrong, 2 when there is no such log, or no key.
    """
    from session_router.cli.audit_log import place_of
    from session_router.cli.audit_table import print_verification, verification_row
    from session_router.cli.exit_codes import BAD_INPUT
    from session_router.cli.terminal import output_console

    reader = place_of(log, head=head, key_file=key_file, config=config).reader()
    found = reader.verify(copies=[reader.head_of(one) for one in copy or []])
    if json:
        typer.echo(verification_row(found))
    else:
        print_verification(output_console(), found, reader.path)
    if not found.sound:
        raise typer.Exit(BAD_INPUT)


@audit.command()
def show(  # noqa: PLR0913 -- each is one option
    log: Log = None,
    *,
    subject: Subject = None,
    decision: Annotated[str | None, typer.Option(help="The record of this decision id.")] = None,
    since: Since = None,
    until: Until = None,
    last: Annotated[int, typer.Option(min=1, help="Show at most so many, the newest.")] = SHOWN,
    head: Head = None,
    key_file: KeyFile = None,
    config: Configuration = None,
) -> None:
    """Show records: when, what was decided, for data labelled how, and why.

    Exit code 1 when the log is not as it was written; lines that are not are left out.
    """
    from collections import deque

    from session_router.cli.audit_log import place_of
    from session_router.cli.audit_table import print_lines
    from session_router.cli.exit_codes import BAD_INPUT
    from session_router.cli.terminal import error_console, output_console

    reader = place_of(log, head=head, key_file=key_file, config=config).reader()
    wanted = (line for line in reader.lines() if _is_wanted(line, subject=subject or decision, since=since, until=until))
    shown = deque(wanted, maxlen=last)
    print_lines(output_console(), list(shown))
    if not reader.verify().sound:
        error_console().print("[red bold]the log is not as it was written;[/] see `session-router audit verify`.")
        raise typer.Exit(BAD_INPUT)


@audit.command()
def erase(
    log: Log = None,
    *,
    subject: Annotated[str | None, typer.Option(help="As in its tag; or the id of a session or a principal, as records have it.")] = None,
    name: Annotated[
        str | None,
        typer.Option(help="By which the application knows the person, where `subject_id` made the tag's subject of it with the log's key."),
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="With --name: whose deployment.")] = None,
    why: Annotated[str, typer.Option(help="Kept in the log; it must not name the person.")] = "",
    head: Head = None,
    key_file: KeyFile = None,
    config: Configuration = None,
) -> None:
    """Erase what leads back to a person from every record, and list what providers may still hold.

    The facts stay and the log still verifies. Copies and backups of the log are not touched. Exit code 1 when the log is not as it
    was written afterwards.
    """
    from session_router.cli.audit_log import place_of
    from session_router.cli.audit_table import print_erasure
    from session_router.cli.exit_codes import BAD_INPUT
    from session_router.cli.terminal import output_console
    from session_router.errors import ConfigurationError
    from session_router.identity import subject_id

    place = place_of(log, head=head, key_file=key_file, config=config)
    if (subject is None) == (name is None):
        raise ConfigurationError(key="--subject", value=subject, rule="give either a subject or a name.")
    if not (subject or name or "").strip():
        raise ConfigurationError(key="--name" if subject is None else "--subject", value="", rule="nobody is named; give whom to erase.")
    with place.writer() as file:
        erasure = file.erase(subject_id(place.key, name, tenant=tenant) if subject is None and name is not None else subject or "", why=why)
        sound = file.verify().sound
    print_erasure(output_console(), erasure, sound=sound)
    if not sound:
        raise typer.Exit(BAD_INPUT)


@audit.command()
def export(
    log: Log = None,
    *,
    json: Annotated[Path, typer.Option(help="Where to write the rows; '-' is standard output, .gz compresses.")] = Path("-"),
    subject: Subject = None,
    since: Since = None,
    until: Until = None,
    head: Head = None,
    key_file: KeyFile = None,
    config: Configuration = None,
) -> None:
    """Write records as JSON rows: what `regret --feedback` reads as decisions.

    Exit code 1 when the log is not as it was written; lines that are not are left out.
    """
    from session_router.cli.audit_log import place_of
    from session_router.cli.exit_codes import BAD_INPUT
    from session_router.cli.outputs import check_outputs
    from session_router.cli.rows import ROWS, RowFile, file_of_rows
    from session_router.cli.terminal import error_console

    place = place_of(log, head=head, key_file=key_file, config=config)
    kept = {"the log's head": place.head, "the log's key": place.key_file}
    check_outputs({ROWS: file_of_rows(json)}, sessions=place.path, what="log", inputs=kept, config=config, configured=False)
    reader = place.reader()
    with RowFile(json) as rows:
        for line in reader.lines():
            if line.note is None and _is_wanted(line, subject=subject, since=since, until=until):
                erased = {"erased": True} if line.erased else {}
                rows.write({**line.record(), "sequence": line.sequence, "written_at": line.at, **erased})
    if not reader.verify().sound:
        error_console().print("[red bold]the log is not as it was written;[/] see `session-router audit verify`.")
        raise typer.Exit(BAD_INPUT)


@audit.command()
def head(log: Log = None, *, head: Head = None, key_file: KeyFile = None, config: Configuration = None) -> None:
    """Print the signed head as one line, to be kept where whoever can write to the log cannot.

    With such a copy, `audit verify --copy` finds it too if somebody puts back an older log together with its older head.
    """
    from session_router.cli.audit_log import place_of

    typer.echo(place_of(log, head=head, key_file=key_file, config=config).reader().head_text())


def _is_wanted(line: Line, *, subject: str | None, since: datetime | None, until: datetime | None) -> bool:
    from session_router.audit.erasing import names
    from session_router.cli.moments import seconds_of

    if since is not None and line.at < seconds_of(since):
        return False
    if until is not None and line.at >= seconds_of(until):
        return False
    return subject is None or names(line.personal, subject)
