"""What a scorer is asked, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_router.core.checking import check_kind, check_number, own_numbers
from session_router.core.value import maker, value
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_router.core.risk import Certificate


@value
class Question:
    """The coming segment, as a scorer sees it: nothing that a tool returned, neither its text nor its length.

    Attributes:
        text: What the user typed to open this turn; never tool output. Not stored anywhere.
        recent: What the user typed to open the turns before it, oldest first; the last few. Not stored either.
        turn: Number of the turn, from 1; 0 when nobody has typed anything.
        structured: Whether the caller asked for structured output.
        tools: Number of tools on offer.
        tool_errors: Tool results of the session that reported an error: a status, whatever they say.
        segment_calls: Calls of a segment of this session, in the mean; 0 for not known.
        turns_since_switch: Turns since the session last changed its model; `None` while it never did.
    """

    text: str
    recent: tuple[str, ...] = ()
    turn: int = 0
    structured: bool = False
    tools: int = 0
    tool_errors: int = 0
    segment_calls: float = 0.0
    turns_since_switch: int | None = None


new_question = maker(Question)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """A text asks for much more than the rest of it does without one part. It holds no text.

    Attributes:
        window: The part, such as `first half`.
        jump: By how much the lead of a dearer model in `p_success` falls without it, in [-2, 2].
        limit: The jump above which there is an alarm.
    """

    window: str
    jump: float
    limit: float

    def __post_init__(self) -> None:
        """Check the values: a row keeps them."""
        check_kind(self.window, str, key="alarm.window", rule="name the part.")
        for key in ("jump", "limit"):
            check_number(getattr(self, key), key=f"alarm.{key}", rule="give a number in [-2, 2].", low=-2.0, high=2.0)
        own_numbers(self, "jump", "limit")

    def to_plain(self) -> dict[str, str | float]:
        """Return JSON-ready values."""
        return {"window": self.window, "jump": self.jump, "limit": self.limit}


@value
class Need:
    """Predicted probability that a model serves the segment well.

    Attributes:
        p_success: In [0, 1].
        low: Lower end of its interval, in [0, p_success].
        high: Upper end of its interval, in [p_success, 1].
        certificate: That the model seldom under-serves such segments; `None` when nobody can say so.
        alarm: That a part of the text speaks for all of it; `None` for nothing of the kind.
    """

    p_success: float
    low: float = 0.0
    high: float = 1.0
    certificate: Certificate | None = None
    alarm: Alarm | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        # `not a <= b <= c` so that NaN is refused as well.
        if not 0 <= self.low <= self.p_success <= self.high <= 1:
            raise ConfigurationError(
                key="need",
                value=(self.low, self.p_success, self.high),
                rule="a scorer must return 0 <= low <= p_success <= high <= 1.",
            )
        own_numbers(self, "p_success", "low", "high")


new_need = maker(Need)


def alarm_in(needs: Iterable[Need]) -> Alarm | None:
    """Return the alarm of a text that was scored for several models: the one that is furthest above its limit."""
    alarms = [need.alarm for need in needs if need.alarm is not None]
    return max(alarms, key=lambda alarm: (alarm.jump - alarm.limit, alarm.window)) if alarms else None
