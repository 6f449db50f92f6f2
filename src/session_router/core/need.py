"""What a scorer is asked, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from session_router.core.risk import Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """The coming segment, as a scorer sees it.

    Attributes:
        text: What the user typed to open this turn; never tool output. Not stored anywhere.
        recent: What the user typed to open the turns before it, oldest first; the last few. Not stored either.
        turn: Number of the turn, from 1; 0 when nobody has typed anything.
        history_tokens: Estimated tokens of the whole request.
        structured: Whether the caller asked for structured output.
        tools: Number of tools on offer.
        tool_errors: Tool results of the session that reported an error.
        segment_calls: Calls of a segment of this session, in the mean; 0 for not known.
        turns_since_switch: Turns since the session last changed its model; `None` while it never did.
    """

    text: str
    recent: tuple[str, ...] = ()
    turn: int = 0
    history_tokens: int = 0
    structured: bool = False
    tools: int = 0
    tool_errors: int = 0
    segment_calls: float = 0.0
    turns_since_switch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Predicted probability that a model serves the segment well.

    Attributes:
        p_success: In [0, 1].
        low: Lower end of its interval, in [0, p_success].
        high: Upper end of its interval, in [p_success, 1].
        certificate: That the model seldom under-serves such segments; `None` when nobody can say so.
    """

    p_success: float
    low: float = 0.0
    high: float = 1.0
    certificate: Certificate | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        # `not a <= b <= c` so that NaN is refused as well.
        if not 0 <= self.low <= self.p_success <= self.high <= 1:
            raise ConfigurationError(
                key="need",
                value=(self.low, self.p_success, self.high),
                rule="a scorer must return 0 <= low <= p_success <= high <= 1.",
            )
