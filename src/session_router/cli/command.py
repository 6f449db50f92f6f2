"""The command line. Its packages are the extra `cli`; without them it says so in one line."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from typing import cast

from session_router.cli.exit_codes import INTERRUPTED, WRONG_USE
from session_router.errors import MissingExtra, SessionRouterError


def main() -> None:
    """Run the command line.

    Exit codes: 0 for success, 1 when some input was bad, 2 when the command could not start, 130 when interrupted, 141 when nobody read
    on what it printed.
    """
    _make_printable()
    try:
        for package in ("typer", "rich", "jinja2"):
            _require(package)
        from session_router.cli.app import app

        try:
            app()
        except SystemExit:
            _flush_output()
            raise
    except SessionRouterError as error:
        _print_error(error)
        raise SystemExit(WRONG_USE) from None
    except KeyboardInterrupt:
        # While modules are loaded; the commands see to themselves.
        raise SystemExit(INTERRUPTED) from None
    except OSError as error:
        if error.filename is not None:
            raise
        # Files are named in errors of their own: what is left is a full disk behind standard output.
        _forget_output()
        _print_error(f"standard output cannot be written ({error.strerror or error}).")
        raise SystemExit(WRONG_USE) from None


def _flush_output() -> None:
    """Print what waits for it: it may find a full disk, or nobody there."""
    # It is `None` when it was closed before the command began.
    if cast("object", sys.stdout) is not None:
        sys.stdout.flush()


def _forget_output() -> None:
    """Let what cannot be written go, else Python tries again at its end and complains."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _make_printable() -> None:
    # A command must not end over a dash that the stream's encoding does not have.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    # Rich and typer believe any digits: they print nothing in 0 columns, and stop at `²`.
    if not re.fullmatch("[1-9][0-9]{0,4}", os.environ.get("COLUMNS", "")):
        os.environ.pop("COLUMNS", None)


def _require(package: str) -> None:
    import importlib

    try:
        importlib.import_module(package)
    except ImportError:
        raise MissingExtra(extra="cli", package=package, feature="session-router") from None


def _print_error(error: SessionRouterError | str) -> None:
    try:
        from session_router.cli.terminal import error_console, escaped
    except ImportError:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 -- rich is what is missing
    else:
        error_console().print(f"[red bold]error:[/] {escaped(str(error))}")
