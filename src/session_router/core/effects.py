"""What the flow asks of its driver: each effect, and what it is answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.cached import CacheHit, CacheQuestion
    from session_router.core.call import Outcome
    from session_router.core.decision import Decision
    from session_router.core.health import Health, HealthRead
    from session_router.core.model import ModelName, ModelSpec
    from session_router.core.need import Question
    from session_router.core.population import Lesson
    from session_router.core.rewritten import Conversation
    from session_router.core.session import Session, SessionId

MAXIMUM_ATTEMPTS = 16
"""Commits lost to other replicas before the store counts as unavailable."""


class LoadSession(NamedTuple):
    """Answered with `Session | None`."""

    session: SessionId


class ReadPopulation(NamedTuple):
    """Answered with the population's `Session | None`: as it is, or, where a store recalls sessions, as it was a moment ago at most.

    Attributes:
        row: Under which id the store keeps it.
        now: POSIX seconds.
    """

    row: SessionId
    now: float


class RecallSession(NamedTuple):
    """Answered with `Session | None`: as this process saw it last, without asking anybody; a commit tells whether it still is so.

    Attributes:
        session: Which one.
        begins: Whether nothing is likely to be stored of it yet. Where a store recalls sessions and has seen none, a new one is the
            answer then.
    """

    session: SessionId
    begins: bool = False


class CommitSession(NamedTuple):
    """Answered with `True`, or `False` when another replica was first."""

    session: Session


class ScoreNeed(NamedTuple):
    """Answered with `Mapping[ModelName, Need]`, or `None` when there is no scorer."""

    question: Question
    models: Mapping[ModelName, ModelSpec]


class LookUpAnswer(NamedTuple):
    """Answered with `CacheHit | CacheMiss`, or `None` when there is no cache."""

    question: CacheQuestion


class RewriteQuestion(NamedTuple):
    """Answered with `Rewritten`, or `None` when there is no rewriter or the question is to stay as it is."""

    conversation: Conversation


class AbandonAnswer(NamedTuple):
    """Answered with `None`: what a look-up missed will not be answered."""

    question: CacheQuestion


class VetoAnswer(NamedTuple):
    """Answered with `None`: a stored answer was wrong."""

    hit: CacheHit


class AppendRecord(NamedTuple):
    """Answered with `None`."""

    decision: Decision


class AppendOutcome(NamedTuple):
    """Answered with `None`."""

    decision: Decision
    outcome: Outcome


class Learn(NamedTuple):
    """Answered with the lessons that are due, or with nothing while they may wait.

    Attributes:
        lesson: Another one; `None` for nothing new, when nobody waits for a model.
    """

    lesson: Lesson | None


class AskHealth(NamedTuple):
    """Answered with a `HealthView`, or `None` when nothing is held against any model.

    Attributes:
        now: POSIX seconds.
    """

    now: float


class TryOut(NamedTuple):
    """Answered with whether this call may try out a model that is not healthy: one call may, among all replicas.

    Attributes:
        model: Which one.
        now: POSIX seconds.
    """

    model: ModelName
    now: float


class Wait(NamedTuple):
    """Answered with the time, in POSIX seconds, after so many seconds."""

    seconds: float


class ReadHealth(NamedTuple):
    """Answered with a `HealthRead`: what the replicas share.

    Attributes:
        now: POSIX seconds.
    """

    now: float


class ReplaceHealth(NamedTuple):
    """Answered with whether it was stored: another replica may have been first.

    Attributes:
        read: What was read before.
        model: Whose health it is.
        health: What it is now.
        seconds: How long it matters to anybody.
    """

    read: HealthRead
    model: ModelName
    health: Health
    seconds: float


class Failed(NamedTuple):
    """What a driver sends instead of a value."""

    error: Exception


Effect: TypeAlias = (
    LoadSession
    | ReadPopulation
    | RecallSession
    | CommitSession
    | ScoreNeed
    | RewriteQuestion
    | LookUpAnswer
    | AbandonAnswer
    | VetoAnswer
    | AppendRecord
    | AppendOutcome
    | Learn
    | AskHealth
    | TryOut
    | Wait
    | ReadHealth
    | ReplaceHealth
)
