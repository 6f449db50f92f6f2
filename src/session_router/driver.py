"""Performs what the flow asks for, sync and async, and decides nothing itself."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar, cast

from session_router.core.cached import CacheMiss
from session_router.core.effects import (
    AbandonAnswer,
    AppendOutcome,
    AppendRecord,
    AskHealth,
    CommitSession,
    Failed,
    Learn,
    LoadSession,
    LookUpAnswer,
    ReadPopulation,
    RecallSession,
    RewriteQuestion,
    ScoreNeed,
    VetoAnswer,
)
from session_router.core.population import are_due
from session_router.core.session import Session
from session_router.known_population import KnownPopulation
from session_router.waiting import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from session_router.core.cached import CacheQuestion
    from session_router.core.effects import Effect
    from session_router.core.population import Lesson
    from session_router.core.session import SessionId
    from session_router.health import HealthBoard
    from session_router.ports import ResponseCache, Scorer, SessionStore
    from session_router.recorder import Recorder
    from session_router.rewriting import Rewriting
    from session_router.waiting import Waiting

logger = logging.getLogger("session_router")

Result = TypeVar("Result")

Way: TypeAlias = "Callable[[Any], Any]"
"""How an effect of one kind is performed: what it returns is the answer, or is awaited for it."""


class Parts(Protocol):
    """What a router is made of; each may be put in another's place between two calls.

    Attributes:
        store: Where sessions live.
        scorer: Predicts need.
        cache: Where answers may be replayed from; `None` for none.
        rewriter: Makes questions stand alone; `None` for none.
        health: What this process knows of its models; `None` for no notice of health.
    """

    store: SessionStore
    scorer: Scorer
    cache: ResponseCache | None
    rewriter: Rewriting | None
    health: HealthBoard | None


class Driver:
    """Pumps flows: performs each effect, and sends back its value, or that it failed. Safe for threads and event loops.

    Args:
        parts: With what effects are performed.
        recorder: Writes the audit log.
        waiting: Performs what is about models that are not healthy.
    """

    def __init__(self, parts: Parts, recorder: Recorder, waiting: Waiting) -> None:
        self._parts = parts
        self._lessons: list[Lesson] = []
        self._population = KnownPopulation()
        # By type, and not one after the other: a decision asks for half a dozen effects of fifteen kinds.
        self._at_once: Mapping[type[Effect], Way] = {
            AbandonAnswer: lambda effect: self.abandon(effect.question),
            Learn: lambda effect: self._learn(effect.lesson),
            RecallSession: lambda effect: _recalled(parts.store, effect),
            AskHealth: lambda effect: None if parts.health is None else parts.health.view(effect.now),
        }
        self._blocking: Mapping[type[Effect], Way] = {
            **self._at_once,
            LoadSession: lambda effect: parts.store.load(effect.session),
            ReadPopulation: self._read_population,
            CommitSession: self._commit,
            ScoreNeed: lambda effect: parts.scorer.score(effect.question, effect.models),
            AppendRecord: recorder.record,
            AppendOutcome: recorder.record,
            LookUpAnswer: lambda effect: None if parts.cache is None else parts.cache.look_up(effect.question),
            VetoAnswer: lambda effect: None if parts.cache is None else parts.cache.veto(effect.hit),
            RewriteQuestion: lambda effect: (
                None if parts.cache is None or parts.rewriter is None else parts.rewriter.ask(effect.conversation.said)
            ),
            **dict.fromkeys(WAITING, lambda effect: waiting.perform(effect, self.drive)),
        }
        self._awaited: Mapping[type[Effect], Way] = {
            LoadSession: lambda effect: parts.store.aload(effect.session),
            ReadPopulation: self._aread_population,
            CommitSession: self._acommit,
            ScoreNeed: lambda effect: parts.scorer.ascore(effect.question, effect.models),
            AppendRecord: recorder.arecord,
            AppendOutcome: recorder.arecord,
            LookUpAnswer: lambda effect: _nothing() if parts.cache is None else parts.cache.alook_up(effect.question),
            VetoAnswer: lambda effect: _nothing() if parts.cache is None else parts.cache.aveto(effect.hit),
            RewriteQuestion: lambda effect: (
                _nothing() if parts.cache is None or parts.rewriter is None else parts.rewriter.aask(effect.conversation.said)
            ),
            **dict.fromkeys(WAITING, lambda effect: waiting.aperform(effect, self.adrive)),
        }

    def drive(self, flow: Generator[Effect, Any, Result]) -> Result:
        """Pump `flow`, and return what it comes to."""
        missed: CacheQuestion | None = None
        try:
            effect = next(flow)
            while True:
                try:
                    answer = self._blocking[type(effect)](effect)
                except Exception as error:  # noqa: BLE001 -- degrading is the flow's decision
                    answer = _failed(effect, error)
                if isinstance(effect, LookUpAnswer) and isinstance(answer, CacheMiss):
                    missed = effect.question
                effect = flow.send(answer)
        except StopIteration as stop:
            return cast("Result", stop.value)
        except BaseException:
            self._let_go(missed)
            raise

    async def adrive(self, flow: Generator[Effect, Any, Result]) -> Result:
        """Do what `drive` does without blocking the event loop."""
        missed: CacheQuestion | None = None
        try:
            effect = next(flow)
            while True:
                try:
                    kind = type(effect)
                    answer = self._at_once[kind](effect) if kind in self._at_once else await self._awaited[kind](effect)
                except Exception as error:  # noqa: BLE001 -- as above
                    answer = _failed(effect, error)
                if isinstance(effect, LookUpAnswer) and isinstance(answer, CacheMiss):
                    missed = effect.question
                effect = flow.send(answer)
        except StopIteration as stop:
            return cast("Result", stop.value)
        except BaseException:
            self._let_go(missed)
            raise

    def _let_go(self, missed: CacheQuestion | None) -> None:
        """Let go of what was missed when a flow did not come to its end: its caller was cancelled, or interrupted."""
        if missed is not None:
            self.abandon(missed)

    def abandon(self, question: CacheQuestion) -> None:
        """Tell the cache that no answer will come to what it missed. Never blocks, and raises nothing."""
        try:
            if self._parts.cache is not None:
                self._parts.cache.abandon(question)
        except Exception as error:  # noqa: BLE001 -- a cache that breaks its promise costs no answer
            logger.warning("the cache failed to let go of a question, and whoever waits does so in vain: %s", type(error).__name__)

    def _read_population(self, effect: ReadPopulation) -> Session | None:
        store, known = self._parts.store, self._population
        return known.session if known.is_fresh(effect, store) else known.found(effect, store, store.load(effect.row))

    async def _aread_population(self, effect: ReadPopulation) -> Session | None:
        store, known = self._parts.store, self._population
        return known.session if known.is_fresh(effect, store) else known.found(effect, store, await store.aload(effect.row))

    def _commit(self, effect: CommitSession) -> bool:
        done = self._parts.store.commit(effect.session)
        if done:
            self._population.committed(effect.session)
        return done

    async def _acommit(self, effect: CommitSession) -> bool:
        done = await self._parts.store.acommit(effect.session)
        if done:
            self._population.committed(effect.session)
        return done

    def _learn(self, lesson: Lesson | None) -> list[Lesson]:
        if lesson is not None:
            self._lessons.append(lesson)
        if not are_due(self._lessons, in_a_hurry=lesson is not None):
            return []
        lessons, self._lessons = self._lessons, []
        return lessons


def _recalled(store: SessionStore, effect: RecallSession) -> Session | None:
    recall: Callable[[SessionId], Session | None] | None = getattr(store, "recall", None)
    if recall is None:
        return None
    recalled = recall(effect.session)
    return Session(id=effect.session) if recalled is None and effect.begins else recalled


async def _nothing() -> None:
    """Answer for a part that a router does not have."""


def _failed(effect: Effect, error: Exception) -> Failed:
    # What a scorer, a cache or a rewriter was asked is the user's text, and its error may hold it.
    said = "" if isinstance(effect, ScoreNeed | LookUpAnswer | RewriteQuestion) else f": {error}"
    logger.warning("%s failed, routing goes on without it: %s%s", type(effect).__name__, type(error).__name__, said)
    return Failed(error)
