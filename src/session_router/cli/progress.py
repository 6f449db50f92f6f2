"""How far a command got, on a terminal only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console


class Progress:
    """A bar over the bytes of a file; nothing where standard error is no terminal.

    Args:
        console: Standard error.
        size: Bytes in all.
    """

    def __init__(self, console: Console, size: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        self._bar = Bar(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._bar.add_task("replaying", total=size)

    def show(self, position: int, calls: int) -> None:
        """Move the bar to `position` bytes, `calls` calls."""
        if not self._bar.disable:
            self._bar.update(self._task, completed=position, description=f"{calls:,} calls")

    def __enter__(self) -> Self:
        """Show the bar."""
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Take it away."""
        self._bar.stop()
