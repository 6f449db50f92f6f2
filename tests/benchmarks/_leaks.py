"""Does anything reach a model that may not see it? Random talks by the hundred thousand, and the same with the protection taken away."""

from __future__ import annotations

import multiprocessing
import os
import warnings
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from _figure import figure, say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.leak_play import Seen

CHUNK = 1_000
SEED = 20_261
ALPHA = 0.05
CHOKE_POINT = "the choke point"


class Part(NamedTuple):
    """What one process plays at a time."""

    requests: int
    seed: int
    without: str | None
    scenes: Sequence[str] | None


def played(part: Part) -> Seen:
    """Play one part; in a process of its own."""
    from support.leak_play import SCENES, play

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return play(part.requests, seed=part.seed, without=part.without, scenes=tuple(part.scenes or SCENES))


def play_all(requests: int, *, jobs: int, without: str | None = None, scenes: Sequence[str] | None = None) -> Seen:
    """Play until `requests` have reached models, in `jobs` processes; the result does not depend on how many they are."""
    from support.leak_play import Seen

    sizes = [CHUNK] * (requests // CHUNK) + ([requests % CHUNK] if requests % CHUNK else [])
    parts = [Part(size, SEED + number, without, scenes) for number, size in enumerate(sizes)]
    total, done = Seen(), 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(parts)), mp_context=context) as pool:
        for seen in pool.map(played, parts):
            total.added(seen)
            done += 1
            if without is None:
                for words in seen.first:
                    say(f"  LEAK: {words}")
            if done % 10 == 0:
                say(f"  {sum(total.requests.values()):>9,} requests, {sum(total.leaks.values()):,} leaks")
    return total


def leak_figures(*, quick: bool, jobs: int | None = None) -> None:
    """Print the figures of leaks.

    Args:
        quick: A few thousand requests instead of a hundred thousand.
        jobs: Processes; as many as there are processors unless given.
    """
    jobs = jobs or os.cpu_count() or 1
    whole = play_all(3_000 if quick else 100_000, jobs=jobs)
    bare = play_all(1_000 if quick else 5_000, jobs=jobs, without=CHOKE_POINT)
    say(f"{'talk':>22} {'talks':>8} {'requests':>9} {'with data':>10} {'leaks':>6} {'without the choke point':>25}")
    for scene, talks in whole.talks.items():
        beside = f"{bare.leaks[scene]:,} of {bare.requests[scene]:,}"
        say(f"{scene:>22} {talks:>8,} {whole.requests[scene]:>9,} {whole.marked[scene]:>10,} {whole.leaks[scene]:>6,} {beside:>25}")
    requests, marked, leaks = whole.total
    open_requests, _, open_leaks = bare.total
    figure(
        "leaks",
        leaks,
        unit="count",
        n=requests,
        target="== 0",
        peer={"without the choke point": open_leaks, "of": open_requests, "requests with labelled data": marked},
        low=0.0,
        # Clopper and Pearson for none, which the rule of three (3 / n) comes close to.
        high=1.0 - ALPHA ** (1.0 / requests) if leaks == 0 else None,
        note=f"requests that reached a model; {whole.failed:,} failed on purpose; high is the 95 % upper bound of the share",
    )
    figure("leaks_without_choke_point", open_leaks, unit="count", n=open_requests, target="> 0", note="the same talks")
    blind = [scene for scene in whole.talks if not bare.leaks[scene]]
    figure(
        "talks_that_could_not_leak",
        len(blind),
        unit="count",
        n=len(whole.talks),
        target="== 0",
        note="kinds of talks in which it is not missed",
    )
    milliseconds = whole.seconds / requests * 1e3
    figure("leak_play_ms", milliseconds, unit="ms", n=requests, note="processor time for one request, agents and providers included")
    for without, scenes in (
        ("what helpers inherit", ["helpers"]),
        ("what tools bring back", ["helpers", "handoffs"]),
        ("what graphs hand on", ["graphs"]),
        ("what is around a thread", ["threads within"]),
        ("labels of what providers hold", ["held by the provider"]),
    ):
        seen = play_all(1_000 if quick else 2_000, jobs=jobs, without=without, scenes=scenes)
        of, _, leaked = seen.total
        name = f"leaks_without_{without.replace(' ', '_')}"
        figure(name, leaked, unit="count", n=of, target="> 0", note=f"talks: {', '.join(scenes)}")
