"""The command as a whole process: whoever reads what it prints may leave, and whoever waits for it may interrupt it."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import stat
import sys
import threading
from typing import TYPE_CHECKING, TextIO

from session_router.cli.command import main
from session_router.cli.exit_codes import INTERRUPTED, NOBODY_READS

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


def be_the_process() -> None:
    """Run the command line.

    Raises:
        SystemExit: It ended before its end, or badly.
    """
    sys.stdout, sys.stderr = _ending(sys.stdout), _ending(sys.stderr)
    try:
        main()
    except SystemExit as stop:
        if stop.code == INTERRUPTED:
            _wait_for_no_thread()
        raise
    finally:
        _be_over()


class _Pipe(io.FileIO):
    """A pipe into something that may stop reading: the command then ends, as other tools do, without a word."""

    def write(self, data: ReadableBuffer, /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            # What is left goes nowhere: else Python tries again at its end, and complains.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            raise SystemExit(NOBODY_READS) from None


def _ending(stream: TextIO) -> TextIO:
    """Return `stream`, such that nobody need see to a reader who leaves: each library that prints would do it in a way of its own."""
    if not _is_pipe(stream):
        return stream
    pipe = io.BufferedWriter(_Pipe(stream.fileno(), "w", closefd=False))
    return io.TextIOWrapper(pipe, encoding=stream.encoding, errors=stream.errors, line_buffering=bool(stream.line_buffering))


def _is_pipe(stream: TextIO) -> bool:
    # Either stream is `None` when it was closed before the command began.
    if not isinstance(stream, io.TextIOWrapper):
        return False
    mode = os.fstat(stream.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _wait_for_no_thread() -> None:
    """End an interrupted process now if a thread would keep it.

    The agents of the demo run in threads. One that is in the middle of a call, or whose start was what the interruption hit,
    which nobody then tells to end, would hold the terminal until somebody interrupts again.
    """
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(INTERRUPTED)


def _be_over() -> None:
    """Let an interrupt that comes now end the process at once: its work is done, and Python would print where it was."""
    # Whoever started it may have it ignore interrupts.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_now)


def _end_now(*_: object) -> None:
    os._exit(INTERRUPTED)
