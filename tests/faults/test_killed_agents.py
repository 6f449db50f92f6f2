"""Agents of LangChain and LangGraph are killed inside their runs, while Redis is troubled and a fifth of their providers' calls fail.

The benchmark `faults.py` does the same a thousand times.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from support.invariants import OF_AGENTS, Journal, failures_in
from support.killing import WRONG, killed_agents
from support.redis_servers import standalone

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("agent-kills")]
KILLS, KILLS_BROKEN = 30, 40
ROUNDS = 8
"""What happens in a round hangs on when death comes: what is rare may not happen in one."""
THERE = (
    "killed_in_mid_loop",
    "switched",
    "hits",
    "commits",
    "failed_requests",
    "runs_on_event_loops",
    "runs_that_ended_in_an_error",
    "over",
)
"""What could have gone wrong."""


def played(folder: Path, *, until: Iterable[str], kills: int, broken: bool = False) -> Counter[str]:
    """Play rounds, each with servers and sessions of its own, until all of that happened, but not for ever."""
    counts = Counter[str]()
    for seed in range(ROUNDS):
        own = folder / str(seed)
        own.mkdir()
        with standalone(own) as server:
            counts += killed_agents(server, own, kills=kills, broken=broken, seed=seed)
        if all(counts[kind] > 0 for kind in until):
            break
    return counts


def test_agents_go_on_after_any_death(tmp_path: Path) -> None:
    counts = played(tmp_path, until=THERE, kills=KILLS)
    assert failures_in(map(Journal, tmp_path.glob("*/*.jsonl"))) == []
    assert not any(any(json.loads(path.read_text()).values()) for path in tmp_path.glob(f"*/{WRONG}"))
    assert {kind: counts[kind] for kind in OF_AGENTS} == dict.fromkeys(OF_AGENTS, 0)
    assert (counts["failed"], counts["wrong"]) == (0, 0)
    assert counts["killed"] >= KILLS
    assert all(counts[kind] > 0 for kind in THERE), counts
    assert counts["requests_with_data"] > KILLS


def test_the_counts_of_agents_count(tmp_path: Path) -> None:
    counts = played(tmp_path, until=OF_AGENTS, kills=KILLS_BROKEN, broken=True)
    assert all(counts[kind] > 0 for kind in OF_AGENTS), counts
