"""Programs of ours in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start Python with `arguments`; input and output are pipes."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def start_together(programs: Sequence[Sequence[str]]) -> list[subprocess.Popen[str]]:
    """Start programs that wait until their input ends, and let them begin when all are there."""
    processes = [start(*arguments) for arguments in programs]
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    return processes


def output_of(process: subprocess.Popen[str]) -> IO[str]:
    assert process.stdout is not None
    return process.stdout
