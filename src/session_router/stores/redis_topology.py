"""Which server to ask: one, the master that Sentinels name, or the node of a cluster that has the slot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from session_router.stores.redis_servers import Address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session_router.stores.redis_servers import RedisServers

SLOTS = 16_384
BETWEEN_QUESTIONS_SECONDS = 0.25
"""However often servers fail, nobody asks again sooner where the master is, or the slots are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """A question about where the data is.

    Attributes:
        informant: Who is asked.
        command: With what.
    """

    informant: Address
    command: tuple[str, ...]


class Topology(Protocol):
    """What is known of where the data is. Values are replaced as a whole, so that threads need no lock."""

    def address_of(self, slot: int) -> Address | None:
        """Return who has a slot, as far as is known."""
        ...

    def inquiries(self, now: float) -> Sequence[Inquiry]:
        """Return what to ask before anything else, in this order until one is answered; nothing while all is well."""
        ...

    def learn(self, inquiry: Inquiry, reply: Any) -> bool:  # noqa: ANN401 -- whatever a server sent
        """Take notice of an answer, `None` for none; says whether it told anything.

        Raises:
            TypeError, ValueError: It is not what such a server answers.
        """
        ...

    def doubt(self, silent: Address | None = None) -> None:
        """What is known may be wrong: ask soon, and `silent`, who gave no answer, last."""
        ...

    def moved(self, slot: int, address: Address) -> None:
        """A server says that another one has the slot."""
        ...

    def addresses(self) -> Sequence[Address]:
        """Return every server of data that is known."""
        ...


class _Asking:
    """When to ask."""

    def __init__(self) -> None:
        self._doubted = True
        self._asked_at = float("-inf")

    def doubt(self, silent: Address | None = None) -> None:
        del silent
        self._doubted = True

    def _is_due(self, now: float, *, known: bool) -> bool:
        if not self._doubted and known:
            return False
        if known and now - self._asked_at < BETWEEN_QUESTIONS_SECONDS:
            return False
        self._asked_at = now
        return True


class OneServer:
    """There is one, and it is known."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def address_of(self, slot: int) -> Address:
        """Return it, whatever the slot."""
        del slot
        return self._address

    def inquiries(self, now: float) -> Sequence[Inquiry]:
        """There is nothing to ask."""
        del now
        return ()

    def learn(self, inquiry: Inquiry, reply: object) -> bool:
        """There is nothing to learn."""
        del inquiry, reply
        return False

    def doubt(self, silent: Address | None = None) -> None:
        """There is no other."""

    def moved(self, slot: int, address: Address) -> None:
        """Stay: a node of a cluster was given as a single server, and its errors say so."""

    def addresses(self) -> Sequence[Address]:
        """Return it."""
        return (self._address,)


class SentinelSet(_Asking):
    """Sentinels name the master."""

    def __init__(self, sentinels: Sequence[Address], master: str) -> None:
        super().__init__()
        self._sentinels = tuple(sentinels)
        self._name = master
        self._master: Address | None = None

    def address_of(self, slot: int) -> Address | None:
        """Return the master, whatever the slot."""
        del slot
        return self._master

    def inquiries(self, now: float) -> Sequence[Inquiry]:
        """Return the question for every Sentinel, the one that answered last first."""
        if not self._is_due(now, known=self._master is not None):
            return ()
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
        return [Inquiry(informant=sentinel, command=command) for sentinel in self._sentinels]

    def learn(self, inquiry: Inquiry, reply: Any) -> bool:  # noqa: ANN401 -- whatever a server sent
        """Take notice of the master; a Sentinel that knows none, or does not answer, is asked last from now on."""
        master = _address(reply, inquiry.informant)
        others = tuple(sentinel for sentinel in self._sentinels if sentinel != inquiry.informant)
        if master is None:
            self._sentinels = (*others, inquiry.informant)
            return False
        self._sentinels = (inquiry.informant, *others)
        self._master, self._doubted = master, False
        return True

    def moved(self, slot: int, address: Address) -> None:
        """Stay: no Sentinel looks after a node of a cluster."""

    def addresses(self) -> Sequence[Address]:
        """Return the master."""
        return () if self._master is None else (self._master,)


class ClusterMap(_Asking):
    """Every node knows which node has which slot."""

    def __init__(self, nodes: Sequence[Address]) -> None:
        super().__init__()
        self._given = tuple(nodes)
        self._owners: list[Address | None] = [None] * SLOTS
        self._nodes: tuple[Address, ...] = ()

    def address_of(self, slot: int) -> Address | None:
        """Return the master that has `slot`."""
        return self._owners[slot]

    def inquiries(self, now: float) -> Sequence[Inquiry]:
        """Return the question for every node."""
        if not self._is_due(now, known=bool(self._nodes)):
            return ()
        order = dict.fromkeys((*self._nodes, *self._given))
        return [Inquiry(informant=node, command=("CLUSTER", "SLOTS")) for node in order]

    def learn(self, inquiry: Inquiry, reply: Any) -> bool:  # noqa: ANN401 -- whatever a server sent
        """Take notice of all slots; a node that does not answer is asked last from now on."""
        owners: list[Address | None] = [None] * SLOTS
        masters = list[Address]()
        replicas = list[Address]()
        ranges: list[Any] = reply or []
        for first, last, *members in ranges:
            found = [_address(member[:2], inquiry.informant) for member in members]
            if not found or found[0] is None or not 0 <= first <= last < SLOTS:
                continue
            owners[first : last + 1] = [found[0]] * (last + 1 - first)
            masters.append(found[0])
            replicas += [one for one in found[1:] if one is not None]
        if not masters:
            self._ask_last(inquiry.informant)
            return False
        # Replicas know the slots as well, and may be all that is left.
        self._nodes = tuple(dict.fromkeys((inquiry.informant, *masters, *replicas)))
        self._owners, self._doubted = owners, False
        return True

    def doubt(self, silent: Address | None = None) -> None:
        """Ask soon."""
        super().doubt(silent)
        if silent is not None:
            self._ask_last(silent)

    def _ask_last(self, node: Address) -> None:
        self._nodes = (*(one for one in self._nodes if one != node), node)

    def moved(self, slot: int, address: Address) -> None:
        """Take notice, and ask soon: what moved one slot moves others."""
        self._owners[slot] = address
        self.doubt()

    def addresses(self) -> Sequence[Address]:
        """Return every master."""
        return list(dict.fromkeys(owner for owner in self._owners if owner is not None))


def topology_of(servers: RedisServers) -> Topology:
    """Return what is known before anybody was asked."""
    if servers.is_cluster:
        return ClusterMap(servers.nodes)
    if servers.master is not None:
        return SentinelSet(servers.nodes, servers.master)
    return OneServer(servers.nodes[0])


def _address(pair: Any, informant: Address) -> Address | None:  # noqa: ANN401 -- whatever a server sent
    if pair is None:
        return None
    host, port = pair
    text = host.decode("utf-8", "replace") if isinstance(host, bytes) else ""
    # A node that does not know its own address leaves it out: it is the one that was asked.
    return Address(text or informant.host, int(port))
