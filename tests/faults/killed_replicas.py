"""Whole agent runs on replicas that are killed at random points: each replica is a process, and the next one goes on from the history.

Arguments: the URL of a Redis server; the number of kills; a seed; and `broken`, for replicas that go where they like, so that the
checks have something to find. Prints counts as JSON.

The history is written by the process that makes it, step by step, as a framework's checkpoint is; what the router keeps is in Redis.
A replica dies by SIGKILL before or after any effect of its router, any answer of a model, and any call of a tool. Only what was said
first bears a label: whatever comes later has it from the history. After each death, two replicas race to take the session on.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from session_router.core.boundary import Lock, LockKind
from session_router.core.call import Call
from session_router.core.governance import PUBLIC
from session_router.core.need import Question
from session_router.core.session import SessionId
from session_router.core.step import Role
from session_router.core.transcript import Transcript
from session_router.stores.redis import RedisSessionStore
from support.invariants import Journal, JournalAudit, asker_of, count, race, wrongs
from support.mortal import EPOCH, Epoch, Fate, MortalStore
from support.replicas import KEY, POLICY, ROUTES, SECRET, replica
from values import ai, answered, human, tool

if TYPE_CHECKING:
    from session_router.core.step import Step

TURNS, LONGEST_LOOP, REPLICAS_AT_ONCE = 4, 4, 2
FIRST = "question 0"
UNLABELLED_IS_PUBLIC = replace(POLICY, unlabelled=PUBLIC)


def steps_of(journal: Journal) -> list[Step]:
    """Return a session's history: its journal holds that too."""
    return [_step(line) for line in journal.lines() if "role" in line]


def _step(line: dict[str, Any]) -> Step:
    match line["role"]:
        case "human":
            return human(line["text"], tag=SECRET if line["text"] == FIRST else None)
        case "tool":
            return tool(*line["answers"])
        case _:
            return ai(*line["asks"], by=line["by"])


def live(url: str, epoch: Epoch, session: SessionId, journal: Journal, *, seed: int, points: int, broken: bool) -> None:
    """Go on with a session until it has all its turns, or until death."""
    draws, fate = random.Random(seed), Fate(points)
    store = MortalStore(RedisSessionStore(url, key=KEY), fate, epoch=epoch, note=journal.append)
    audit = None if broken else JournalAudit(journal)
    router = replica(store, seed, policy=UNLABELLED_IS_PUBLIC, audit=audit)
    now = 1_000.0 + len(journal.lines())
    while True:
        steps = steps_of(journal)
        if asker_of(steps) is None:
            if steps and steps[-1].role is Role.AI and sum(step.role is Role.HUMAN for step in steps) >= TURNS:
                return
            if not steps or steps[-1].role is Role.AI:
                journal.append(role="human", text=f"question {len(steps)}")
        elif steps[-1].role is Role.AI:
            asked = [ask.id for ask in steps[-1].asks]
            fate.pass_by()
            # The tool ran; whether it did is not known to who comes after a death here: it is asked again.
            journal.append(ran={ask: f"result of {ask}" for ask in asked})
            fate.pass_by()
            journal.append(role="tool", answers={ask: "made up" if broken else f"result of {ask}" for ask in asked})
        fate.pass_by()
        steps = steps_of(journal)
        now += 1.0
        transcript = Transcript().extended(steps)
        call = Call(transcript=transcript, question=Question(text="", turn=transcript.turn), now=now, session=session)
        decision = router.route(call)
        if broken:
            lock = Lock(kind=LockKind.TOOL_CALLS_UNANSWERED, model=decision.model) if asker_of(steps) is None else None
            decision = replace(decision, model=draws.choice(sorted(ROUTES)), lock=lock, tag=draws.choice([SECRET, PUBLIC]))
        journal.decided(decision, wrongs(steps, decision, least=SECRET))
        fate.pass_by()
        loop = next(number for number, step in enumerate(reversed(steps)) if step.role is Role.HUMAN) // 2
        asks = [f"call {len(steps)}"] if loop < LONGEST_LOOP and draws.random() < 0.7 else []
        journal.append(role="ai", asks=asks, by=decision.model)
        fate.pass_by()
        router.observe(decision, answered(decision.model, *asks, at=now + 0.5))


def main(url: str, kills: int, seed: int, *, broken: bool = False) -> None:
    logging.getLogger("session_router").setLevel(logging.ERROR)
    # What a store and a router import is imported once, here.
    racing = [RedisSessionStore(url, key=KEY) for _ in range(2)]
    replica(racing[0])
    folder, draws, counts = Path.cwd(), random.Random(seed), Counter[str]()
    epoch = Epoch(folder / EPOCH)
    running: dict[int, tuple[SessionId, Journal]] = {}
    waiting = [(SessionId(uuid.uuid4().hex * 2), Journal(folder / f"{seed}-0.jsonl"))]
    histories = [waiting[0][1]]
    while counts["killed"] < kills or running:
        while len(running) < REPLICAS_AT_ONCE and counts["killed"] + len(running) < kills:
            if not waiting:
                journal = Journal(folder / f"{seed}-{len(histories)}.jsonl")
                histories.append(journal)
                waiting.append((SessionId(uuid.uuid4().hex * 2), journal))
            session, journal = waiting.pop()
            points, own = draws.randrange(1, 60), draws.randrange(10**9)
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    live(url, epoch, session, journal, seed=own, points=points, broken=broken)
                    code = 0
                finally:
                    os._exit(code)
            running[child] = (session, journal)
        ended, status = os.wait()
        session, journal = running.pop(ended)
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGKILL:
            counts["killed"] += 1
            counts["killed_in_mid_loop"] += asker_of(steps_of(journal)) is not None
            lines = journal.lines()
            counts["killed_between_a_tool_and_its_result"] += bool(lines) and "ran" in lines[-1]
            race(racing, session, counts, broken=broken)
            waiting.append((session, journal))
        else:
            counts["finished"] += code == 0
            counts["failed"] += code != 0
    counts += count(histories)
    print(json.dumps(counts))  # noqa: T201 -- the answer


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), broken=sys.argv[4:] == ["broken"])
