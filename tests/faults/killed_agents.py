"""Whole runs of agents of LangChain and LangGraph, in processes that are killed at random points; the next one goes on from the checkpoint.

Arguments: the file with the settings; the number of kills; a seed; and `broken`, for agents of which the protection was taken away, so
that the checks have something to find. Prints counts as JSON.

Every life is forked from here, where all is imported and built. Half of them die by SIGKILL at a time that was drawn, half before or
after an effect that was drawn: of the store, the cache, the audit log, the checkpointer, a provider or a tool. Some sessions are gone
on with by two processes at once. In the end, those that are not over are gone on with until they are: nobody is killed any more.
"""

from __future__ import annotations

import gc
import importlib
import json
import logging
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import anthropic
import openai

from session_router.core.session import SessionId
from session_router.stores.redis import RedisSessionStore
from support.broken_agents import break_
from support.invariants import race
from support.mortal import Fate
from support.mortal_agents import KEY, TIMEOUT_SECONDS, Agents
from support.mortal_lives import DOORS, Lives, Session, sessions_of

if TYPE_CHECKING:
    from collections.abc import Sequence

AT_ONCE = 4
RACING_SHARE = 0.3
MOST_POINTS, SHORTEST_SECONDS, LONGEST_SECONDS = 120, 0.05, 0.8
ATTEMPTS, LAST_ATTEMPTS = 8, 60
OVER, FAILED, GAVE_UP = 0, 1, 3


@dataclass
class Life:
    """A process that goes on with a session; it is killed when it is due."""

    session: Session
    mortal: bool
    due: float | None


@dataclass
class Play:
    """All lives that are forked from this process."""

    agents: Sequence[Agents]
    lives: Lives
    kills: int
    seed: int
    broken: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    living: dict[int, Life] = field(default_factory=dict)
    over: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.draws = random.Random(self.seed)
        self.new = sessions_of(f"session-{self.seed}")
        self.waiting: deque[Session] = deque()
        self.failed: list[Session] = []
        self.racing = [RedisSessionStore(self.agents[-1].sessions.servers, key=KEY) for _ in range(2)]

    def play(self) -> Counter[str]:
        """Kill so many, and let the sessions that are left come to their ends."""
        while self.counts["killed"] < self.kills:
            while len(self.living) < AT_ONCE and self.counts["killed"] + len(self.living) < self.kills:
                session = self._next()
                for _ in range(2 if self.draws.random() < RACING_SHARE else 1):
                    self._fork(session, mortal=True)
            self._wait()
        while self.living:
            self._wait()
        self.waiting.extend(self.failed)
        while self.waiting or self.living:
            while self.waiting and len(self.living) < AT_ONCE:
                self._fork(self.waiting.popleft(), mortal=False)
            self._wait()
        return self.counts

    def _next(self) -> Session:
        # Several at a time, so that they meet in the cache; not so many that none is ever over.
        if len(self.waiting) < AT_ONCE:
            self.waiting.extend(islice(self.new, AT_ONCE))
        return self.waiting.popleft()

    def _fork(self, session: Session, *, mortal: bool) -> None:
        draws, seed, due, fate = self.draws, self.draws.randrange(10**9), None, Fate()
        if mortal and draws.random() < 0.5:
            fate = Fate(draws.randrange(1, MOST_POINTS))
        elif mortal:
            due = time.monotonic() + draws.uniform(SHORTEST_SECONDS, LONGEST_SECONDS)
        child = os.fork()
        if child == 0:
            code = FAILED
            try:
                code = self._live(session, fate, seed=seed, mortal=mortal)
            except BaseException:  # noqa: BLE001 -- whatever it was, it is told, and this process ends
                # Whoever printed here would print what its parent had not yet written, too.
                self.lives.note(failed=traceback.format_exc())
            finally:
                os._exit(code)
        self.living[child] = Life(session, mortal, due)

    def _live(self, session: Session, fate: Fate, *, seed: int, mortal: bool) -> int:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        agents = self.agents[seed % len(self.agents)]
        agents.begin(session, seed=seed, fate=fate)
        if self.broken:
            break_(agents)
        return OVER if agents.live(session, attempts=ATTEMPTS if mortal else LAST_ATTEMPTS) else GAVE_UP

    def _wait(self) -> None:
        """Wait until a process ends, and kill those that are due."""
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child:
                self._ended(self.living.pop(child), os.waitstatus_to_exitcode(status))
                return
            now = time.monotonic()
            for number, life in self.living.items():
                if life.due is not None and life.due <= now:
                    os.kill(number, signal.SIGKILL)
                    life.due = None
            due = min((life.due for life in self.living.values() if life.due is not None), default=now + 1.0)
            signal.sigtimedwait({signal.SIGCHLD}, max(0.0, due - now))

    def _ended(self, life: Life, code: int) -> None:
        session, counts = life.session, self.counts
        if code == -signal.SIGKILL:
            self._killed(session)
        elif code == OVER:
            self.over.add(session.thread)
            counts["over"] += 1
        else:
            counts["gave_up" if code == GAVE_UP else "failed"] += 1
            if code < 0:
                # It had no time to say why.
                self.agents[0].journal_of(session).append(failed=f"ended by signal {-code}")
            # Whom nobody kills has as many attempts as anybody could want.
            counts["sessions_that_cannot_go_on"] += not life.mortal
        others = any(other.session.thread == session.thread for other in self.living.values())
        if session.thread not in self.over and not others and life.mortal:
            # Who failed has its last chance in the end.
            (self.failed if code == FAILED else self.waiting).append(session)

    def _killed(self, session: Session) -> None:
        lines = self.agents[0].journal_of(session).lines()
        self.counts["killed"] += 1
        self.counts["killed_between_a_tool_and_its_result"] += bool(lines) and "ran" in lines[-1]
        said = next((line["said"] for line in reversed(lines) if "said" in line), [])
        self.counts["killed_in_mid_loop"] += bool(said)
        stored = next((line["session"] for line in reversed(lines) if "session" in line), None)
        if stored is not None:
            race(self.racing, SessionId(stored), self.counts, broken=self.broken)


def die_at_requests(lives: Lives) -> None:
    """Let processes die before and after a provider is asked."""
    for client in (openai.DefaultHttpxClient, anthropic.DefaultHttpxClient):
        names = [base.__module__.partition(".")[0] for base in client.__mro__]
        library: Any = importlib.import_module(next(name for name in names if name.startswith("httpx")))
        transport, asynchronous = library.HTTPTransport, library.AsyncHTTPTransport
        if getattr(transport.handle_request, "is_ours", False):
            continue

        def handle(self: Any, request: Any, handle_request: Any = transport.handle_request) -> Any:
            lives.pass_by()
            response = handle_request(self, request)
            lives.pass_by()
            return response

        async def ahandle(self: Any, request: Any, handle_request: Any = asynchronous.handle_async_request) -> Any:
            lives.pass_by()
            response = await handle_request(self, request)
            lives.pass_by()
            return response

        handle.is_ours = True  # type: ignore[attr-defined]
        transport.handle_request, asynchronous.handle_async_request = handle, ahandle


def main(path: str, kills: int, seed: int, *, broken: bool) -> None:
    """Play, and print what came of it."""
    logging.getLogger("session_router").setLevel(logging.CRITICAL)
    settings, folder = json.loads(Path(path).read_text(encoding="utf-8")), Path.cwd()
    lives = Lives(settings["words"])
    die_at_requests(lives)
    agents = [Agents(settings, url, folder, lives) for url in settings["redis"]]
    warm_up(Agents(settings, settings["redis"][-1], folder, lives, timeout=TIMEOUT_SECONDS + 0.001))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    play = Play(agents, lives, kills, seed, broken)
    # What is here stays where it is: whoever is forked copies no page because it counts references, or looks for garbage.
    gc.collect()
    gc.freeze()
    print(json.dumps(play.play()))  # noqa: T201 -- the answer


def warm_up(agents: Agents) -> None:
    """Live once through each door: what is imported or built at first use is then there for all. Nobody else uses these connections."""
    for session in islice(sessions_of("first"), len(DOORS) * 2):
        agents.begin(session, seed=0, fate=Fate())
        agents.live(session, attempts=ATTEMPTS)
    agents.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), broken=sys.argv[4:] == ["broken"])
