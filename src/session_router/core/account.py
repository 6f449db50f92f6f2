"""What a session remembers for its economics: what it has learned, and what it has spent."""

from __future__ import annotations

from dataclasses import field, replace
from typing import TYPE_CHECKING

from session_router.core.belief import MEMORY, Belief
from session_router.core.drift import Drift
from session_router.core.pricing import NOTHING, USD
from session_router.core.segment import Habits, Segment
from session_router.core.upgrades import Upgrades
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.boundary_choice import BoundaryChoice
    from session_router.core.feedback import Feedback
    from session_router.core.ledger import Ledger
    from session_router.core.model import ModelName
    from session_router.core.need import Need
    from session_router.core.segment import Ended
    from session_router.core.switching import Verdict
    from session_router.core.transcript import Transcript

NO_UPGRADES = Upgrades()
"""Nobody asked for any."""

REMEMBERED_MARKS = 64
"""Pieces of feedback after which one may be told again and counts twice."""


@value
class Account:
    """What a session remembers for its economics.

    Attributes:
        habits: What its segments have been like; it begins with those of the population.
        drift: How its need moves.
        number: Segments so far, the one that is going on included.
        segment: The one that is going on; `None` before the first.
        ledger: Dollars, against those of never switching; `None` before the first choice by dollars.
        work: The work function, by model; empty before the first choice by dollars.
        quiet: Boundaries in a row at which a model with a cheaper loop would have been the best.
        explored: Expected dollars that exploration has been charged with.
        beliefs: How far off the scorer's chances are, by model; it begins with those of the population. What is learned in the
            middle of a segment waits for the next boundary, where alone anybody looks.
        marks: Of the last pieces of feedback, at most `REMEMBERED_MARKS`, the newest last.
        upgrades: How often upgrades were asked for, while that is watched.
    """

    habits: Habits = field(default_factory=Habits)
    drift: Drift = field(default_factory=Drift)
    number: int = 0
    segment: Segment | None = None
    ledger: Ledger | None = None
    work: Mapping[ModelName, USD] = field(default_factory=dict["ModelName", "USD"])
    quiet: int = 0
    explored: USD = NOTHING
    beliefs: Mapping[ModelName, Belief] = field(default_factory=dict["ModelName", Belief])
    marks: tuple[str, ...] = ()
    upgrades: Upgrades = NO_UPGRADES

    def ended(self, transcript: Transcript) -> Ended | None:
        """Say what the segment has been like that ended because `transcript` began another one; `None` when none did."""
        return None if self.segment is None else self.segment.ended(transcript)

    def learned(self, ended: Ended | None) -> Habits:
        """Return the habits after a segment has ended."""
        return self.habits if ended is None else self.habits.learned(ended)

    def reckoned(
        self,
        transcript: Transcript,
        verdict: Verdict,
        habits: Habits,
        drift: Drift,
        *,
        predicted_calls: float,
        explored: USD = NOTHING,
        scored: float | None = None,
    ) -> Account:
        """Return this account after a choice by dollars.

        Args:
            transcript: The first request of the segment that begins.
            verdict: The choice.
            habits: What segments have been like, the one that has just ended included.
            drift: How need moves, this segment included.
            predicted_calls: Calls that are expected of the segment.
            explored: Expected dollars that exploration is charged with for it.
            scored: What the scorer itself gave the model that was chosen, in [0, 1].
        """
        return new_account(
            habits=habits,
            drift=drift,
            number=self.number + 1,
            segment=Segment.begun(transcript, verdict.model, predicted_calls=predicted_calls, p_success=scored),
            ledger=verdict.ledger,
            work=verdict.work,
            quiet=verdict.quiet,
            explored=USD(self.explored + explored),
            beliefs=self.beliefs,
            marks=self.marks,
            upgrades=self.upgrades,
        )

    def unreckoned(self, transcript: Transcript) -> Account:
        """Return this account after a choice that no dollars decided, whose request is `transcript`."""
        habits = self.learned(self.ended(transcript))
        segment = Segment.begun(transcript, predicted_calls=habits.calls)
        # What nobody scored deviates from nothing: the next segment does not follow on the last that was.
        drift = replace(self.drift, last={})
        return new_account(
            habits=habits,
            drift=drift,
            number=self.number + 1,
            segment=segment,
            explored=self.explored,
            beliefs=self.beliefs,
            marks=self.marks,
            upgrades=self.upgrades,
        )

    def continued(self, transcript: Transcript) -> Account:
        """Return this account after one more call of the segment, whose request is `transcript`."""
        if self.segment is None:
            return self._with(Segment.begun(transcript, predicted_calls=self.habits.calls), number=self.number + 1)
        return self._with(self.segment.continued(transcript.tokens), number=self.number)

    def answered(self, output: int) -> Account:
        """Return this account after a provider counted the output tokens of a call."""
        if self.segment is None:
            return self
        return self._with(self.segment.answered(output), number=self.number)

    def _with(self, segment: Segment, *, number: int) -> Account:
        # Spelled out: `dataclasses.replace` costs several times as much, and this runs at every call.
        return new_account(
            habits=self.habits,
            drift=self.drift,
            number=number,
            segment=segment,
            ledger=self.ledger,
            work=self.work,
            quiet=self.quiet,
            explored=self.explored,
            beliefs=self.beliefs,
            marks=self.marks,
            upgrades=self.upgrades,
        )

    def corrected(self, needs: Mapping[ModelName, Need]) -> Mapping[ModelName, Need]:
        """Return `needs` as feedback lets one expect them; the very same while there was none."""
        if not self.beliefs:
            return needs
        return {name: self.beliefs[name].corrected(need) if name in self.beliefs else need for name, need in needs.items()}

    def told(self, choice: BoundaryChoice, feedback: Feedback, *, memory: float = MEMORY) -> Account:
        """Return this account after feedback on the segment that began with `choice`.

        Args:
            choice: By its model, and by what the scorer itself said: beliefs are about that.
            feedback: How well the segment was served.
            memory: Weight of the past, in (0, 1].
        """
        before = self.beliefs.get(choice.model, Belief())
        belief = before.learned(choice.p_success, feedback.success, weight=feedback.weight, memory=memory)
        marks = (*self.marks, feedback.mark(choice))[-REMEMBERED_MARKS:]
        return replace(self, beliefs={**self.beliefs, choice.model: belief}, marks=marks)

    @property
    def spent(self) -> tuple[USD, USD] | None:
        """Dollars of the session, and those of never switching; `None` while nobody counted."""
        return None if self.ledger is None else (self.ledger.spent, self.ledger.unmoved)


new_account = maker(Account)
