"""Agent runs that many replicas share: each call goes to a replica at random, whatever becomes of the store meanwhile.

The checks read the history alone: they share no code with what decides.
"""

from __future__ import annotations

import random
import threading
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from session_router.core.call import Call
from session_router.core.governance import Clearance, Level, Tag
from session_router.core.model import ModelName
from session_router.core.need import Need, Question
from session_router.core.policy import Policy
from session_router.core.session import SessionId
from session_router.core.step import Role, Step
from session_router.core.transcript import Transcript
from session_router.router import Router
from session_router.testing.session_store_suite import close
from support.invariants import asker_of, wrongs
from support.redis_servers import until
from values import FAST, OTHER, STRONG, ai, answered, human, spec, tool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from session_router.core.call import Outcome
    from session_router.core.decision import Decision
    from session_router.ports import SessionStore

KEY = b"k" * 32
SECRET = Tag(level=Level.CONFIDENTIAL)
CLEARED, UNCLEARED = Clearance(max_level=Level.RESTRICTED), Clearance(max_level=Level.PUBLIC)
ROUTES = {FAST: spec(1.0, clearance=CLEARED), STRONG: spec(10.0, clearance=CLEARED), OTHER: spec(0.1, clearance=UNCLEARED)}
POLICY = Policy(stake=1.0, margin=0.0, cap=None, unlabelled=SECRET)


class Restless:
    """A scorer that wants another model every time, the uncleared one included."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def score(self, question: Question, models: Mapping[ModelName, Any]) -> dict[ModelName, Need]:
        del question
        favourite = self._random.choice(sorted(models))
        return {name: Need(p_success=float(name == favourite)) for name in models}

    async def ascore(self, question: Question, models: Mapping[ModelName, Any]) -> dict[ModelName, Need]:
        return self.score(question, models)


def replica(store: SessionStore, seed: int = 0, *, policy: Policy = POLICY, **ports: Any) -> Router:
    return Router(ROUTES, policy=policy, scorer=Restless(seed), store=store, key=KEY, **ports)


@dataclass
class Played:
    """What was decided, and what of it was wrong."""

    decided: int = 0
    degraded: int = 0
    switches: int = 0
    locked: int = 0
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def healthy(self) -> int:
        return self.decided - self.degraded

    def note(self, history: Sequence[Step], decision: Decision) -> None:
        """Compare a decision with the history that it was made on."""
        wrong = wrongs(history, decision)
        with self.guard:
            self.decided += 1
            self.degraded += "store" in decision.evidence.degraded
            self.switches += decision.switched
            self.locked += asker_of(history) is not None
            self.wrong += wrong.values()

    def check(self, *, degraded: bool = True) -> None:
        """Nothing was wrong, and there was something that could have been."""
        assert not self.wrong, Counter(self.wrong)
        assert min(self.locked, self.switches, self.healthy) > 0, self
        assert not degraded or self.degraded > 0, self


class Run:
    """One session of an agent with tools."""

    def __init__(self, seed: int) -> None:
        self.session = SessionId(uuid.uuid4().hex * 2)
        self.steps: list[Step] = []
        self._random = random.Random(seed)
        self._made = 0
        self._now = 1_000.0

    def call(self, router: Router, played: Played) -> None:
        """One call of a model: a user's turn begins, or the loop goes on."""
        decision = router.route(self.next_call())
        router.observe(decision, self.answer(decision, played))

    async def acall(self, router: Router, played: Played) -> None:
        """The same on an event loop."""
        decision = await router.aroute(self.next_call())
        await router.aobserve(decision, self.answer(decision, played))

    def next_call(self) -> Call:
        if asker_of(self.steps) is None:
            self.steps.append(human(f"question {self._name()}", tag=SECRET))
        elif self.steps[-1].role is Role.AI:
            self.steps.append(tool(*(ask.id for ask in self.steps[-1].asks), tag=SECRET))
        self._now += 1.0
        transcript = Transcript().extended(self.steps)
        return Call(transcript=transcript, question=Question(text="", turn=transcript.turn), now=self._now, session=self.session)

    def answer(self, decision: Decision, played: Played) -> Outcome:
        played.note(self.steps, decision)
        asks = [self._name()] if self._random.random() < 0.6 else []
        self.steps.append(ai(*asks, by=decision.model, tag=SECRET))
        return answered(decision.model, *asks, at=self._now + 0.5)

    def _name(self) -> str:
        self._made += 1
        return f"{self._made}"


@contextmanager
def playing(open_store: Callable[[], SessionStore], *, replicas: int = 3, threads: int = 3) -> Iterator[Played]:
    """Play sessions on several replicas, from several threads, while the block runs."""
    played, ended = Played(), threading.Event()
    with ExitStack() as stack:
        stores = [open_store() for _ in range(replicas)]
        for store in stores:
            stack.callback(close, store)
        routers = [replica(store, seed) for seed, store in enumerate(stores)]

        def play(seed: int) -> None:
            draws = random.Random(seed)
            while not ended.is_set():
                run = Run(draws.randrange(10**9))
                for _ in range(12):
                    run.call(draws.choice(routers), played)
                    if ended.is_set():
                        return

        with ThreadPoolExecutor(threads) as pool:
            going = [pool.submit(play, seed) for seed in range(threads)]
            try:
                yield played
            finally:
                ended.set()
            for one in going:
                one.result()
        for store in stores:
            played.counts.update(getattr(store, "counts", dict)())


def some(played: Played, what: str, number: int = 20) -> None:
    """Wait until so many more decisions of a kind were made: `healthy`, `degraded` or `decided`."""
    begun = getattr(played, what)
    until(lambda: getattr(played, what) >= begun + number or played.wrong, f"{number} decisions that are {what}")
