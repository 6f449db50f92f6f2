"""Agents of LangChain and LangGraph are killed inside their runs, while Redis is troubled and a fifth of their providers' calls fail.

The benchmark `faults.py` does the same a thousand times.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from support.invariants import OF_AGENTS, Journal, failures_in
from support.killing import WRONG, killed_agents
from support.redis_servers import standalone

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("agent-kills")]
KILLS, KILLS_BROKEN = 30, 40


def test_agents_go_on_after_any_death(tmp_path: Path) -> None:
    with standalone(tmp_path) as server:
        counts = killed_agents(server, tmp_path, kills=KILLS)
    assert failures_in(map(Journal, tmp_path.glob("*.jsonl"))) == []
    assert not any(json.loads((tmp_path / WRONG).read_text()).values())
    assert {kind: counts[kind] for kind in OF_AGENTS} == dict.fromkeys(OF_AGENTS, 0)
    assert (counts["failed"], counts["wrong"]) == (0, 0)
    assert counts["killed"] >= KILLS
    # There was something that could have gone wrong.
    there = ["killed_in_mid_loop", "switched", "hits", "commits", "failed_requests", "runs_that_ended_in_an_error", "over"]
    assert all(counts[what] > 0 for what in there), counts
    assert counts["requests_with_data"] > KILLS


def test_the_counts_of_agents_count(tmp_path: Path) -> None:
    with standalone(tmp_path) as server:
        counts = killed_agents(server, tmp_path, kills=KILLS_BROKEN, broken=True)
    assert all(counts[kind] > 0 for kind in OF_AGENTS), counts
