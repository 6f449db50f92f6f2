"""What faults cost, and what they must not cost: replicas killed at random points, and a Redis server that is frozen or dead.

Usage: `python tests/benchmarks/faults.py [--quick] [--providers | --agents]`; `--quick` kills fewer replicas and plays fewer turns,
`--providers` leaves Redis alone, `--agents` kills agents and does nothing else.

First, replicas in processes of their own run whole agent sessions and are killed at random points, while their Redis server is
killed, frozen, emptied and filled up; what the histories say is counted, and counted once more for broken replicas that go where they
like. The same with real agents: of `create_agent` with the middleware and with the chat model, and of a graph with a router node, with a
response cache and checkpoints, on simulated providers of whose calls a fifth fails; half of them reach Redis through a proxy that cuts and
loses. Then three replicas decide at an even pace, and their server is frozen, or killed: how much longer than before do decisions
take in the first second, and when nobody asks any more; how long after its return is each replica back, and do all come at once?
Last, almost a third of the calls of three simulated models fail: how many turns are answered, and how often is a model asked again?
Broken variants stand beside: no notice of health, no retry budget, no breaker.
"""

from __future__ import annotations

import argparse
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
from benchmarks._provider_faults import IMPATIENT, RULES, WITHOUT_BREAKER, WITHOUT_BUDGET, Turns, at_random, down, play
from session_router.stores.redis import RedisSessionStore
from session_router.testing.providers import Faults
from support.invariants import INVARIANTS, OF_AGENTS
from support.killing import FAILING, killed_agents, killed_replicas
from support.redis_servers import Server, standalone
from support.replicas import KEY, Played, Run, replica

if TYPE_CHECKING:
    from collections.abc import Callable

    from session_router.core.health import HealthRules

KILLS, KILLS_QUICK, KILLS_BROKEN = 1_000, 120, 30
AGENTS_KILLS, AGENTS_KILLS_QUICK, AGENTS_KILLS_BROKEN = 1_000, 60, 60
REPLICAS, PACE_SECONDS = 3, 0.01
CALM_SECONDS, FIRST_SECONDS, OPEN_SECONDS, LONGEST_RECOVERY = 2.5, 1.0, 5.0, 20.0
FAULTS = ("frozen", "dead")
OF_A_FAULT = ("added_p99_ms_first_second", "added_p99_ms_open", "tries_a_second_open", "recovery_s", "returns_apart_s")
TURNS, TURNS_QUICK, TURNS_BROKEN = 3_000, 300, 1_000
STORM_TURNS, STORM = 400, 0.8
OF_PROVIDERS = [
    *(
        f"{what}_{pump}"
        for pump in ("sync", "async")
        for what in ("turns_answered", "retry_share", "moved_under_a_lock", "failed_unclearly")
    ),
    "uncleared_sends_while_providers_fail",
    "retry_share_in_a_storm",
    "vain_calls_of_a_dead_model",
]
NAMES = [
    "kill_points",
    *INVARIANTS,
    "kill_points_agents",
    *(f"{name}_agents" for name in OF_AGENTS),
    *OF_PROVIDERS,
    *(f"{what}_{fault}" for fault in FAULTS for what in OF_A_FAULT),
]


@dataclass
class Paced:
    """One replica that decides every so often.

    Attributes:
        took: When each decision began, how long it took, whether it did without the store, and whether it had asked a server in vain;
            in seconds.
    """

    store: RedisSessionStore
    took: list[tuple[float, float, bool, bool]] = field(default_factory=list)

    def play(self, ended: threading.Event, seed: int) -> None:
        """Decide until the end."""
        router, played, draws = replica(self.store, seed), Played(), random.Random(seed)
        run = Run(seed)
        while not ended.is_set():
            if draws.random() < 0.05:
                run = Run(draws.randrange(10**9))
            degraded, vain = played.degraded, self.in_vain()
            begun = time.monotonic()
            decision = router.route(run.next_call())
            took, tried = time.monotonic() - begun, self.in_vain() > vain
            router.observe(decision, run.answer(decision, played))
            self.took.append((begun, took, played.degraded > degraded, tried))
            ended.wait(max(0.0, PACE_SECONDS - (time.monotonic() - begun)))

    def in_vain(self) -> int:
        """Return how often a server was asked that gave no answer."""
        counts = self.store.counts()
        return counts.get("timed_out", 0) + counts.get("connection_lost", 0)

    def between(self, begin: float, end: float, *, tried: bool | None = None) -> list[float]:
        """Return what decisions took that began in between; only those that did, or did not, ask in vain, if that is said."""
        return [took for at, took, _, vain in self.took if begin <= at < end and tried in {None, vain}]

    def back_after(self, at: float) -> float:
        """Return how long after `at` the store was of use again."""
        return next((begun - at for begun, _, degraded, _ in self.took if begun >= at and not degraded), LONGEST_RECOVERY)


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

    def over(begin: float, end: float, *, tried: bool | None = None) -> list[float]:
        return [took for one in replicas for took in one.between(begin, end, tried=tried)]

    usual = over(calm + 1.0, began)
    first, opened = over(began, began + FIRST_SECONDS), over(began + FIRST_SECONDS, returned, tried=False)
    tries = over(began + FIRST_SECONDS, returned, tried=True)
    peer: dict[str, float | None] = {"p99_ms_before": p99(usual)}
    added = p99(first) - p99(usual)
    figure(f"added_p99_ms_first_second_{name}", added, unit="ms", n=len(first), target="<= 60", peer={**peer, "worst_ms": max(first) * 1e3})
    added = p99(opened) - p99(usual)
    note = "without the calls with which replicas try the server again, which are figures of their own"
    figure(
        f"added_p99_ms_open_{name}", added, unit="ms", n=len(opened), target="<= 1", peer={**peer, "worst_ms": max(opened) * 1e3}, note=note
    )
    rate = len(tries) / OPEN_SECONDS / REPLICAS
    worst = {"worst_ms": max(tries, default=0.0) * 1e3}
    figure(f"tries_a_second_open_{name}", rate, unit="calls / s and replica", n=len(tries), target="<= 1", peer=worst)
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
        name: counts[name]
        for name in ("killed_in_mid_loop", "killed_between_a_tool_and_its_result", "switched", "races", "degraded", "failed")
    }
    figure("kill_points", counts["killed"], unit="count", n=counts["decisions"], target=f">= {kills}", peer=peer)
    for name in INVARIANTS:
        found: dict[str, float | None] = {"broken": broken[name]}
        figure(name, counts[name], unit="count", n=counts["decisions"], target="== 0", peer=found)
    say(f"{counts['killed']} kills, {counts['decisions']} decisions, {counts['degraded']} without the store")


def print_agents(server: Server, folder: Path, *, kills: int) -> None:
    """Print what became of agents that were killed."""
    broken = killed_agents(server, folder / "broken agents", kills=AGENTS_KILLS_BROKEN, broken=True)
    begun = time.monotonic()
    counts = killed_agents(server, folder / "agents", kills=kills)
    took = time.monotonic() - begun
    names = ["killed_in_mid_loop", "killed_between_a_tool_and_its_result", "over", "switched", "degraded", "hits", "told_unknown"]
    names += ["races", "races_lost", "requests", "failed_requests", "runs_on_event_loops", "runs_that_ended_in_an_error", "failed"]
    peer: dict[str, float | None] = {name: counts[name] for name in names}
    note = f"{took:.0f} s; {FAILING:.0%} of providers' calls fail"
    figure("kill_points_agents", counts["killed"], unit="count", n=counts["decisions"], target=f">= {kills}", peer=peer, note=note)
    for name in OF_AGENTS:
        found: dict[str, float | None] = {"broken": broken[name]}
        figure(f"{name}_agents", counts[name], unit="count", n=counts["decisions"], target="== 0", peer=found)
    note = "loops in graphs whose nodes call models of their own: of two runs of a thread, the other had read what the model may not see"
    figure("moved_by_another_run_agents", counts["moved_by_another_run"], unit="count", n=counts["decisions"], note=note)
    say(f"{counts['killed']} kills of agents, {counts['requests']} requests, {counts['hits']} answers from the cache, {took:.0f} s")


def failing(turns: int, *, is_async: bool, health: HealthRules | None = RULES) -> Turns:
    """Play turns while calls fail at random."""
    faults = Faults(seed=turns)
    at_random(faults)
    return play(faults, turns=turns, is_async=is_async, health=health)


def print_providers(*, turns: int, broken_turns: int) -> None:
    """Print what it takes to be answered by providers that fail."""
    uncleared = calls = 0
    for is_async in (False, True):
        pump = "async" if is_async else "sync"
        sound, broken = failing(turns, is_async=is_async), failing(broken_turns, is_async=is_async, health=None)
        peer: dict[str, float | None] = {"failing_calls": sound.failing, "without_notice_of_health": broken.answered}
        note = f"{dict(sound.counts)}; a call fails by 429, 503, time-out or a broken stream, each as often; without: {dict(broken.counts)}"
        figure(f"turns_answered_{pump}", sound.answered, unit="share", n=sound.unlocked, target=">= 0.999", peer=peer, note=note)
        note = "calls of a model that has failed the same turn, over all others, locked turns included"
        figure(f"retry_share_{pump}", sound.retries, unit="share", n=len(sound.calls), target="<= 0.2", note=note)
        locked = sum(sound.counts[name] for name in ("locked_answered", "locked_failed", "moved", "unclear"))
        figure(f"moved_under_a_lock_{pump}", sound.counts["moved"], unit="count", n=locked, target="== 0")
        figure(f"failed_unclearly_{pump}", sound.counts["unclear"], unit="count", n=locked, target="== 0")
        uncleared, calls = uncleared + sound.told.uncleared, calls + len(sound.calls)
    figure("uncleared_sends_while_providers_fail", uncleared, unit="count", n=calls, target="== 0")
    storms: list[Turns] = []
    for health in (IMPATIENT, WITHOUT_BUDGET):
        faults = Faults(seed=3)
        at_random(faults, failing=STORM)
        storms.append(play(faults, turns=STORM_TURNS, is_async=True, health=health))
    sound, broken = storms
    note = f"{STORM:.0%} of all calls fail"
    figure(
        "retry_share_in_a_storm",
        sound.retries,
        unit="share",
        n=len(sound.calls),
        target="<= 0.2",
        peer={"without_a_budget": broken.retries},
        note=note,
    )
    dead: list[Turns] = []
    for health in (RULES, WITHOUT_BREAKER):
        faults = Faults(seed=3)
        down(faults, "one")
        dead.append(play(faults, turns=STORM_TURNS, is_async=True, health=health))
    sound, broken = dead
    note = f"calls of the model that everybody would choose, and that answers nobody, a turn; answered: {sound.answered:.2%}"
    figure(
        "vain_calls_of_a_dead_model",
        sound.share_of("one"),
        unit="calls / turn",
        n=len(sound.calls),
        target="<= 0.2",
        peer={"without_a_breaker": broken.share_of("one")},
        note=note,
    )


def main() -> None:
    """Print every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer kills, fewer turns")
    parts = parser.add_mutually_exclusive_group()
    parts.add_argument("--providers", action="store_true", help="only providers that fail; Redis is left alone")
    parts.add_argument("--agents", action="store_true", help="only agents that are killed")
    given = parser.parse_args()
    kills, of_agents = (KILLS_QUICK, AGENTS_KILLS_QUICK) if given.quick else (KILLS, AGENTS_KILLS)
    logging.getLogger("session_router").setLevel(logging.CRITICAL)
    turns, broken_turns = (TURNS_QUICK, TURNS_QUICK) if given.quick else (TURNS, TURNS_BROKEN)
    if given.providers:
        print_providers(turns=turns, broken_turns=broken_turns)
        return
    if shutil.which("redis-server") is None:
        missing(NAMES, "redis-server is missing: `apt-get install --no-install-recommends redis-server`")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("broken", "sound", "broken agents", "agents"):
            (folder / part).mkdir()
        with standalone(folder) as server:
            if given.agents:
                print_agents(server, folder, kills=of_agents)
                return
            print_kills(server, folder, kills=kills)
            server.command("FLUSHALL")
            print_agents(server, folder, kills=of_agents)
            server.command("FLUSHALL")
            print_fault("frozen", server, server.freeze, server.thaw)
            print_fault("dead", server, server.kill, server.start)
    print_providers(turns=turns, broken_turns=broken_turns)


if __name__ == "__main__":
    main()
