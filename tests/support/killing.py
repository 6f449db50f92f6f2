"""Kills replicas inside agent runs, while their Redis server is killed, frozen, emptied, filled up and cut off."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from support.invariants import Journal, count, moved_by_another_run, ran_in
from support.kill_providers import providing, settings_of
from support.mortal import EPOCH, Epoch
from support.tcp_proxy import proxy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.redis_servers import Server
    from support.tcp_proxy import Proxy

WRONG = "wrong.json"
"""The name of the file with what providers saw that was wrong."""
FAULTS = Path(__file__).resolve().parents[1] / "faults"
PROCESSES = 2
CALM_SECONDS, FAULT_SECONDS = 0.5, 0.15
CALM_REQUESTS, LONGEST_CALM_SECONDS, POLL_SECONDS = 8, 3.0, 0.05
"""Until so many more requests came, so that a slow machine has no more trouble a session than a fast one."""
FAILING = 0.2
"""Of the calls of providers."""


def killed_replicas(server: Server, folder: Path, *, kills: int, broken: bool = False) -> Counter[str]:
    """Run the programs whose replicas are routers, with trouble all the while, and add up what they counted."""
    epoch = Epoch(folder / EPOCH)
    of_each = [[server.url, str(kills // PROCESSES), str(seed)] for seed in range(PROCESSES)]
    return _played("killed_replicas.py", of_each, folder, lambda draws: trouble(server, draws, epoch), _calm, broken=broken)


def killed_agents(server: Server, folder: Path, *, kills: int, broken: bool = False, seed: int = 7) -> Counter[str]:
    """Run the program whose replicas are agents, with trouble all the while, on providers that fail; count what came of it."""
    epoch = Epoch(folder / EPOCH)
    with providing(seed, failing=FAILING) as (providers, served), proxy(server.port, seed=seed) as way:
        settings = folder / "settings.json"
        settings.write_text(json.dumps({**settings_of(providers, served), "redis": [way.url, server.url]}), encoding="utf-8")
        of_each = [[str(settings), str(kills), str(seed)]]

        def disturb(draws: random.Random) -> None:
            trouble(server, draws, epoch, way)

        def calm() -> None:
            asked, since = providers.canaries.requests, time.monotonic()
            while providers.canaries.requests < asked + CALM_REQUESTS and time.monotonic() < since + LONGEST_CALM_SECONDS:
                time.sleep(POLL_SECONDS)

        counts = _played("killed_agents.py", of_each, folder, disturb, calm, broken=broken)
        journals = [Journal(path) for path in sorted(folder.glob("*.jsonl"))]
        counts += count(journals)
        ran, excused = ran_in(journals), moved_by_another_run(journals)
        counts += providers.count(ran, served, excused=excused)
        (folder / WRONG).write_text(json.dumps(providers.wrong(ran, served, excused=excused)), encoding="utf-8")
    return counts


def _played(
    program: str,
    of_each: Sequence[Sequence[str]],
    folder: Path,
    disturb: Callable[[random.Random], None],
    calm: Callable[[], None],
    *,
    broken: bool,
) -> Counter[str]:
    """Run programs at the same time, with trouble all the while, and add up what they printed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    draws, counts = random.Random(7), Counter[str]()
    programs: list[subprocess.Popen[str]] = []
    for own in of_each:
        command = [sys.executable, "-W", "error", str(FAULTS / program), *own, *(["broken"] if broken else [])]
        with (folder / "errors").open("ab") as errors:
            programs.append(
                # A group of its own: whoever it has forked ends with it.
                subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=errors, text=True, process_group=0)
            )
    try:
        while any(program.poll() is None for program in programs):
            calm()
            disturb(draws)
    finally:
        for running in programs:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
    for ended in programs:
        printed, _ = ended.communicate()
        if ended.returncode:
            raise RuntimeError((folder / "errors").read_text(encoding="utf-8")[-5_000:])
        counts.update(json.loads(printed))
    return counts


def _calm() -> None:
    time.sleep(CALM_SECONDS)


def trouble(server: Server, draws: random.Random, epoch: Epoch, way: Proxy | None = None) -> None:
    """Do something to the server, or to the way to it, for a while, and put it right."""
    match draws.choice(["kill", "freeze", "flush", "fill", *([] if way is None else ["cut", "lose"])]):
        case "kill":
            epoch.move_on()
            server.kill()
            server.start()
            epoch.move_on()
        case "freeze":
            server.freeze()
            time.sleep(FAULT_SECONDS)
            server.thaw()
        case "flush":
            epoch.move_on()
            server.command("FLUSHALL")
            server.command("SCRIPT", "FLUSH")
            epoch.move_on()
        case "cut" if way is not None:
            way.cut()
        case "lose" if way is not None:
            way.lost_share = 0.5
            time.sleep(FAULT_SECONDS)
            way.lost_share = 0.0
        case _:
            server.command("CONFIG", "SET", "maxmemory", "1")
            time.sleep(FAULT_SECONDS)
            server.command("CONFIG", "SET", "maxmemory", "0")
