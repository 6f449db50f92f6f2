"""How long things take on a machine that may be busy with others."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from session_router.cache.readings import reading_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

ROUNDS: Final = 5


class Took(NamedTuple):
    """Microseconds: by the clock on the wall, and by that of the processor, which does not run while others have it."""

    p50: float
    p99: float
    processor_p50: float
    processor_p99: float


@dataclass(frozen=True, slots=True)
class Timed:
    """Something to do with each of some things, and what to do after it, off the clock."""

    work: Callable[[Any], object]
    things: Sequence[Any]
    after: Callable[[Any], object] | None = None

    def once(self, place: int) -> tuple[int, int]:
        """Return the nanoseconds that one thing takes, by both clocks."""
        thing = self.things[place]
        began, started = time.thread_time_ns(), time.perf_counter_ns()
        self.work(thing)
        times = time.perf_counter_ns() - started, time.thread_time_ns() - began
        if self.after is not None:
            self.after(thing)
        return times


class Times(NamedTuple):
    """Nanoseconds by both clocks, shape (2, things): of each thing the quickest of several rounds; and what they come to."""

    quickest: NDArray[np.float64]
    took: Took


def took(
    work: Callable[[Any], object], things: Sequence[Any], *, after: Callable[[Any], object] | None = None, rounds: int = ROUNDS
) -> Took:
    """Return how long `work` takes: of each thing the quickest of several rounds, and of those p50 and p99."""
    return side_by_side(Timed(work, things, after=after), rounds=rounds)[0].took


def side_by_side(*works: Timed, rounds: int = ROUNDS) -> list[Times]:
    """Time several works in turns, so that what else the machine does harms all of them alike.

    In one turn no two works are about the same thing, so that none finds in the processor's caches what another has just read.
    """
    count = len(works[0].things)
    times = np.empty((len(works), 2, rounds, count))
    for number in range(rounds):
        forget_readings()
        for turn in range(count):
            for shift in range(len(works)):
                which = (number + shift) % len(works)
                place = (turn + which * count // len(works)) % count
                times[which, :, number, place] = works[which].once(place)
    quickest = times.min(axis=2)
    return [Times(one, Took(*(float(part) / 1_000 for clock in one for part in np.percentile(clock, (50, 99))))) for one in quickest]


def forget_readings() -> None:
    """Let every text be one that was not read before. What is known of single words stays: most questions are made of known ones."""
    cast("Any", reading_of).cache_clear()
