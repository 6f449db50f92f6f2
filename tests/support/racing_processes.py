"""Replicas in processes of their own that race on one session, and what they won."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from support.processes import output_of, start_together

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROGRAM = Path(__file__).resolve().parents[1] / "faults" / "redis_replica.py"


@dataclass
class Race:
    """Versions that processes committed, by their own account."""

    won: list[int] = field(default_factory=list)
    unknown: set[int] = field(default_factory=set)

    def read(self, printed: str) -> None:
        for line in printed.splitlines():
            what, version = line.split()
            if what == "won":
                self.won.append(int(version))
            else:
                self.unknown.add(int(version))


@contextmanager
def racing(kind: str, addresses: Sequence[str], session: str, *, processes: int = 3, wins: int = 200) -> Iterator[Race]:
    """Let processes race while the block runs, and until each has won its share."""
    race = Race()
    started = start_together([(str(PROGRAM), kind, ",".join(addresses), session, str(wins))] * processes)
    try:
        yield race
        for process in started:
            printed, _ = process.communicate(timeout=60)
            assert process.returncode == 0
            race.read(printed)
    finally:
        for process in started:
            process.kill()
            process.wait()
            output_of(process).close()
