"""What a session remembers for its economics: what it has learned, and what it has spent."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from session_router.core.drift import Drift
from session_router.core.segment import Habits, Segment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from session_router.core.ledger import Ledger
    from session_router.core.model import ModelName
    from session_router.core.pricing import USD
    from session_router.core.segment import Ended
    from session_router.core.switching import Verdict
    from session_router.core.transcript import Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
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
    """

    habits: Habits = field(default_factory=Habits)
    drift: Drift = field(default_factory=Drift)
    number: int = 0
    segment: Segment | None = None
    ledger: Ledger | None = None
    work: Mapping[ModelName, USD] = field(default_factory=dict["ModelName", "USD"])
    quiet: int = 0

    def ended(self, transcript: Transcript) -> Ended | None:
        """Say what the segment has been like that ended because `transcript` began another one; `None` when none did."""
        return None if self.segment is None else self.segment.ended(transcript)

    def learned(self, ended: Ended | None) -> Account:
        """Return this account after a segment has ended."""
        return self if ended is None else replace(self, habits=self.habits.learned(ended))

    def begun(self, transcript: Transcript, *, predicted_calls: float, foreseen_tokens: int = 0, model: ModelName | None = None) -> Account:
        """Return this account with a new segment.

        Args:
            transcript: Its first request.
            predicted_calls: Calls that are expected of it.
            foreseen_tokens: Tokens that are expected of its last request.
            model: Who was chosen for it by dollars.
        """
        tokens = transcript.tokens
        segment = Segment(
            start=len(transcript.steps),
            opening=transcript.end.digest,
            model=model,
            first_tokens=tokens,
            last_tokens=tokens,
            predicted_calls=predicted_calls,
            foreseen_tokens=foreseen_tokens,
        )
        return self._with(segment, number=self.number + 1)

    def continued(self, transcript: Transcript) -> Account:
        """Return this account after one more call of the segment, whose request is `transcript`."""
        if self.segment is None:
            return self.begun(transcript, predicted_calls=self.habits.calls)
        return self._with(self.segment.continued(transcript.tokens), number=self.number)

    def _with(self, segment: Segment, *, number: int) -> Account:
        # Spelled out: `dataclasses.replace` costs several times as much, and this runs at every call.
        return Account(
            habits=self.habits, drift=self.drift, number=number, segment=segment, ledger=self.ledger, work=self.work, quiet=self.quiet
        )

    def unreckoned(self, transcript: Transcript) -> Account:
        """Return this account after a choice that no dollars decided, whose request is `transcript`."""
        account = self.learned(self.ended(transcript))
        account = account.begun(transcript, predicted_calls=account.habits.calls)
        return replace(account, ledger=None, work={}, quiet=0)

    def reckoned(self, verdict: Verdict, drift: Drift) -> Account:
        """Return this account after a choice by dollars."""
        return Account(
            habits=self.habits,
            drift=drift,
            number=self.number,
            segment=self.segment,
            ledger=verdict.ledger,
            work=verdict.work,
            quiet=verdict.quiet,
        )

    @property
    def spent(self) -> tuple[USD, USD] | None:
        """Dollars of the session, and those of never switching; `None` while nobody counted."""
        return None if self.ledger is None else (self.ledger.spent, self.ledger.unmoved)

    def answered(self, output: int) -> Account:
        """Return this account after a provider counted the output tokens of a call."""
        if self.segment is None:
            return self
        return self._with(self.segment.answered(output), number=self.number)
