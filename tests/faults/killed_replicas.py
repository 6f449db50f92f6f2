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
from session_router.errors import StoreError
from session_router.stores.redis import RedisSessionStore
from support.replicas import KEY, POLICY, ROUTES, SECRET, Played, asker_of, replica
from values import ai, answered, human, tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from session_router.core.session import Session
    from session_router.core.step import Step

KINDS = {
    "unsafe_switches": " asked, ",
    "locks_lost": "is lost",
    "locks_that_never_end": "does not end",
    "uncleared_sends": "an uncleared model",
}
TURNS, LONGEST_LOOP, REPLICAS_AT_ONCE = 4, 4, 2
FIRST = "question 0"
UNLABELLED_IS_PUBLIC = replace(POLICY, unlabelled=PUBLIC)


class Fate:
    """Counts the points at which a replica may die, and dies at one of them."""

    def __init__(self, points: int) -> None:
        self._left = points

    def pass_by(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class MortalStore:
    """A store before and after each of whose answers the process may die."""

    def __init__(self, store: RedisSessionStore, fate: Fate) -> None:
        self._store, self._fate = store, fate

    def load(self, session: SessionId) -> Session | None:
        self._fate.pass_by()
        loaded = self._store.load(session)
        self._fate.pass_by()
        return loaded

    def commit(self, session: Session) -> bool:
        self._fate.pass_by()
        committed = self._store.commit(session)
        self._fate.pass_by()
        return committed

    async def aload(self, session: SessionId) -> Session | None:
        return self.load(session)

    async def acommit(self, session: Session) -> bool:
        return self.commit(session)


class Journal:
    """A session's history on disk, and what was decided about it. A line that is not whole was never written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, **line: object) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def lines(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        text = self._path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def steps(self) -> list[Step]:
        return [_step(line) for line in self.lines() if "role" in line]


def _step(line: dict[str, Any]) -> Step:
    match line["role"]:
        case "human":
            return human(line["text"], tag=SECRET if line["text"] == FIRST else None)
        case "tool":
            return tool(*line["answers"])
        case _:
            return ai(*line["asks"], by=line["by"])


class JournalAudit:
    """An audit log: the history's own file."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def append(self, record: Mapping[str, Any]) -> None:
        if "decision" in record:
            self._journal.append(audited=record["decision_id"])


def live(url: str, session: SessionId, journal: Journal, *, seed: int, points: int, broken: bool) -> None:
    """Go on with a session until it has all its turns, or until death."""
    draws, fate = random.Random(seed), Fate(points)
    store = RedisSessionStore(url, key=KEY)
    audit = None if broken else JournalAudit(journal)
    router = replica(MortalStore(store, fate), seed, policy=UNLABELLED_IS_PUBLIC, audit=audit)
    now = 1_000.0 + len(journal.lines())
    while True:
        steps = journal.steps()
        if asker_of(steps) is None:
            if steps and steps[-1].role is Role.AI and sum(step.role is Role.HUMAN for step in steps) >= TURNS:
                return
            if not steps or steps[-1].role is Role.AI:
                journal.append(role="human", text=f"question {len(steps)}")
        elif steps[-1].role is Role.AI:
            asked = [ask.id for ask in steps[-1].asks]
            fate.pass_by()
            # The tool ran; whether it did is not known to who comes after a death here: it is asked again.
            journal.append(ran=asked)
            fate.pass_by()
            journal.append(role="tool", answers=[*asked, "nobody asked"] if broken else asked)
        fate.pass_by()
        steps = journal.steps()
        now += 1.0
        transcript = Transcript().extended(steps)
        call = Call(transcript=transcript, question=Question(text="", turn=transcript.turn), now=now, session=session)
        decision = router.route(call)
        if broken:
            lock = Lock(kind=LockKind.TOOL_CALLS_UNANSWERED, model=decision.model) if asker_of(steps) is None else None
            decision = replace(decision, model=draws.choice(sorted(ROUTES)), lock=lock, tag=draws.choice([SECRET, PUBLIC]))
        played = Played()
        played.note(steps, decision)
        facts = {"wrong": played.wrong, "switched": decision.switched, "degraded": played.degraded}
        journal.append(decided=decision.model, id=decision.id, level=-1 if decision.tag is None else decision.tag.level, **facts)
        fate.pass_by()
        loop = next(number for number, step in enumerate(reversed(steps)) if step.role is Role.HUMAN) // 2
        asks = [f"call {len(steps)}"] if loop < LONGEST_LOOP and draws.random() < 0.7 else []
        journal.append(role="ai", asks=asks, by=decision.model)
        fate.pass_by()
        router.observe(decision, answered(decision.model, *asks, at=now + 0.5))


def race(stores: Sequence[RedisSessionStore], session: SessionId, counts: Counter[str], *, broken: bool) -> None:
    """Let two replicas that have read the same row commit what follows it: one may."""
    try:
        read = [store.load(session) for store in stores]
        committed: list[bool] = []
        for number, store in enumerate(stores):
            # A broken one looks again, and wins whatever it had decided from.
            one = store.load(session) if broken else read[number]
            if one is None:
                return
            committed.append(store.commit(replace(one.committed(), switches=one.switches + number)))
    except StoreError:
        # The server is in trouble: nobody can tell what became of it.
        return
    counts["races"] += 1
    counts["double_commits"] += all(committed)


def main(url: str, kills: int, seed: int, *, broken: bool = False) -> None:
    logging.getLogger("session_router").setLevel(logging.ERROR)
    # What a store and a router import is imported once, here.
    racing = [RedisSessionStore(url, key=KEY) for _ in range(2)]
    replica(racing[0])
    folder, draws, counts = Path.cwd(), random.Random(seed), Counter[str]()
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
                    live(url, session, journal, seed=own, points=points, broken=broken)
                    code = 0
                finally:
                    os._exit(code)
            running[child] = (session, journal)
        ended, status = os.wait()
        session, journal = running.pop(ended)
        code = os.waitstatus_to_exitcode(status)
        if code == -signal.SIGKILL:
            counts["killed"] += 1
            counts["killed_in_mid_loop"] += asker_of(journal.steps()) is not None
            lines = journal.lines()
            counts["killed_between_a_tool_and_its_result"] += bool(lines) and "ran" in lines[-1]
            race(racing, session, counts, broken=broken)
            waiting.append((session, journal))
        else:
            counts["finished"] += code == 0
            counts["failed"] += code != 0
    for journal in histories:
        count(journal, counts)
    print(json.dumps(counts))  # noqa: T201 -- the answer


def count(journal: Journal, counts: Counter[str]) -> None:
    """Count what a history says, by its own words alone."""
    ran, audited, highest = set[str](), set[str](), -1
    for line in journal.lines():
        counts["decisions"] += "decided" in line
        counts["switches"] += bool(line.get("switched"))
        counts["degraded"] += line.get("degraded", 0)
        counts["wrong"] += len(line.get("wrong", []))
        for kind, words in KINDS.items():
            counts[kind] += sum(words in wrong for wrong in line.get("wrong", []))
        audited.add(line.get("audited", ""))
        counts["without_audit_record"] += "decided" in line and line["id"] not in audited
        counts["tags_lowered"] += line.get("level", highest) < highest
        highest = max(highest, line.get("level", highest))
        ran.update(line.get("ran", []))
        counts["invented_results"] += len(set(line.get("answers", [])) - ran)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), broken=sys.argv[4:] == ["broken"])
