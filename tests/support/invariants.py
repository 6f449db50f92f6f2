"""What must never happen while processes die and servers fail: one oracle for all runs.

It reads histories alone, and shares no code with what decides. Whatever is found is named after the invariant that it breaks.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from session_router.core.step import Role
from session_router.errors import StoreError
from values import OTHER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from session_router.core.decision import Decision
    from session_router.core.governance import Tag
    from session_router.core.session import SessionId
    from session_router.core.step import Step
    from session_router.ports import SessionStore

INVARIANTS: Final = (
    "unsafe_switches",
    "locks_lost",
    "locks_that_never_end",
    "uncleared_sends",
    "invented_results",
    "without_audit_record",
    "tags_lowered",
    "double_commits",
)
OF_AGENTS: Final = (*INVARIANTS, "crossed_hits", "broken_requests", "sessions_that_cannot_go_on")
"""What must not happen to agents with a cache and providers either: an answer of another partition, a request that breaks a provider's
rules, a session that nobody kills and that comes to no end."""
UNKNOWN_OUTCOME: Final = "The outcome of this call is unknown: it may or may not have run."
"""All that may be said of a call whose result nobody has."""


def asker_of(history: Sequence[Step]) -> str | None:
    """Who must go on: whose calls the history ends with, answered or not."""
    for step in reversed(history):
        if step.role is Role.AI:
            return step.author if step.asks else None
        if step.role is not Role.TOOL:
            return None
    return None


def wrongs(
    history: Sequence[Step],
    decision: Decision,
    *,
    barred: Collection[str] = (OTHER,),
    least: Tag | None = None,
    may_refuse: bool = False,
) -> dict[str, str]:
    """Compare a decision with the history that it was made on; return what is wrong in words, by the invariant that it breaks.

    Args:
        history: As it is about to be sent.
        decision: What was decided.
        barred: Who may not see it.
        least: The label that it bears, at least.
        may_refuse: Whether nobody may be able to answer.
    """
    asker, wrong = asker_of(history), dict[str, str]()
    if decision.model is None and decision.hit is None and not may_refuse:
        wrong["refused"] = "refused"
    if decision.model in barred:
        wrong["uncleared_sends"] = f"an uncleared model was chosen: {decision.model}"
    if asker is not None and asker not in barred:
        if decision.hit is not None or decision.model not in {None, asker}:
            wrong["unsafe_switches"] = f"{asker} asked, {decision.model} was chosen"
        if decision.lock is None:
            wrong["locks_lost"] = f"the lock of {asker} is lost"
    if asker is None and decision.lock is not None:
        wrong["locks_that_never_end"] = f"the lock of {decision.lock.model} does not end"
    if least is not None and decision.tag is not None and decision.tag.level < least.level:
        wrong["tags_lowered"] = f"{least.level!r} was read, {decision.tag.level!r} was decided on"
    return wrong


class Journal:
    """What became of a session, on disk, by all processes that had to do with it. A line that is not whole was never written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, **line: object) -> None:
        """Write one line. It outlives this process."""
        row = (json.dumps(line) + "\n").encode()
        # One call of the system, at the end of the file wherever that is: no line stands inside another one.
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, row)
        finally:
            os.close(file)

    def decided(self, decision: Decision, wrong: Mapping[str, str], **more: object) -> None:
        """Write down a decision and what is wrong with it."""
        facts = {"wrong": wrong, "switched": decision.switched, "degraded": "store" in decision.evidence.degraded}
        self.append(decided=decision.model, id=decision.id, **facts, **more)

    def lines(self) -> list[dict[str, Any]]:
        """Return all lines."""
        if not self._path.exists():
            return []
        text = self._path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


class JournalAudit:
    """An audit log: the session's own journal."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    def append(self, record: Mapping[str, Any]) -> None:
        """Write down that there is a record."""
        if "decision" in record:
            self.journal.append(audited=record["decision_id"])


def count(journals: Iterable[Journal]) -> Counter[str]:
    """Count what sessions' journals say, by their own words alone."""
    counts, commits = Counter[str](), Counter[tuple[object, ...]]()
    ran, answered = dict[str, set[str]](), set[tuple[str, str]]()
    kept, hits = dict[str, list[str]](), list[tuple[str, list[str]]]()
    for journal in journals:
        audited = set[str]()
        for line in journal.lines():
            counts["decisions"] += "decided" in line
            for fact in ("switched", "degraded"):
                counts[fact] += bool(line.get(fact))
            audited.add(line.get("audited", ""))
            counts["without_audit_record"] += "decided" in line and line["id"] not in audited
            wrong = line.get("wrong", {})
            counts["wrong"] += len(wrong)
            counts.update(wrong.keys())
            for call, result in line.get("ran", {}).items():
                ran.setdefault(call, set()).add(result)
            answered.update(line.get("answers", {}).items())
            if "kept" in line:
                kept[line["kept"]] = line["by"]
            if "hit" in line:
                hits.append((line["hit"], line["by"]))
            counts["runs_that_ended_in_an_error"] += "error" in line
            counts["runs_on_event_loops"] += line.get("on_event_loop", False)
            counts["races_lost"] += "lost" in line
            counts["moved_by_another_run"] += "moved_by_another_run" in line
            if "committed" in line:
                commits[tuple(line["committed"])] += 1
    counts["invented_results"] += invented(answered, ran)
    counts["hits"], counts["crossed_hits"] = len(hits), sum(kept.get(hit) != by for hit, by in hits)
    counts["commits"] = commits.total()
    counts["double_commits"] += sum(times - 1 for times in commits.values())
    return counts


def invented(answered: Iterable[tuple[str, str]], ran: Mapping[str, Collection[str]]) -> int:
    """Count results, by the call that they answer, that no tool has given."""
    return sum(result != UNKNOWN_OUTCOME and result not in ran.get(call, ()) for call, result in answered)


def failures_in(journals: Iterable[Journal]) -> list[str]:
    """Return what nobody had thought of."""
    return [line["failed"] for journal in journals for line in journal.lines() if "failed" in line]


def moved_by_another_run(journals: Iterable[Journal]) -> set[str]:
    """Return the calls whose results another model had to read: of two runs of a session, the other one had read what theirs may not."""
    return {call for journal in journals for line in journal.lines() for call in line.get("moved_by_another_run", ())}


def ran_in(journals: Iterable[Journal]) -> dict[str, set[str]]:
    """Return what tools have given, by the call."""
    ran = dict[str, set[str]]()
    for journal in journals:
        for line in journal.lines():
            for call, result in line.get("ran", {}).items():
                ran.setdefault(call, set()).add(result)
    return ran


def race(stores: Sequence[SessionStore], session: SessionId, counts: Counter[str], *, broken: bool) -> None:
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
    counts["races_won_twice"] += all(committed)
    counts["double_commits"] += all(committed)
