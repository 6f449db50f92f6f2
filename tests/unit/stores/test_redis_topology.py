"""Where the data is, is asked when it is not known or in doubt, not more often, and of whoever answers."""

from __future__ import annotations

from typing import Any

import pytest

from session_router.stores.redis_servers import Address, RedisServers
from session_router.stores.redis_topology import BETWEEN_QUESTIONS_SECONDS, SLOTS, ClusterMap, Inquiry, OneServer, SentinelSet, topology_of

A, B, C = (Address("127.0.0.1", port) for port in (7001, 7002, 7003))


def slots(*ranges: tuple[int, int, Address]) -> list[Any]:
    return [[first, last, [owner.host.encode(), owner.port, b"id"]] for first, last, owner in ranges]


def asked(inquiries: Any) -> list[Address]:
    return [inquiry.informant for inquiry in inquiries]


def test_what_the_configuration_says_decides() -> None:
    assert isinstance(topology_of(RedisServers.from_url("redis://h")), OneServer)
    assert isinstance(topology_of(RedisServers.sentinel(["h"], master="m")), SentinelSet)
    assert isinstance(topology_of(RedisServers.cluster(["h"])), ClusterMap)


def test_one_server_is_never_asked_where_it_is() -> None:
    one = OneServer(A)
    one.doubt()
    one.moved(3, B)
    assert (one.address_of(7), one.inquiries(0.0), one.addresses()) == (A, (), (A,))
    assert not one.learn(Inquiry(informant=A, command=()), None)


def test_sentinels_are_asked_once_and_again_in_doubt() -> None:
    known = SentinelSet([A, B], "m")
    first, second = known.inquiries(0.0)
    assert asked([first, second]) == [A, B]
    assert not known.learn(first, None)
    assert known.address_of(0) is None
    assert known.learn(second, [b"10.0.0.1", b"6379"])
    assert known.address_of(0) == Address("10.0.0.1", 6379)
    assert known.addresses() == (Address("10.0.0.1", 6379),)
    assert not known.inquiries(100.0)
    known.doubt()
    # The one that answered is asked first.
    assert asked(known.inquiries(100.0)) == [B, A]
    known.doubt()
    assert not known.inquiries(100.0 + BETWEEN_QUESTIONS_SECONDS / 2)
    assert known.inquiries(100.0 + BETWEEN_QUESTIONS_SECONDS)


def test_before_anything_is_known_everybody_may_ask() -> None:
    known = SentinelSet([A], "m")
    assert known.inquiries(0.0)
    assert known.inquiries(0.0)


def test_a_cluster_tells_every_slot() -> None:
    known = ClusterMap([A])
    (inquiry,) = known.inquiries(0.0)
    assert inquiry.command == ("CLUSTER", "SLOTS")
    assert known.learn(inquiry, slots((0, 99, A), (100, SLOTS - 1, B)))
    assert [known.address_of(slot) for slot in (0, 99, 100, SLOTS - 1)] == [A, A, B, B]
    assert list(known.addresses()) == [A, B]
    known.moved(7, C)
    assert known.address_of(7) == C
    assert asked(known.inquiries(1.0)) == [A, B]


def test_a_node_without_an_address_is_the_one_that_was_asked() -> None:
    known = ClusterMap([A])
    assert known.learn(Inquiry(informant=A, command=()), [[0, SLOTS - 1, [b"", 7009, b"id"]]])
    assert known.address_of(0) == Address(A.host, 7009)


def test_replicas_are_asked_when_masters_do_not_answer() -> None:
    known = ClusterMap([A])
    owner = [A.host.encode(), A.port, b"id"]
    assert known.learn(Inquiry(informant=A, command=()), [[0, SLOTS - 1, owner, [C.host.encode(), C.port, b"other"]]])
    known.doubt()
    first, second = known.inquiries(10.0)
    assert asked([first, second]) == [A, C]
    assert not known.learn(first, None)
    known.doubt()
    assert asked(known.inquiries(20.0)) == [C, A]


@pytest.mark.parametrize("reply", [None, [], [[5, 4, [b"h", 1, b"id"]]], [[-1, 4, [b"h", 1, b"id"]]], [[0, SLOTS, [b"h", 1, b"id"]]]])
def test_a_damaged_map_is_not_believed(reply: Any) -> None:
    known = ClusterMap([A])
    assert not known.learn(Inquiry(informant=A, command=()), reply)
    assert known.address_of(0) is None
