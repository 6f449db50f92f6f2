"""Looks at the Redis servers of a store: can they be asked, do they keep what they are given, who takes over, whose clock is right."""

from __future__ import annotations

import secrets
import statistics
import time
from typing import TYPE_CHECKING, Any, Self

from session_router.core.session import Session, SessionId
from session_router.errors import StoreError
from session_router.stores.examination import NOTHING_KEPT, Finding, Verdict
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_calls import Exchange, Lost, is_reply
from session_router.stores.redis_driver import ThreadDriver
from session_router.stores.redis_memory import memory_findings
from session_router.stores.redis_topology import SLOTS, Inquiry, topology_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from session_router.stores.redis_calls import Command
    from session_router.stores.redis_servers import Address, RedisServers

PATIENCE_SECONDS = 2.0
PINGS = 20
OLDEST_TESTED = (7, 0)
CLOCKS_APART_SECONDS = 2.0
ROUND_TRIPS = 2
"""Of a decision: a load and a commit."""


def examine_redis(store: RedisSessionStore) -> Iterator[Finding]:
    """Look at every server that `store` may ask; one row is written, which expires at once."""
    yield from examine_servers(store.servers, budget_seconds=store.budget_seconds)
    yield from _trial(store)


def examine_servers(servers: RedisServers, *, budget_seconds: float) -> Iterator[Finding]:
    """Look at every one of `servers`, of which a call waits `budget_seconds` at most; nothing is written."""
    with _Examiner(servers, budget_seconds) as examiner:
        yield from examiner.findings()


class _Examiner:
    def __init__(self, servers: RedisServers, budget_seconds: float) -> None:
        self._servers, self._budget = servers, budget_seconds
        self._driver = ThreadDriver(servers, budget_seconds=PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._driver.close()

    def findings(self) -> Iterator[Finding]:
        known = topology_of(self._servers)
        inquiries = list(known.inquiries(time.monotonic()))
        replies = {inquiry: self._ask(inquiry.informant, inquiry.command) for inquiry in inquiries}
        told = [inquiry for inquiry, reply in replies.items() if _tells(known.learn, inquiry, reply)]
        if self._servers.master is not None:
            for inquiry in inquiries:
                yield _sentinel(inquiry, replies[inquiry], is_known=inquiry in told, master=self._servers.master)
        elif self._servers.is_cluster:
            yield from self._cluster(known.addresses(), replies, told)
        for address in known.addresses():
            yield from self._server(address)

    def _ask(self, address: Address, *commands: Command) -> Any:  # noqa: ANN401 -- whatever a server sent
        def conversation() -> Generator[Exchange, list[Any] | Lost, list[Any] | Lost]:
            return (yield Exchange(address, commands))

        replies = self._driver.drive(conversation())
        if isinstance(replies, Lost):
            return replies.error
        return replies[0] if len(commands) == 1 else replies

    def _cluster(self, masters: Any, replies: dict[Inquiry, Any], told: list[Inquiry]) -> Iterator[Finding]:  # noqa: ANN401 -- addresses
        for inquiry, reply in replies.items():
            if inquiry not in told:
                yield _unreachable(inquiry.informant, reply, means="others of the cluster are asked instead.")
        if not told:
            yield Finding(where="cluster", subject="slots", found="no node answers", verdict=Verdict.PROBLEM, means=NOTHING_KEPT)
            return
        ranges: list[Any] = replies[told[-1]]
        covered = sum(int(last) + 1 - int(first) for first, last, *_ in ranges)
        missing = SLOTS - covered
        means = f"sessions of {missing / SLOTS:.2%} of the slots are not kept; assign these slots." if missing else ""
        is_down = _facts(self._ask(told[-1].informant, ("CLUSTER", "INFO"))).get("cluster_state") == "fail"
        if is_down:
            means = f"the cluster is down, and {NOTHING_KEPT} Assign the slots that are missing, and see that every master runs."
        yield Finding(
            where="cluster",
            subject="slots",
            found=f"{covered:,} of {SLOTS:,} on {len(masters)} masters",
            verdict=Verdict.PROBLEM if missing or is_down else Verdict.FINE,
            means=means,
        )

    def _server(self, address: Address) -> Iterator[Finding]:
        waits: list[float] = []
        for _ in range(PINGS):
            begun = time.perf_counter()
            reply = self._ask(address, ("PING",))
            waits.append(time.perf_counter() - begun)
            # Whoever may not `PING` has an answer too.
            if isinstance(reply, Exception) and not is_reply(reply):
                yield _unreachable(address, reply, means=NOTHING_KEPT)
                return
        yield _latency(address, waits[1:], budget_seconds=self._budget)
        asked = time.time()
        server_time = self._ask(address, ("TIME",))
        yield _clock(address, server_time, (asked + time.time()) / 2)
        facts = _facts(self._ask(address, ("INFO",)))
        yield _version(address, facts)
        yield _modules(address, self._ask(address, ("MODULE", "LIST")))
        yield _role(address, facts)
        if facts.get("cluster_enabled") == "1" and not self._servers.is_cluster:
            means = "it refuses the sessions that live on other nodes; give its nodes as a cluster, in `store.cluster`."
            yield Finding(where=str(address), subject="cluster", found="one node of a cluster", verdict=Verdict.PROBLEM, means=means)
        yield from memory_findings(str(address), facts)
        if self._servers.master is not None or self._servers.is_cluster:
            yield _heirs(address, facts)


def _tells(learn: Any, inquiry: Inquiry, reply: Any) -> bool:  # noqa: ANN401 -- whatever a server sent
    try:
        return bool(learn(inquiry, None if isinstance(reply, Exception) else reply))
    except (TypeError, ValueError, IndexError):
        return False


def _unreachable(address: Address, error: object, *, means: str) -> Finding:
    return Finding(where=str(address), subject="reached", found=f"no: {error}", verdict=Verdict.PROBLEM, means=means)


def _sentinel(inquiry: Inquiry, reply: object, *, is_known: bool, master: str) -> Finding:
    where = str(inquiry.informant)
    if isinstance(reply, Exception):
        return Finding(
            where=where, subject="Sentinel", found=f"no answer: {reply}", verdict=Verdict.WARNING, means="the other Sentinels are asked."
        )
    if is_known:
        return Finding(where=where, subject="Sentinel", found=f"knows the master {master!r}")
    means = "it looks after another master: check `store.sentinel.master`."
    return Finding(where=where, subject="Sentinel", found=f"knows no master {master!r}", verdict=Verdict.PROBLEM, means=means)


def _latency(address: Address, waits: list[float], *, budget_seconds: float) -> Finding:
    middle, worst = statistics.median(waits), max(waits)
    found = f"{middle * 1e3:.2f} ms in the median, {worst * 1e3:.2f} ms at worst, of {len(waits)}"
    slow = worst > budget_seconds
    means = f"a call waits {budget_seconds * 1e3:g} ms at most, and then goes on without its session; raise `store.budget_seconds`."
    if not slow and middle * ROUND_TRIPS > budget_seconds / 2:
        return Finding(where=str(address), subject="latency", found=found, verdict=Verdict.WARNING, means=means)
    verdict = Verdict.PROBLEM if slow else Verdict.FINE
    return Finding(where=str(address), subject="latency", found=found, verdict=verdict, means=means if slow else "")


def _clock(address: Address, reply: Any, here: float) -> Finding:  # noqa: ANN401 -- whatever a server sent
    if isinstance(reply, Exception):
        return Finding(where=str(address), subject="clock", found=f"not told: {reply}", verdict=Verdict.WARNING)
    seconds, microseconds = reply
    apart = int(seconds) + int(microseconds) / 1e6 - here
    far = abs(apart) > CLOCKS_APART_SECONDS
    means = "replicas may disagree on what is still warm, and how dear a switch is; no lock depends on it. Run NTP on both."
    found = f"{abs(apart):.3f} s {'ahead of' if apart > 0 else 'behind'} this machine's"
    return Finding(
        where=str(address), subject="clock", found=found, verdict=Verdict.WARNING if far else Verdict.FINE, means=means if far else ""
    )


def _version(address: Address, facts: dict[str, str]) -> Finding:
    found = facts.get("redis_version", "not told")
    name = f"{facts['server_name']} {facts.get('valkey_version', '')}, as Redis {found}" if "server_name" in facts else found
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    old = numbers < OLDEST_TESTED
    means = "nothing older than 7.0 is tested." if old else ""
    return Finding(where=str(address), subject="version", found=name, verdict=Verdict.WARNING if old else Verdict.FINE, means=means)


def _modules(address: Address, reply: Any) -> Finding:  # noqa: ANN401 -- whatever a server sent
    if isinstance(reply, Exception):
        return Finding(where=str(address), subject="modules", found=f"not told: {reply}")
    names = sorted(bytes(module[1]).decode("utf-8", "replace") for module in reply)
    return Finding(where=str(address), subject="modules", found=", ".join(names) or "none; none is needed")


def _role(address: Address, facts: dict[str, str]) -> Finding:
    role = facts.get("role", "not told")
    if role == "slave":
        means = f"it refuses every write, so sessions are not kept; give its master, {facts.get('master_host')}:{facts.get('master_port')}."
        return Finding(where=str(address), subject="role", found="replica", verdict=Verdict.PROBLEM, means=means)
    return Finding(where=str(address), subject="role", found=role)


def _heirs(address: Address, facts: dict[str, str]) -> Finding:
    number = int(facts.get("connected_slaves", "0"))
    means = "" if number else f"when it dies, {NOTHING_KEPT} Add a replica."
    verdict = Verdict.FINE if number else Verdict.WARNING
    return Finding(where=str(address), subject="replicas", found=str(number), verdict=verdict, means=means)


def _facts(reply: Any) -> dict[str, str]:  # noqa: ANN401 -- whatever a server sent
    if not isinstance(reply, bytes):
        return {}
    lines = reply.decode("utf-8", "replace").splitlines()
    return {key: value for key, colon, value in (line.partition(":") for line in lines) if colon}


def _is_kept(store: RedisSessionStore, session: Session) -> bool:
    """Whether a session is stored, comes back as it was, gives way to the next version, and not to one that is not the next."""
    if not store.commit(session) or store.load(session.id) != session or store.commit(session):
        return False
    return store.commit(session.committed()) and store.load(session.id) == session.committed()


def _trial(store: RedisSessionStore) -> Iterator[Finding]:
    session = Session(id=SessionId(secrets.token_hex(32)), version=1)
    with RedisSessionStore(
        store.servers, key=store.key, seconds_to_live=1.0, budget_seconds=PATIENCE_SECONDS, prefix=store.prefix
    ) as trial:
        try:
            found = "committed and read back" if _is_kept(trial, session) else "a row did not come back as it was"
        except StoreError as error:
            found = str(error)
    fine = found == "committed and read back"
    verdict = Verdict.FINE if fine else Verdict.PROBLEM
    yield Finding(where="store", subject="a session", found=found, verdict=verdict, means="" if fine else NOTHING_KEPT)
