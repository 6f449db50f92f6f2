"""How long the coming segment will be, and what it costs on a model.

A model chosen for a user turn is locked for the tool loop that follows: the loop is priced, not the turn.
"""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

from session_router.core.step import Role
from session_router.core.transcript import EMPTY_DIGEST
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from session_router.core.model import ModelName
    from session_router.core.transcript import Transcript

MEMORY = 0.9
"""Weight of the past at every new segment: what is ten segments old counts for a third."""

FURTHER_SHARE = 0.02
"""Weight of a boundary in how many segments follow one: what is fifty boundaries old counts for a third."""

PRIOR_WEIGHT = 3.0
"""Segments that the population's habits count for in a session of its own."""


@value
class Segment:
    """A segment as far as it has come.

    Attributes:
        start: Messages in its first request.
        opening: Digest of these messages. What stands before the first may change from call to call.
        model: Who was chosen for it by dollars; `None` when no dollars decided.
        first_tokens: Estimated tokens of its first request.
        last_tokens: Estimated tokens of its last request so far.
        calls: Calls so far, >= 1.
        output: Output tokens that providers counted.
        counted: Of `calls`, those whose output tokens were counted.
        predicted_calls: Calls that were predicted at its boundary, >= 1.
        p_success: What the scorer gave `model` at its boundary, in [0, 1], before any correction; `None` when no chances decided.
    """

    start: int
    opening: bytes = EMPTY_DIGEST
    model: ModelName | None = None
    first_tokens: int
    last_tokens: int
    calls: int = 1
    output: int = 0
    counted: int = 0
    predicted_calls: float = 1.0
    p_success: float | None = None

    @classmethod
    def begun(
        cls, transcript: Transcript, model: ModelName | None = None, *, predicted_calls: float, p_success: float | None = None
    ) -> Segment:
        """Begin a segment with the request `transcript`."""
        tokens = transcript.tokens
        return new_segment(
            start=len(transcript.steps),
            opening=transcript.end.digest,
            model=model,
            first_tokens=tokens,
            last_tokens=tokens,
            predicted_calls=predicted_calls,
            p_success=p_success,
        )

    def is_begun_by(self, transcript: Transcript) -> bool:
        """Whether `transcript` is its first request, after which there was no other."""
        return self.calls == 1 and self.start == len(transcript.steps) and self.opening == transcript.end.digest

    def continued(self, tokens: int) -> Segment:
        """Return this segment after one more call, whose request has an estimated `tokens`."""
        return self._with(calls=self.calls + 1, last_tokens=tokens, output=self.output, counted=self.counted)

    def answered(self, output: int) -> Segment:
        """Return this segment after a provider counted `output` tokens of a call."""
        return self._with(calls=self.calls, last_tokens=self.last_tokens, output=self.output + output, counted=self.counted + 1)

    def _with(self, *, calls: int, last_tokens: int, output: int, counted: int) -> Segment:
        # Spelled out: `dataclasses.replace` costs several times as much, and this runs twice at every call.
        return new_segment(
            start=self.start,
            opening=self.opening,
            model=self.model,
            first_tokens=self.first_tokens,
            last_tokens=last_tokens,
            calls=calls,
            output=output,
            counted=counted,
            predicted_calls=self.predicted_calls,
            p_success=self.p_success,
        )

    def ended(self, transcript: Transcript) -> Ended:
        """Say what this segment has been like, now that `transcript` begins the next one."""
        output: float | None = None
        if self.counted:
            output = self.output / self.counted
        elif said := [step.tokens for step in transcript.steps[self.start :] if step.role is Role.AI]:
            output = sum(said) / len(said)
        between = transcript.tokens - self.last_tokens
        grown = self.last_tokens - self.first_tokens
        return new_ended(
            calls=self.calls,
            growth=grown / (self.calls - 1) if self.calls > 1 and grown >= 0 else None,
            output=output,
            between=between if between >= 0 else None,
            surprise=abs(log(self.calls / self.predicted_calls)),
        )


new_segment = maker(Segment)


@value
class Ended:
    """What a segment has been like. `None` stands for what it says nothing about: a summary makes requests shrink.

    Attributes:
        calls: Its calls, >= 1.
        growth: Tokens that its request grew by from call to call.
        output: Output tokens of one of its calls, as providers counted them, else as estimated from the answers.
        between: Tokens that the request has grown by since its last call.
        surprise: |log(calls / predicted calls)|.
    """

    calls: int
    growth: float | None
    output: float | None
    between: float | None
    surprise: float


new_ended = maker(Ended)


@value
class Habits:
    """What segments have been like: exponentially forgotten means, learned online.

    The defaults are rounded means over recorded customer-service, coding and dialogue sessions. They weigh nothing: the first
    segment that tells anything of a mean takes the default's place.

    Attributes:
        weight: Segments that the means stand for, the forgotten ones left out.
        growth_weight: Segments that `growth` stands for: of one call, a segment tells nothing of it.
        between_weight: Segments that `between` stands for.
        calls: Calls of a segment, >= 1.
        pairs: Mean of n (n - 1) / 2 over segments of n calls: what the growth of a request adds up to.
        growth: Tokens that a request grows by from call to call.
        output: Output tokens of a call; 0 for not known.
        between: Tokens that a request grows by from the last call of a segment to the first of the next.
        further: Segments that still follow a segment, >= 0. It is learned at boundaries, slowly; see `told`.
        surprise: Mean of |log(calls / predicted calls)|.
    """

    weight: float = 0.0
    growth_weight: float = 0.0
    between_weight: float = 0.0
    calls: float = 2.0
    pairs: float = 2.0
    growth: float = 200.0
    output: float = 0.0
    between: float = 200.0
    further: float = 3.5
    surprise: float = 0.0

    def as_prior(self) -> Habits:
        """Return these habits as a session begins with them: it soon learns its own."""
        return new_habits(
            weight=min(self.weight, PRIOR_WEIGHT),
            growth_weight=min(self.growth_weight, PRIOR_WEIGHT),
            between_weight=min(self.between_weight, PRIOR_WEIGHT),
            calls=self.calls,
            pairs=self.pairs,
            growth=self.growth,
            output=self.output,
            between=self.between,
            further=self.further,
        )

    def learned(self, ended: Ended, *, memory: float = MEMORY) -> Habits:
        """Return these habits after one more segment; `memory` is the weight of the past."""
        share = 1 / (memory * self.weight + 1)
        n, output = ended.calls, ended.output
        growth, growth_weight = _learned(self.growth, self.growth_weight, ended.growth, memory)
        between, between_weight = _learned(self.between, self.between_weight, ended.between, memory)
        return new_habits(
            weight=memory * self.weight + 1,
            growth_weight=growth_weight,
            between_weight=between_weight,
            calls=max(1.0, self.calls + share * (n - self.calls)),
            pairs=self.pairs + share * (n * (n - 1) / 2 - self.pairs),
            growth=growth,
            output=self.output if output is None else output if self.output == 0 else self.output + share * (output - self.output),
            between=between,
            further=self.further,
            surprise=self.surprise + share * (ended.surprise - self.surprise),
        )

    def told(self, *, number: int) -> Habits:
        """Return these habits after one more boundary of any session.

        Nobody says when a session is over. But as many segments follow the boundaries of a session, on average over them, as
        precede them: the number of those is known.

        Args:
            number: Of the segment that begins, in its session, from 1.
        """
        return new_habits(
            weight=self.weight,
            growth_weight=self.growth_weight,
            between_weight=self.between_weight,
            calls=self.calls,
            pairs=self.pairs,
            growth=self.growth,
            output=self.output,
            between=self.between,
            further=self.further + FURTHER_SHARE * (number - 1 - self.further),
            surprise=self.surprise,
        )


new_habits = maker(Habits)


def _learned(mean: float, weight: float, value: float | None, memory: float) -> tuple[float, float]:
    """Return a mean and what it stands for, after one more value."""
    if value is None:
        return mean, weight
    return mean + (value - mean) / (memory * weight + 1), memory * weight + 1


@value
class Forecast:
    """The coming segment, as predicted.

    Attributes:
        calls: Expected calls, >= 1.
        pairs: Expected n (n - 1) / 2 for n calls, >= `calls - 1`.
        growth: Tokens that the request grows by from call to call.
        output: Output tokens of a call.
        further: Expected number of segments that follow it.
        between: Tokens that the request grows by from one segment to the next.
    """

    calls: float
    pairs: float
    growth: float
    output: float
    further: float = 0.0
    between: float = 0.0

    def blended(self, other: Forecast, *, weight: float, other_weight: float) -> Forecast:
        """Return the mean of this forecast, which rests on `weight` segments, and of `other` for the coming segment."""
        share = weight / (weight + other_weight)
        return new_forecast(
            calls=max(1.0, share * self.calls + (1 - share) * other.calls),
            pairs=share * self.pairs + (1 - share) * other.pairs,
            growth=share * self.growth + (1 - share) * other.growth,
            output=share * self.output + (1 - share) * other.output,
            further=self.further,
            between=self.between,
        )

    def to_plain(self) -> dict[str, float]:
        """Return JSON-ready values, rounded: they are a prediction."""
        return {
            "calls": round(self.calls, 2),
            "growth": round(self.growth, 1),
            "output": round(self.output, 1),
            "further": round(self.further, 2),
            "between": round(self.between, 1),
        }

    @classmethod
    def of(cls, habits: Habits, *, output: int) -> Forecast:
        """Expect more of the same; `output` tokens of a call where nobody has seen any."""
        return new_forecast(
            calls=habits.calls,
            pairs=max(habits.pairs, habits.calls - 1),
            growth=habits.growth,
            output=habits.output or float(output),
            further=habits.further,
            between=habits.between,
        )


new_forecast = maker(Forecast)
