"""What the flow asks of its driver: each effect, and what it is answered with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.cached import CacheHit, CacheQuestion
    from session_router.core.decision import Decision
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


class Learn(NamedTuple):
    """Answered with the lessons that are due, or with nothing while they may wait.

    Attributes:
        lesson: Another one; `None` for nothing new, when nobody waits for a model.
    """

    lesson: Lesson | None


class Failed(NamedTuple):
    """What a driver sends instead of a value."""

    error: Exception


Effect: TypeAlias = (
    LoadSession | CommitSession | ScoreNeed | RewriteQuestion | LookUpAnswer | AbandonAnswer | VetoAnswer | AppendRecord | Learn
)
