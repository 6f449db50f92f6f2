"""One deadline for all that a call does: however many addresses a host has, and pieces an answer comes in."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace
from typing import Any

import pytest
from redis.connection import SSLConnection

from session_router.stores.redis_servers import Address, RedisServers
from session_router.stores.redis_sockets import DeadlineSocket, connection_to

BUDGET = 0.05
NEARLY_ALL = 0.045


class Played:
    """A socket on which time passes as a test wants it to; it remembers how long it would have waited for each thing."""

    connecting = 0.0
    clock: SimpleNamespace

    def __init__(self, *_: object) -> None:
        self.waits = 0.0

    def setsockopt(self, *_: object) -> None: ...

    def settimeout(self, seconds: float) -> None:
        self.waits = seconds

    def connect(self, address: object) -> None:
        self.clock.now += min(self.waits, self.connecting)
        if self.waits < self.connecting:
            raise TimeoutError(address)

    def sendall(self, data: Any) -> None: ...

    def recv(self, size: int) -> bytes:
        return b"x" * size

    def shutdown(self, how: int) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(Played, "clock", clock, raising=False)
    return clock


@pytest.fixture
def played(clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> type[Played]:
    """A host of three addresses, to each of which a connection is played."""
    del clock
    addresses = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"10.0.0.{number}", 6379)) for number in (1, 2, 3)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: addresses)
    monkeypatch.setattr(socket, "socket", Played)
    return Played


def test_addresses_that_say_nothing_share_the_time(clock: SimpleNamespace, played: type[Played], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(played, "connecting", 1_000.0)
    connection = connection_to(Address("redis.example", 6379), RedisServers.from_url("redis://redis.example"))
    began, connection.deadline = clock.now, clock.now + BUDGET
    with pytest.raises(TimeoutError):
        connection._connect()
    assert clock.now - began == pytest.approx(BUDGET)


@pytest.mark.usefixtures("played")
def test_a_handshake_has_what_connecting_left(clock: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    handshakes = list[float]()

    def wrapped(_: object, connected: Played) -> Played:
        handshakes.append(connected.waits)
        return connected

    monkeypatch.setattr(SSLConnection, "_wrap_socket_with_ssl", wrapped)
    monkeypatch.setattr(Played, "connecting", NEARLY_ALL)
    connection = connection_to(Address("redis.example", 6379), RedisServers.from_url("rediss://redis.example"))
    connection.deadline = clock.now + BUDGET
    connection._connect()
    assert handshakes == [pytest.approx(BUDGET - NEARLY_ALL)]


def test_each_piece_of_an_answer_has_what_those_before_left(clock: SimpleNamespace) -> None:
    below, owner = Played(), SimpleNamespace(deadline=clock.now + BUDGET)
    sent = DeadlineSocket(below, owner)
    for _ in range(4):
        sent.sendall(b"x")
        assert below.waits == pytest.approx(owner.deadline - clock.now)
        clock.now += BUDGET / 4 - 0.001
        assert sent.recv(2) == b"xx"
        assert below.waits == pytest.approx(owner.deadline - clock.now)
    clock.now += 0.004
    with pytest.raises(TimeoutError, match="the budget is spent"):
        sent.recv(2)
