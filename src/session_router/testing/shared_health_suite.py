"""What replicas share of their models' health must keep these promises."""

# ruff: noqa: S101 -- a promise is asserted

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from session_router.core.breaker import BreakerState
from session_router.core.health import Failure, FailureKind, Health, HealthRules

if TYPE_CHECKING:
    from session_router.ports import SharedHealth

RULES = HealthRules()
SECONDS = 60.0


def failing(now: float) -> Health:
    """Return the health of what has failed too often at `now`."""
    health = Health()
    for _ in range(RULES.breaker.failures):
        health = health.failed(Failure(kind=FailureKind.OVERLOADED), now, RULES, 0.5)
    return health


class SharedHealthSuite:
    """Subclass it, and give a fixture `shared` that nothing was told to, and one `other` that shares with it."""

    @pytest.fixture
    def shared(self) -> SharedHealth:
        """Return what is to be tested."""
        raise NotImplementedError

    @pytest.fixture
    def other(self) -> SharedHealth:
        """Return another replica's."""
        raise NotImplementedError

    def test_nothing_is_known_at_first(self, shared: SharedHealth) -> None:
        """No rows."""
        assert dict(shared.read(1_000.0).rows) == {}

    def test_what_one_tells_the_others_hear(self, shared: SharedHealth, other: SharedHealth) -> None:
        """A row is read by another replica, whatever the clocks of both say."""
        health = failing(1_000.0)
        assert shared.replace(shared.read(1_000.0), "fast ☃", health, seconds=SECONDS)
        # The other's clock is an hour ahead.
        heard = other.read(4_600.0).rows["fast ☃"].health
        assert heard.circuit.state is BreakerState.OPEN
        assert heard.admits_from() - 4_600.0 == pytest.approx(health.admits_from() - 1_000.0, abs=5.0)

    def test_who_was_not_first_does_not_replace(self, shared: SharedHealth, other: SharedHealth) -> None:
        """Neither a row that came since, nor one that was removed."""
        mine, theirs = shared.read(1_000.0), other.read(1_000.0)
        assert shared.replace(mine, "fast", failing(1_000.0), seconds=SECONDS)
        assert not other.replace(theirs, "fast", Health(), seconds=SECONDS)
        before = other.read(1_000.0)
        assert other.replace(before, "fast", Health(), seconds=SECONDS)
        assert shared.read(1_000.0).rows.get("fast") is None
        assert not shared.replace(before, "fast", failing(1_000.0), seconds=SECONDS)

    def test_models_do_not_share_rows(self, shared: SharedHealth) -> None:
        """One model's row says nothing of another."""
        read = shared.read(1_000.0)
        assert shared.replace(read, "fast", failing(1_000.0), seconds=SECONDS)
        assert shared.replace(read, "strong", failing(1_000.0), seconds=SECONDS)
        assert set(shared.read(1_000.0).rows) == {"fast", "strong"}

    def test_of_many_at_once_one_is_first(self, shared: SharedHealth, other: SharedHealth) -> None:
        """Exactly one of those that read the same replaces it."""
        assert shared.replace(shared.read(1_000.0), "fast", failing(1_000.0), seconds=SECONDS)
        replicas = [shared, other] * 8
        reads = [one.read(1_000.0) for one in replicas]
        with ThreadPoolExecutor(8) as pool:
            going = [
                pool.submit(one.replace, read, "fast", failing(1_001.0), seconds=SECONDS) for one, read in zip(replicas, reads, strict=True)
            ]
        done = [one.result() for one in going]
        assert done.count(True) == 1

    def test_the_same_on_an_event_loop(self, shared: SharedHealth, other: SharedHealth) -> None:
        """As above."""

        async def main() -> None:
            read = await shared.aread(1_000.0)
            assert await shared.areplace(read, "fast", failing(1_000.0), seconds=SECONDS)
            assert not await other.areplace(read, "fast", failing(1_000.0), seconds=SECONDS)
            assert set((await other.aread(1_000.0)).rows) == {"fast"}

        asyncio.run(main())
