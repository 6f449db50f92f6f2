"""Eight threads that read a cache, and one that writes to it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from benchmarks._cache_filling import a_question, an_answer, texts
from benchmarks._figure import figure
from session_router.cache.vectors import faiss_module
from session_router.core.cached import CacheHit

if TYPE_CHECKING:
    from benchmarks._cache_filling import Filled

READERS: Final = 8
SECONDS: Final = 3.0
PAUSE: Final = 0.002
"""Seconds between two writes."""


@dataclass
class Round:
    """What threads got done until a moment."""

    found: Filled
    until: float = field(default_factory=lambda: time.perf_counter() + SECONDS)
    read: int = 0
    written: int = 0
    openmp: set[int] = field(default_factory=set)
    errors: list[Exception] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def reading(self, number: int) -> None:
        """Look up every eighth question, over and over."""
        done, cache = 0, self.found.cache
        try:
            while time.perf_counter() < self.until:
                for question in self.found.questions[number::READERS]:
                    if not isinstance(cache.look_up(question), CacheHit):
                        cache.abandon(question)
                    done += 1
        except Exception as error:  # noqa: BLE001 -- counted
            self.errors.append(error)
        with self.guard:
            self.read += done
            self.openmp.add(faiss_module().omp_get_max_threads())

    def writing(self) -> None:
        """Store one question after the other."""
        for text in texts(100_000, seed=9):
            if time.perf_counter() >= self.until:
                return
            if self.found.cache.store(a_question(text, tenant="0"), an_answer("Online.")) is not None:
                self.errors.append(RuntimeError("not stored"))
            self.written += 1
            time.sleep(PAUSE)

    def run(self, readers: int, writers: int) -> Round:
        """Run threads until the moment."""
        threads = [threading.Thread(target=self.reading, args=(number,)) for number in range(readers)]
        threads += [threading.Thread(target=self.writing) for _ in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self


def at_the_same_time(found: Filled) -> None:
    """Print what eight readers get done beside one writer, and what one does alone."""
    alone, together = Round(found).run(1, 0), Round(found).run(READERS, 1)
    failed = sum(count for name, count in found.cache.counts().items() if name.startswith("failed"))
    figure(
        "concurrent_errors",
        len(alone.errors) + len(together.errors) + failed,
        unit="errors",
        n=alone.read + together.read,
        target="== 0",
        peer={
            "look-ups a second, 8 readers": round(together.read / SECONDS),
            "stored a second beside them": round(together.written / SECONDS),
            "look-ups a second, 1 reader alone": round(alone.read / SECONDS),
        },
        note="10,000 entries in one partition; Python runs one thread at a time",
    )
    figure(
        "omp_threads",
        max(together.openmp),
        unit="threads",
        n=READERS,
        target="== 1",
        note="of OpenMP in the reading threads: a search of several waits for busy cores",
    )
