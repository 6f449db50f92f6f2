"""Kills replicas inside agent runs, while their Redis server is killed, frozen, emptied and filled up."""

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

from support.mortal import EPOCH, Epoch

if TYPE_CHECKING:
    from support.redis_servers import Server

PROGRAM = Path(__file__).resolve().parents[1] / "faults" / "killed_replicas.py"
PROCESSES = 2
CALM_SECONDS, FAULT_SECONDS = 0.5, 0.15


def killed_replicas(server: Server, folder: Path, *, kills: int, broken: bool = False) -> Counter[str]:
    """Run the programs, with trouble all the while, and add up what they counted."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    draws, counts, epoch = random.Random(7), Counter[str](), Epoch(folder / EPOCH)
    programs: list[subprocess.Popen[str]] = []
    for seed in range(PROCESSES):
        command = [sys.executable, "-W", "error", str(PROGRAM), server.url, str(kills // PROCESSES), str(seed)]
        command += ["broken"] if broken else []
        programs.append(subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True))
    try:
        while any(program.poll() is None for program in programs):
            time.sleep(CALM_SECONDS)
            trouble(server, draws, epoch)
    finally:
        for program in programs:
            program.kill()
            printed, _ = program.communicate()
            counts.update(json.loads(printed))
    return counts


def trouble(server: Server, draws: random.Random, epoch: Epoch) -> None:
    """Do something to the server for a while, and put it right."""
    match draws.choice(["kill", "freeze", "flush", "fill"]):
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
        case _:
            server.command("CONFIG", "SET", "maxmemory", "1")
            time.sleep(FAULT_SECONDS)
            server.command("CONFIG", "SET", "maxmemory", "0")
