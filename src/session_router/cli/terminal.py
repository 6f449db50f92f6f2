"""Where and how the commands print: colour on a terminal only, nothing cut off in a pipe."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from typing import TextIO

PIPED_WIDTH = 160
"""Columns where nobody looks at the width: in a pipe or a file, unless `COLUMNS` says otherwise."""


def output_console(*, colour: bool | None = None) -> Console:
    """Return standard output; `colour` forces or forbids styles, and `NO_COLOR` is honoured."""
    return _console(stderr=False, colour=colour)


def error_console() -> Console:
    """Return standard error: errors, progress and, where rows go to standard output, the summary."""
    return _console(stderr=True, colour=None)


def _console(*, stderr: bool, colour: bool | None) -> Console:
    # Either is `None` when it was closed before the command began.
    stream: TextIO | None = sys.stderr if stderr else sys.stdout
    shown = stream is not None and stream.isatty()
    width = None if shown or os.environ.get("COLUMNS", "").isdigit() else PIPED_WIDTH
    return Console(stderr=stderr, width=width, soft_wrap=not shown, highlight=False, no_color=True if colour is False else None)


def escaped(text: str) -> str:
    """Return `text` as rich prints it literally, with control characters made visible: recordings are not trusted."""
    # Rich's markup ends a tag at a bracket, and a trailing backslash would escape what follows.
    return escape("".join(map(_visible, text)))


def _visible(one: str) -> str:
    return one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode("ascii")
