"""One replica that decides as fast as it can, and the plain cost of a GET and an EVALSHA between its decisions."""

from __future__ import annotations

import json
import logging
import random
import sys
import time
import uuid
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import redis
from redis.crc import key_slot

from session_router import Prices, Router
from session_router.core.call import Call
from session_router.core.model import ModelName, ModelSpec
from session_router.core.need import Question
from session_router.core.session import SessionId
from session_router.core.transcript import Transcript
from session_router.stores.redis import RedisSessionStore
from session_router.stores.redis_rows import COMMIT
from session_router.stores.redis_servers import RedisServers
from session_router.stores.sqlite import SQLiteSessionStore
from values import ai, answered, human, tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from session_router.core.session import Session
    from session_router.ports import SessionStore

KEY = b"k" * 32
ROUTES = {
    ModelName("fast"): ModelSpec(model="openai:gpt-5-mini", prices=Prices(input=0.25, output=2.0, cached_input=0.025)),
    ModelName("strong"): ModelSpec(model="anthropic:claude-sonnet-4-6", prices=Prices(input=3.0, output=15.0, cached_input=0.3)),
}
QUESTIONS = (
    "where is my order, and when will it arrive?",
    "compare the two contracts and explain which clauses differ, and why that matters to us",
    "thanks, and the invoice?",
    "prove that the schedule is optimal, step by step",
)
CALLS_A_TURN, TURNS = 4, 6
LIVE = 200
"""Sessions that a replica goes to and fro between."""
PATIENT_SECONDS = 10.0


@dataclass
class Times:
    """What was measured, in seconds; decisions and their pairs of plain commands stand beside each other.

    Attributes:
        decided: A decision, at a boundary or under a lock.
        stored: The part of it that the store took.
        plain: One GET and one EVALSHA of the same size, by redis-py's own client, right after it.
        boundaries: Decisions at boundaries alone.
        row_bytes: Bytes of the rows as they were committed.
        trips: Round trips to the store that a decision made: its loads and its commits.
        loads: Of decisions and outcomes together.
        commits: Likewise.
        busy: All that a replica does: decisions and outcomes.
        degraded: Decisions without the store.
    """

    decided: list[float] = field(default_factory=list)
    stored: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    boundaries: list[float] = field(default_factory=list)
    trips: list[int] = field(default_factory=list)
    loads: int = 0
    commits: int = 0
    busy: float = 0.0
    degraded: int = 0


class TimedStore:
    """Adds up what a store takes, and counts how often it is asked."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.key = store.key
        self.seconds = 0.0
        if hasattr(store, "recall"):
            # What a store does not have, nobody asks of it: see `session_router.ports`.
            self.recall = self._recalled
        self.loads = self.commits = 0

    def load(self, session: SessionId) -> Session | None:
        self.loads += 1
        begun = time.perf_counter()
        try:
            loaded: Session | None = self._store.load(session)
        finally:
            self.seconds += time.perf_counter() - begun
        return loaded

    def _recalled(self, session: SessionId) -> Session | None:
        begun = time.perf_counter()
        recalled: Session | None = self._store.recall(session)
        self.seconds += time.perf_counter() - begun
        return recalled

    def commit(self, session: Session) -> bool:
        self.commits += 1
        begun = time.perf_counter()
        try:
            committed: bool = self._store.commit(session)
        finally:
            self.seconds += time.perf_counter() - begun
        return committed

    async def aload(self, session: SessionId) -> Session | None:
        return self.load(session)

    async def acommit(self, session: Session) -> bool:
        return self.commit(session)


class Plain:
    """One GET and one EVALSHA of a row's size, sent by redis-py's client straight to the server that has the key."""

    def __init__(self, port: int, size: int) -> None:
        self._client = redis.Redis(host="127.0.0.1", port=port)
        self._key = f"plain:{{{self._tag_on(port)}}}"
        self._row = b"x" * size
        self._digest = self._client.script_load(COMMIT)
        self._client.set(self._key, self._row)

    def seconds(self) -> float:
        begun = time.perf_counter()
        self._client.get(self._key)
        self._client.evalsha(self._digest, 1, self._key, self._row[:14], self._row, 604_800_000)
        return time.perf_counter() - begun

    def _tag_on(self, port: int) -> str:
        try:
            ranges = self._client.execute_command("CLUSTER", "SLOTS", NEVER_DECODE=True)
        except redis.ResponseError:
            return "any"
        own = [(first, last) for first, last, master, *_ in ranges if int(master[1]) == port]
        return next(str(n) for n in range(100_000) if any(first <= key_slot(str(n).encode()) <= last for first, last in own))


class Conversation:
    """One session, call by call."""

    def __init__(self) -> None:
        self.session = SessionId(uuid.uuid4().hex * 2)
        self._transcript = Transcript()
        self._calls = 0
        self._now = time.time()

    @property
    def is_over(self) -> bool:
        return self._calls >= CALLS_A_TURN * TURNS

    def next_call(self) -> tuple[Call, bool]:
        """Return the next call, and whether it is at a boundary."""
        at = self._calls % CALLS_A_TURN
        text = QUESTIONS[(self._calls // CALLS_A_TURN) % len(QUESTIONS)]
        step = human(f"{text} {self._calls}", tokens=40) if at == 0 else tool(f"c{self._calls - 1}", tokens=300)
        self._transcript = self._transcript.extended([step])
        self._now += 2.0
        question = Question(text=text, turn=self._transcript.turn)
        return Call(transcript=self._transcript, question=question, now=self._now, session=self.session), at == 0

    def answer(self, router: Router, decision: Any) -> None:
        asks = [f"c{self._calls}"] if self._calls % CALLS_A_TURN < CALLS_A_TURN - 1 else []
        router.observe(decision, answered(decision.model, *asks, at=self._now + 1.0))
        self._transcript = self._transcript.extended([ai(*asks, by=decision.model, tokens=60)])
        self._calls += 1


def open_store(kind: str, place: str) -> Any:
    """Open the store of a kind: `sqlite`, `redis` or `cluster`; patient, so that what is measured is what it takes."""
    if kind == "sqlite":
        return SQLiteSessionStore(place, key=KEY, busy_timeout_seconds=PATIENT_SECONDS)
    servers = RedisServers.cluster(place.split(",")) if kind == "cluster" else RedisServers.from_url(place)
    return RedisSessionStore(servers, key=KEY, budget_seconds=PATIENT_SECONDS)


def decisions(stores: Sequence[SessionStore], plain: Plain, times: Times, *, live: int = LIVE) -> Iterator[None]:
    """Decide for one session after the other, without an end; yields after each decision.

    With several handles to one store each is a replica, and each call of a session arrives at any of them.
    """
    replicas = [(timed, Router(ROUTES, store=timed, key=KEY)) for timed in map(TimedStore, stores)]
    chance = random.Random(0)
    going = deque(Conversation() for _ in range(live))
    while True:
        conversation = going.popleft()
        if conversation.is_over:
            conversation = Conversation()
        going.append(conversation)
        call, is_boundary = conversation.next_call()
        timed, router = chance.choice(replicas)
        timed.seconds, timed.loads, timed.commits = 0.0, 0, 0
        begun = time.perf_counter()
        decision = router.route(call)
        decided = time.perf_counter() - begun
        stored = timed.seconds
        times.plain.append(plain.seconds())
        times.decided.append(decided)
        times.stored.append(stored)
        times.trips.append(timed.loads + timed.commits)
        times.degraded += "store" in decision.evidence.degraded
        if is_boundary:
            times.boundaries.append(decided)
        begun = time.perf_counter()
        conversation.answer(router, decision)
        times.busy += decided + time.perf_counter() - begun
        times.loads += timed.loads
        times.commits += timed.commits
        yield


def main(kind: str, place: str, port: int, size: int, seconds: float, handles: int) -> None:
    """Play for so long, with so many handles to the store, and print what was measured as JSON."""
    logging.getLogger("session_router").setLevel(logging.ERROR)
    warm = Times()
    stores, plain = [open_store(kind, place) for _ in range(handles)], Plain(port, size)
    for _, _ in zip(range(50), decisions(stores, plain, warm), strict=False):
        pass
    print("ready", flush=True)
    sys.stdin.readline()
    times, until = Times(), time.perf_counter() + seconds
    for _ in decisions(stores, plain, times):
        if time.perf_counter() > until:
            break
    for store in stores:
        store.close()
    print(json.dumps(asdict(times)))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6]))
