"""A thousand replicas are killed inside agent runs, while their Redis server is killed, frozen, emptied and filled up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.invariants import INVARIANTS
from support.killing import killed_replicas
from support.redis_servers import standalone

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 1_000


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("redis-kills")
def test_a_thousand_kill_points(tmp_path: Path) -> None:
    with standalone(tmp_path) as server:
        counts = killed_replicas(server, tmp_path, kills=KILLS)
    assert counts["failed"] == 0
    assert counts["killed"] >= KILLS
    # There was something that could have gone wrong.
    assert min(counts["killed_in_mid_loop"], counts["killed_between_a_tool_and_its_result"], counts["switched"], counts["degraded"]) > 20
    assert counts["decisions"] > KILLS
    assert counts["decisions"] - counts["degraded"] > 100
    assert counts["races"] > 100
    assert {kind: counts[kind] for kind in INVARIANTS} == dict.fromkeys(INVARIANTS, 0)
    assert counts["wrong"] == 0


@pytest.mark.xdist_group("redis-kills")
def test_the_counts_count(tmp_path: Path) -> None:
    with standalone(tmp_path) as server:
        counts = killed_replicas(server, tmp_path, kills=30, broken=True)
    assert all(counts[kind] > 0 for kind in INVARIANTS), counts
