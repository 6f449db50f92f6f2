"""What faults cost, and what they must not cost: replicas killed at random points, and a Redis server that is frozen or dead.

Usage: `python tests/benchmarks/faults.py [--quick]`; `--quick` kills fewer replicas.

First, replicas in processes of their own run whole agent sessions and are killed at random points, while their Redis server is
killed, frozen, emptied and filled up; what the histories say is counted, and counted once more for broken replicas that go where they
like. Then three replicas decide at an even pace, and their server is frozen, or killed: how much longer than before do decisions
take in the first second, and when nobody asks any more; how long after its return is each replica back, and do all come at once?
"""

from __future__ import annotations

import logging
import random
import shutil
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._figure import figure, missing, say
from session_router.stores.redis import RedisSessionStore
from support.killing import killed_replicas
from support.redis_servers import Server, standalone
from support.replicas import KEY, Played, Run, replica

if TYPE_CHECKING:
    from collections.abc import Callable

KILLS, KILLS_QUICK, KILLS_BROKEN = 1_000, 120, 30
INVARIANTS = ("unsafe_switches", "locks_lost", "locks_that_never_end", "uncleared_sends", "invented_results", "without_audit_record")
REPLICAS, PACE_SECONDS = 3, 0.01
CALM_SECONDS, FIRST_SECONDS, OPEN_SECONDS, LONGEST_RECOVERY = 2.5, 1.0, 5.0, 20.0
FAULTS = ("frozen", "dead")
OF_A_FAULT = ("added_p99_ms_first_second", "added_p99_ms_open", "recovery_s", "returns_apart_s")
NAMES = [
    "kill_points",
    *INVARIANTS,
    *(
        f"{what}_{fault}"
        for fault in FAULTS
        for what in ("added_p99_ms_first_second", "added_p99_ms_open", "recovery_s", "returns_apart_s")
    ),
]


@dataclass
class Paced:
    """One replica that decides every so often.

    Attributes:
        took: When each decision began, how long it took, and whether it did without the store; in seconds.
    """

    store: RedisSessionStore
    took: list[tuple[float, float, bool]] = field(default_factory=list)

    def play(self, ended: threading.Event, seed: int) -> None:
        """Decide until the end."""
        router, played, draws = replica(self.store, seed), Played(), random.Random(seed)
        run = Run(seed)
        while not ended.is_set():
            if draws.random() < 0.05:
                run = Run(draws.randrange(10**9))
            degraded = played.degraded
            begun = time.monotonic()
            decision = router.route(run.next_call())
            took = time.monotonic() - begun
            router.observe(decision, run.answer(decision, played))
            self.took.append((begun, took, played.degraded > degraded))
            ended.wait(max(0.0, PACE_SECONDS - (time.monotonic() - begun)))

    def between(self, begin: float, end: float) -> list[float]:
        """Return what decisions took that began in between."""
        return [took for at, took, _ in self.took if begin <= at < end]

    def back_after(self, at: float) -> float:
        """Return how long after `at` the store was of use again."""
        return next((begun - at for begun, _, degraded in self.took if begun >= at and not degraded), LONGEST_RECOVERY)


def p99(values: list[float]) -> float:
    """Return the 99th percentile, in milliseconds."""
    return sorted(values)[int(0.99 * len(values))] * 1e3


def print_fault(name: str, server: Server, begin: Callable[[], object], end: Callable[[], object]) -> None:
    """Print what one fault costs."""
    replicas = [Paced(RedisSessionStore(server.url, key=KEY)) for _ in range(REPLICAS)]
    ended = threading.Event()
    threads = [threading.Thread(target=one.play, args=(ended, seed)) for seed, one in enumerate(replicas)]
    for thread in threads:
        thread.start()
    calm = time.monotonic()
    time.sleep(CALM_SECONDS)
    began = time.monotonic()
    begin()
    time.sleep(FIRST_SECONDS + OPEN_SECONDS)
    end()
    returned = time.monotonic()
    while time.monotonic() < returned + LONGEST_RECOVERY and max(one.back_after(returned) for one in replicas) >= LONGEST_RECOVERY:
        time.sleep(0.05)
    ended.set()
    for thread in threads:
        thread.join()

    def over(begin: float, end: float) -> list[float]:
        return [took for one in replicas for took in one.between(begin, end)]

    usual = over(calm + 1.0, began)
    first, opened = over(began, began + FIRST_SECONDS), over(began + FIRST_SECONDS, returned)
    peer: dict[str, float | None] = {"p99_ms_before": p99(usual)}
    added = p99(first) - p99(usual)
    figure(f"added_p99_ms_first_second_{name}", added, unit="ms", n=len(first), target="<= 60", peer={**peer, "worst_ms": max(first) * 1e3})
    added = p99(opened) - p99(usual)
    note = "the calls with which replicas try the server again included"
    figure(
        f"added_p99_ms_open_{name}", added, unit="ms", n=len(opened), target="<= 1", peer={**peer, "worst_ms": max(opened) * 1e3}, note=note
    )
    back = [one.back_after(returned) for one in replicas]
    figure(f"recovery_s_{name}", max(back), unit="s", n=len(back), target="<= 10", note="of the last replica")
    apart = max(back) - min(back)
    figure(f"returns_apart_s_{name}", apart, unit="s", n=len(back), target="> 0", note="the first replica to the last")
    say(f"{name}: back after {', '.join(f'{one:.2f}' for one in back)} s")
    for one in replicas:
        one.store.close()


def print_kills(server: Server, folder: Path, *, kills: int) -> None:
    """Print what the histories of killed replicas say."""
    broken = killed_replicas(server, folder / "broken", kills=KILLS_BROKEN, broken=True)
    counts = killed_replicas(server, folder / "sound", kills=kills)
    peer: dict[str, float | None] = {
        name: counts[name] for name in ("killed_in_mid_loop", "killed_between_a_tool_and_its_result", "switches", "degraded", "failed")
    }
    figure("kill_points", counts["killed"], unit="count", n=counts["decisions"], target=f">= {kills}", peer=peer)
    for name in INVARIANTS:
        found: dict[str, float | None] = {"broken": broken[name]}
        figure(name, counts[name], unit="count", n=counts["decisions"], target="== 0", peer=found)
    say(f"{counts['killed']} kills, {counts['decisions']} decisions, {counts['degraded']} without the store")


def main() -> None:
    """Print every figure."""
    kills = KILLS_QUICK if "--quick" in sys.argv[1:] else KILLS
    logging.getLogger("session_router").setLevel(logging.CRITICAL)
    if shutil.which("redis-server") is None:
        missing(NAMES, "redis-server is missing: `apt-get install --no-install-recommends redis-server`")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("broken", "sound"):
            (folder / part).mkdir()
        with standalone(folder) as server:
            print_kills(server, folder, kills=kills)
            server.command("FLUSHALL")
            print_fault("frozen", server, server.freeze, server.thaw)
            print_fault("dead", server, server.kill, server.start)


if __name__ == "__main__":
    main()
