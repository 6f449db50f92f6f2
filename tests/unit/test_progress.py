"""The bar over a file of sessions: on a terminal, and nowhere else."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from session_router.cli.progress import Progress


def shown(*, terminal: bool) -> str:
    written = io.StringIO()
    console = Console(file=written, force_terminal=terminal, width=80, _environ={})
    with Progress(console, 200) as progress:
        progress.show(100, 1_234)
    return written.getvalue()


def test_a_terminal_shows_how_far_it_is() -> None:
    assert "1,234 calls" in shown(terminal=True)
    assert "50%" in shown(terminal=True)


def test_a_pipe_shows_nothing() -> None:
    assert shown(terminal=False) == ""


def test_the_bar_goes_away_whatever_happens() -> None:
    written = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Progress(Console(file=written, force_terminal=True, width=80, _environ={}), 200):
        raise KeyboardInterrupt
    # The cursor is hidden while the bar moves.
    assert written.getvalue().rstrip().rfind("\x1b[?25h") > written.getvalue().rfind("\x1b[?25l")
