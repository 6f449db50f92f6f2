"""What each model has read, and whether its provider may still cache it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from session_router.core.checking import check_number

if TYPE_CHECKING:
    from session_router.core.session import Visit
    from session_router.core.transcript import Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCache:
    """How a model's provider caches prompts.

    Attributes:
        seconds_to_live: Seconds after the last read for which a prefix stays cached.
        minimum_tokens: Shorter prefixes are not cached.

    Raises:
        ConfigurationError: A setting is out of its range.
    """

    seconds_to_live: float = 300.0
    minimum_tokens: int = 1024

    def __post_init__(self) -> None:
        """Check the values."""
        check_number(self.seconds_to_live, key="prompt_cache.seconds_to_live", rule="give seconds >= 0.")
        check_number(self.minimum_tokens, key="prompt_cache.minimum_tokens", rule="give a number of tokens >= 0.", whole=True)


def cached_tokens(transcript: Transcript, visit: Visit | None, *, now: float, cache: PromptCache) -> int:
    """Tokens of `transcript` that the visited model's provider should still hold.

    Args:
        transcript: The request to come.
        visit: How far the model has read; `None` for never.
        now: POSIX seconds. A clock that went backwards counts as cold: it can only cost money.
        cache: How the model's provider caches.

    Returns:
        Tokens in [0, transcript.tokens]; 0 when the history was rewritten below the visit.
    """
    if visit is None or not 0 <= now - visit.at <= cache.seconds_to_live:
        return 0
    prefix = transcript.prefix_at(visit.steps)
    if prefix is None or prefix.digest != visit.digest or prefix.tokens < cache.minimum_tokens:
        return 0
    return prefix.tokens
