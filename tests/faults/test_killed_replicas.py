"""A thousand replicas are killed inside agent runs, while their Redis server is killed, frozen, emptied and filled up."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.redis_servers import standalone

if TYPE_CHECKING:
    from support.redis_servers import Server

PROGRAM = Path(__file__).with_name("killed_replicas.py")
KILLS, PROCESSES = 1_000, 2
CALM_SECONDS, FAULT_SECONDS = 0.5, 0.15


def trouble(server: Server, draws: random.Random) -> None:
    """Do something to the server for a while, and put it right."""
    match draws.choice(["kill", "freeze", "flush", "fill"]):
        case "kill":
            server.kill()
            server.start()
        case "freeze":
            server.freeze()
            time.sleep(FAULT_SECONDS)
            server.thaw()
        case "flush":
            server.command("FLUSHALL")
            server.command("SCRIPT", "FLUSH")
        case _:
            server.command("CONFIG", "SET", "maxmemory", "1")
            time.sleep(FAULT_SECONDS)
            server.command("CONFIG", "SET", "maxmemory", "0")


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("redis-kills")
def test_a_thousand_kill_points(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    draws, counts = random.Random(7), Counter[str]()
    with standalone(tmp_path) as server:
        programs = []
        for seed in range(PROCESSES):
            command = [sys.executable, "-W", "error", str(PROGRAM), server.url, str(KILLS // PROCESSES), str(seed)]
            programs.append(subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True))  # noqa: S603 -- ours
        try:
            while any(program.poll() is None for program in programs):
                time.sleep(CALM_SECONDS)
                trouble(server, draws)
        finally:
            for program in programs:
                program.kill()
                printed, _ = program.communicate()
                counts.update(json.loads(printed))
    assert counts["failed"] == 0
    assert counts["killed"] >= KILLS
    # There was something that could have gone wrong.
    assert min(counts["killed_in_mid_loop"], counts["killed_between_a_tool_and_its_result"], counts["switches"], counts["degraded"]) > 20
    assert counts["decisions"] > KILLS
    assert (counts["wrong"], counts["invented_results"]) == (0, 0)
