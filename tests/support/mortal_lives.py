"""A life of an agent: which session it goes on with, when it ends, and what is seen of it; and its ports, at which it may end.

Everything here is the same object in all lives, and is told by `Agents.begin` which one it is in.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.sqlite import SqliteSaver

from session_router.core.decision import Reason
from session_router.core.governance import join
from session_router.core.step import Role
from support.agents import provider_id
from support.invariants import JournalAudit, asker_of, wrongs
from support.kill_providers import ANSWER, BARRED_FROM, LABELS, WORD
from support.mortal import Fate
from values import ai, human
from values import tool as answers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from langchain_core.messages import BaseMessage

    from session_router import SemanticCache
    from session_router.core.decision import Decision
    from session_router.core.step import Step

DOORS: Final = ("middleware", "chat model", "node")
TENANTS: Final = ("acme", "globex")


@dataclass(frozen=True, kw_only=True)
class Session:
    """One conversation.

    Attributes:
        thread: Its name.
        door: How its agent is built.
        tenant: Whose it is.
        label: Of what its user says first.
        like_others: Whether its first question is everybody's, and needs no tool; else its first answer may already be in a tool loop.
    """

    thread: str
    door: str
    tenant: str
    label: str
    like_others: bool = True

    @property
    def config(self) -> Any:
        """Return the config of its runs."""
        return {"configurable": {"thread_id": self.thread}, "recursion_limit": 60}


def sessions_of(prefix: str) -> Iterator[Session]:
    """Yield sessions, of all kinds in turn."""
    number = 0
    while True:
        door, tenant = DOORS[number % 3], TENANTS[number // 3 % 2]
        label = ("public", "public", "internal", "secret")[number // 6 % 4]
        like_others = number // 3 % 4 < 3
        yield Session(thread=f"{prefix}-{number}", door=door, tenant=tenant, label=label, like_others=like_others)
        number += 1


class Saver(SqliteSaver):
    """A checkpointer before and after each of whose answers the process may die."""

    fate = Fate()

    def put(self, *arguments: Any, **named: Any) -> Any:
        """Do what the checkpointer does."""
        self.fate.pass_by()
        put = super().put(*arguments, **named)
        self.fate.pass_by()
        return put

    def put_writes(self, *arguments: Any, **named: Any) -> None:
        """Do what the checkpointer does."""
        self.fate.pass_by()
        super().put_writes(*arguments, **named)
        self.fate.pass_by()

    # Runs on an event loop write to the same file, by the same connection.

    async def aget_tuple(self, *arguments: Any, **named: Any) -> Any:
        """Do what the checkpointer does."""
        return self.get_tuple(*arguments, **named)

    async def aput(self, *arguments: Any, **named: Any) -> Any:
        """Do what the checkpointer does."""
        return self.put(*arguments, **named)

    async def aput_writes(self, *arguments: Any, **named: Any) -> None:
        """Do what the checkpointer does."""
        self.put_writes(*arguments, **named)


def saver_at(path: Path) -> Saver:
    """Open the checkpoints. What a process has written outlives it; that a power cut be survived as well is not the question here."""
    connection = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
    connection.execute("PRAGMA synchronous=OFF")
    return Saver(connection)


class Lives:
    """What one process knows of the life that it leads: everything that is not the same in all of them.

    Args:
        words: Words that stand for data, by label.

    Attributes:
        fate: When it ends.
        journal: Of the session.
        session: The session.
        messages: The history that is about to be sent.
    """

    def __init__(self, words: Mapping[str, Sequence[str]]) -> None:
        self._label_of = {word: label for label, of_label in words.items() for word in of_label}
        self.fate = Fate()
        self.journal: Any = None
        self.session: Any = None
        self.messages: Sequence[BaseMessage] = ()

    def pass_by(self) -> None:
        """Go past one point, or not."""
        self.fate.pass_by()

    def note(self, **line: object) -> None:
        """Write a line about the session."""
        self.journal.append(**line)

    # As an observer

    def on_decision(self, decision: Decision) -> None:
        """Compare a decision with the history that it was made on."""
        self.pass_by()
        steps, labels = steps_of(self.messages), self.labels_of(self.messages)
        barred = {name for label in labels for name in BARRED_FROM[label]}
        least = join(*(LABELS[label] for label in labels)) if labels else None
        wrong = wrongs(steps, decision, barred=barred, least=least, may_refuse=True)
        if decision.refused and not self.may_be_refused(decision):
            wrong["refused"] = f"refused: {decision.reason}"
        said = {} if decision.hit is None else {"hit": answer_in(str(decision.hit.answer.content)), "by": self.whose}
        facts = {"session": decision.session_id, "in_loop": asker_of(steps) is not None, "reason": decision.reason.value}
        facts |= {"read": sorted(labels)} if decision.model is not None else {}
        if "unsafe_switches" in wrong and self.another_run_moved(steps, decision):
            del wrong["unsafe_switches"]
            facts["moved_by_another_run"] = [step.answers[0] for step in steps if step.role is Role.TOOL]
        self.journal.decided(decision, wrong, **facts, **said)
        self.pass_by()

    def on_outcome(self, decision: Decision, outcome: Any) -> None:
        """Write down whether a loop goes on."""
        if outcome.error is None:
            self.note(said=[ask.id for ask in outcome.asks], by=decision.model)

    def another_run_moved(self, steps: Sequence[Step], decision: Decision) -> bool:
        """Whether the loop's model lost its clearance by what a run of the same session has read that this one has not.

        Where nodes call models of their own, answers bear no label, and the session's counts, whichever run read what.
        """
        if self.session.door != "node" or decision.reason is not Reason.LOST_CLEARANCE:
            return False
        read = {label for line in self.journal.lines() for label in line.get("read", ())}
        return any(asker_of(steps) in BARRED_FROM[label] for label in read)

    def labels_of(self, messages: Sequence[BaseMessage]) -> set[str]:
        """Return the labels of the data that stands in messages."""
        texts = (str(message.content) + str(getattr(message, "tool_calls", "")) for message in messages)
        return {self._label_of[word] for text in texts for word in WORD.findall(text)}

    @staticmethod
    def may_be_refused(decision: Decision) -> bool:
        """Whether it is nobody's fault here: models that are ill or have all failed, labels that a lost store cannot tell, or be told."""
        may = {"not_healthy"}
        if "store" in decision.evidence.degraded:
            may |= {"not_handed_on", "not_cleared"}
        if any(one.excluded == "it has just failed" for one in decision.evidence.candidates):
            may.add("not_capable")
        return decision.reason.value in may

    @property
    def whose(self) -> list[str]:
        """Return with whom answers may be shared: those who are in the same partition."""
        return [self.session.tenant, self.session.label]


def steps_of(messages: Sequence[BaseMessage]) -> list[Step]:
    """Return a history as the oracle reads it."""
    steps: list[Step] = []
    for message in messages:
        if isinstance(message, HumanMessage):
            steps.append(human(message.text))
        elif isinstance(message, ToolMessage):
            steps.append(answers(message.tool_call_id))
        elif isinstance(message, AIMessage):
            by = provider_id(message)
            steps.append(ai(*(str(call["id"]) for call in message.tool_calls), by=None if by is None else by.removeprefix("sim-")))
    return steps


def answer_in(text: str) -> str | None:
    """Return what tells an answer from all others."""
    found = ANSWER.search(text)
    return None if found is None else found.group()


class MortalCache:
    """A response cache before and after each of whose answers the process may die. What is kept is written down before."""

    def __init__(self, cache: SemanticCache, lives: Lives) -> None:
        self._cache, self._lives = cache, lives

    def look_up(self, question: Any) -> Any:
        """Do what the cache does."""
        self._lives.pass_by()
        found = self._cache.look_up(question)
        self._lives.pass_by()
        return found

    def store(self, question: Any, answer: Any) -> str | None:
        """Do what the cache does."""
        self._lives.note(kept=answer_in(str(answer.content)), by=self._lives.whose)
        self._lives.pass_by()
        refused = self._cache.store(question, answer)
        self._lives.pass_by()
        return refused

    async def alook_up(self, question: Any) -> Any:
        """Do what the cache does."""
        self._lives.pass_by()
        found = await self._cache.alook_up(question)
        self._lives.pass_by()
        return found

    async def astore(self, question: Any, answer: Any) -> str | None:
        """Do what the cache does."""
        self._lives.note(kept=answer_in(str(answer.content)), by=self._lives.whose)
        self._lives.pass_by()
        refused = await self._cache.astore(question, answer)
        self._lives.pass_by()
        return refused

    def abandon(self, question: Any) -> None:
        """Do what the cache does."""
        self._cache.abandon(question)

    def veto(self, hit: Any) -> None:
        """Do what the cache does."""
        self._cache.veto(hit)

    async def aveto(self, hit: Any) -> None:
        """Do what the cache does."""
        await self._cache.aveto(hit)


class LivesAudit(JournalAudit):
    """An audit log: the journal of whatever session it is."""

    def __init__(self, lives: Lives) -> None:
        self._lives = lives

    def append(self, record: Mapping[str, Any]) -> None:
        """Write down that there is a record."""
        self._lives.pass_by()
        self.journal = self._lives.journal
        super().append(record)
        self._lives.pass_by()


class Looks(AgentMiddleware):
    """Sees what an agent is about to send, before anybody decides about it."""

    def __init__(self, lives: Lives) -> None:
        super().__init__()
        self._lives = lives

    def wrap_model_call(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        """Look."""
        self._lives.messages = request.messages
        return handler(request)

    async def awrap_model_call(self, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        """Look."""
        self._lives.messages = request.messages
        return await handler(request)
