"""A deadline for all that a call does, however many pieces an answer comes in."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

import pytest

from session_router.stores.redis_sockets import DeadlineSocket


class Recorded:
    """A socket that answers at once and remembers how long it would have waited."""

    def __init__(self) -> None:
        self.waits: float | None = None
        self.settings = 0

    def settimeout(self, seconds: float | None) -> None:
        self.waits = seconds
        self.settings += 1

    def sendall(self, data: Any) -> None: ...

    def recv(self, size: int) -> bytes:
        return b"x" * size


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def test_no_wait_is_longer_or_shorter_than_what_is_left_by_more_than_a_millisecond(clock: SimpleNamespace) -> None:
    socket, owner = Recorded(), SimpleNamespace(deadline=0.0)
    sent = DeadlineSocket(socket, owner)
    for budget, pieces in ((0.05, 40), (0.05, 3), (10.0, 5), (0.0004, 2)):
        owner.deadline = clock.now + budget
        for _ in range(pieces):
            sent.sendall(b"x")
            assert socket.waits == pytest.approx(owner.deadline - clock.now, abs=0.00101)
            assert sent.recv(2) == b"xx"
            clock.now += budget / pieces / 2


def test_the_system_is_told_anew_only_when_it_matters(clock: SimpleNamespace) -> None:
    socket, owner = Recorded(), SimpleNamespace(deadline=0.0)
    sent = DeadlineSocket(socket, owner)
    for _ in range(100):
        owner.deadline = clock.now + 0.05
        sent.sendall(b"x")
        clock.now += 0.0002
        sent.recv(1)
    assert socket.settings == 1


def test_nothing_is_sent_once_the_time_is_up(clock: SimpleNamespace) -> None:
    owner = SimpleNamespace(deadline=clock.now)
    with pytest.raises(TimeoutError, match="the budget is spent"):
        DeadlineSocket(Recorded(), owner).sendall(b"x")
