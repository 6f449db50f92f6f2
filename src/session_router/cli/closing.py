"""How a command over recorded sessions ends: what it left out, and its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from session_router.cli.exit_codes import BAD_INPUT, INTERRUPTED
from session_router.cli.words import plural

if TYPE_CHECKING:
    from rich.console import Console

    from session_router.cli.reading import Taken


def print_left_out(console: Console, taken: Taken, *, empty: bool) -> None:
    """Say what the figures leave out.

    Args:
        console: Where.
        taken: What became of the sessions.
        empty: Whether no call was replayed, so that there are no figures.
    """
    if taken.stopped:
        console.print(f"[yellow bold]interrupted[/] {taken.stopped}; the figures cover the sessions that were finished.")
    if taken.bad:
        console.print(f"[red]{plural(taken.bad, 'session')} could not be replayed[/]; see the errors above.")
    if empty:
        console.print("no calls were replayed.")


def leave(taken: Taken, *, lenient: bool) -> None:
    """End the command with the exit code that the sessions call for.

    Raises:
        Exit: It was interrupted, or a session was bad and the user is not `lenient` about that.
    """
    if taken.stopped:
        raise typer.Exit(INTERRUPTED)
    if taken.bad and not lenient:
        raise typer.Exit(BAD_INPUT)
