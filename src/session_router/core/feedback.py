"""What people and programs say of an answer."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from session_router.core.checking import check_kind, check_number, own_numbers
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.core.boundary_choice import BoundaryChoice

THUMBS_WEIGHT = 0.5
RETRY_WEIGHT = 0.3
GRADE_WEIGHT = 0.7


class FeedbackKind(StrEnum):
    """Where a piece of feedback comes from."""

    TASK = "task"
    GRADE = "grade"
    THUMBS = "thumbs"
    RETRY = "retry"


class Heard(StrEnum):
    """What became of a piece of feedback.

    Attributes:
        LEARNED: The session has learned from it, and so have those that begin later.
        LATER_SESSIONS: Only sessions that begin later learn from it: the framework keeps this one, or it is gone.
        NOTHING: There is nothing to learn: nobody chose this model by its chance, another model answered, or it is no route any more.
        VETOED: It was about a stored answer, which never answers such a question again.
        REPEATED: It had been told before, and counts once.
        UNAVAILABLE: The store gave no answer, and nothing was learned. It may be told again.
    """

    LEARNED = "learned"
    LATER_SESSIONS = "later_sessions"
    NOTHING = "nothing"
    VETOED = "vetoed"
    REPEATED = "repeated"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """How well a segment was served, and how much that counts.

    The constructors below have weights of their own: a fact counts as 1, a hint as less. These are assumptions, and nothing was
    fitted: a thumb 0.5 (people press it for the tone as well), a retry 0.3 (people also ask again since they were unclear), a
    grade 0.7 (a grader errs). Give others where you know better.

    Attributes:
        success: How well it was served, in [0, 1].
        weight: How much that counts, in (0, 1].
        kind: Where it comes from.
    """

    success: float
    weight: float = 1.0
    kind: FeedbackKind = FeedbackKind.TASK

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            ConfigurationError: One is out of its range.
        """
        check_number(self.success, key="feedback.success", rule="give a number in [0, 1].", high=1.0)
        check_number(self.weight, key="feedback.weight", rule="give a number in (0, 1].", high=1.0)
        if self.weight == 0:
            raise ConfigurationError(key="feedback.weight", value=self.weight, rule="give a number in (0, 1].")
        own_numbers(self, "success", "weight")
        check_kind(self.kind, FeedbackKind, key="feedback.kind", rule="give a `FeedbackKind`.")

    @classmethod
    def thumbs(cls, *, up: bool, weight: float = THUMBS_WEIGHT) -> Feedback:
        """Return what a thumb says. It is a hint."""
        success = _as_number(up)
        if success not in {0.0, 1.0}:
            raise ConfigurationError(key="feedback.up", value=up, rule="give True or False.")
        return cls(success=success, weight=weight, kind=FeedbackKind.THUMBS)

    @classmethod
    def task(cls, *, success: bool | float) -> Feedback:
        """Return what is known of the task: tests that ran, an order that was placed. It is a fact."""
        known = _as_number(success)
        if known is None:
            raise ConfigurationError(key="feedback.success", value=success, rule="give True or False, or a number in [0, 1].")
        return cls(success=known, kind=FeedbackKind.TASK)

    @classmethod
    def retried(cls, *, weight: float = RETRY_WEIGHT) -> Feedback:
        """Say that the user asked for another answer. It is a weak hint that this one was bad."""
        return cls(success=0.0, weight=weight, kind=FeedbackKind.RETRY)

    @classmethod
    def graded(cls, score: float, *, weight: float = GRADE_WEIGHT) -> Feedback:
        """Return what a grader says: a person with a rubric, or a model.

        Args:
            score: In [0, 1].
            weight: How far the grader is to be believed, in (0, 1].
        """
        return cls(success=score, weight=weight, kind=FeedbackKind.GRADE)

    @property
    def is_against(self) -> bool:
        """Whether it says that the answer was rather bad than good."""
        return self.success < 0.5  # noqa: PLR2004 -- the middle

    def mark(self, choice: BoundaryChoice) -> str:
        """Return 16 hex digits: the same whenever this is said of the segment that began with `choice`."""
        facts = repr((choice.segment, choice.model, self.kind.value, float(self.success), float(self.weight)))
        return hashlib.blake2b(facts.encode(errors="surrogatepass"), digest_size=8).hexdigest()

    def to_plain(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        return {"kind": self.kind.value, "success": self.success, "weight": self.weight}


def _as_number(truth: object) -> float | None:
    """Return what `truth` counts for; `None` when it is no truth and no number. A text is neither, whatever it says."""
    if isinstance(truth, (str, bytes, bytearray)):
        return None
    try:
        return float(truth)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] -- what is none of it is refused
    except (TypeError, ValueError, OverflowError):
        return None
