"""What each model has read, and whether its provider may still cache it."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from session_router.core.checking import check_number
from session_router.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from session_router.core.session import Visit
    from session_router.core.step import Step
    from session_router.core.transcript import Prefix, Transcript

ENGINE_BLOCK_TOKENS = 16
"""Tokens of a block in vLLM, unless it was started with another `--block-size`."""

SALTS: tuple[str | None, ...] = (None, "none", "prompt_cache_key", "cache_salt")
"""Parameters by which requests name their part of a prompt cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptCache:
    """How a model's provider caches prompts.

    The defaults are those of a provider that keeps what it has read, to the last token, for five minutes from its last read.

    Attributes:
        seconds_to_live: Seconds after the last read for which a prefix stays cached; 0 for a provider that caches nothing.
        minimum_tokens: Shorter prefixes are not cached.
        block_tokens: What is cached is a whole number of blocks of this many tokens, and not less than `minimum_tokens`.
        salt: Parameter by which a request names its part of the cache, so that no label meets another's: `prompt_cache_key` as OpenAI
            has it, or `cache_salt` as vLLM does; `none` for none. `None` when the integration should find out.

    Raises:
        ConfigurationError: A setting is out of its range.
    """

    seconds_to_live: float = 300.0
    minimum_tokens: int = 1024
    block_tokens: int = 1
    salt: str | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        check_number(self.seconds_to_live, key="prompt_cache.seconds_to_live", rule="give seconds >= 0.")
        check_number(self.minimum_tokens, key="prompt_cache.minimum_tokens", rule="give a number of tokens >= 0.", whole=True)
        check_number(self.block_tokens, key="prompt_cache.block_tokens", rule="give a number of tokens >= 1.", low=1, whole=True)
        if self.salt not in SALTS:
            named = ", ".join(repr(one) for one in SALTS if one)
            raise ConfigurationError(key="prompt_cache.salt", value=self.salt, rule=f"choose one of {named}.")

    @classmethod
    def least_recently_used(
        cls,
        *,
        capacity_tokens: int,
        tokens_per_second: float,
        block_tokens: int = ENGINE_BLOCK_TOKENS,
        minimum_tokens: int = 0,
        salt: str | None = None,
    ) -> PromptCache:
        """Describe an engine of one's own, such as vLLM, that drops what was read least recently when its cache is full.

        It knows no time to live. A prefix is dropped once as many other tokens as the cache holds were read or written since
        its last read. Under a steady load this takes `capacity_tokens / tokens_per_second` seconds: the characteristic time of
        the cache, nearly the same for all that is in it (Che, Tung and Wang, "Hierarchical Web caching systems: modeling,
        design and experimental results", IEEE Journal on Selected Areas in Communications 20(7), 2002).

        Args:
            capacity_tokens: Tokens that the cache holds.
            tokens_per_second: Distinct tokens that the engine reads or writes in a second, over all its sessions: a token that
                is read again while it is cached counts once.
            block_tokens: As in `PromptCache`.
            minimum_tokens: As in `PromptCache`; engines cache every whole block.
            salt: As in `PromptCache`; vLLM's is `cache_salt`.

        Raises:
            ConfigurationError: A setting is out of its range.
        """
        key, rule = "prompt_cache.capacity_tokens", "give the number of tokens that the cache holds, >= 0."
        check_number(capacity_tokens, key=key, rule=rule, whole=True)
        key, rule = "prompt_cache.tokens_per_second", "give distinct tokens a second, > 0."
        check_number(tokens_per_second, key=key, rule=rule)
        seconds = capacity_tokens / tokens_per_second if tokens_per_second else inf
        if seconds == inf:
            # Nothing would ever be dropped.
            raise ConfigurationError(key=key, value=tokens_per_second, rule=rule)
        return cls(seconds_to_live=seconds, minimum_tokens=minimum_tokens, block_tokens=block_tokens, salt=salt)

    def cacheable(self, tokens: int) -> int:
        """Return how many of the first `tokens` tokens of a request are cached once it was read: whole blocks, or 0."""
        blocks = tokens - tokens % self.block_tokens
        return blocks if self.seconds_to_live and blocks >= self.minimum_tokens else 0

    def keeps_for(self, seconds: float) -> bool:
        """Whether a prefix is still cached `seconds` after its last read; never before it, or at a time that is no number."""
        return 0 <= seconds < self.seconds_to_live

    def held(self, tokens: int, *, seconds: float) -> int:
        """Return how many of the first `tokens` tokens of a request are still cached `seconds` after their last read."""
        return self.cacheable(tokens) if self.keeps_for(seconds) else 0


def cached_tokens(transcript: Transcript, visit: Visit | None, *, now: float, cache: PromptCache) -> int:
    """Tokens of `transcript` that the visited model's provider should still hold, if it counts as we estimate.

    Args:
        transcript: The request to come.
        visit: How far the model has read; `None` for never.
        now: POSIX seconds. A clock that went backwards counts as cold: it can only cost money.
        cache: How the model's provider caches.

    Returns:
        Tokens in [0, transcript.tokens], a whole number of blocks; 0 when the history was rewritten below the visit.
    """
    return 0 if visit is None else cache.held(tokens_read(transcript, visit), seconds=now - visit.at)


def as_counted(tokens: int, scale: float) -> int:
    """Tokens as a provider counts them that counts `scale` for one that we estimate.

    Rounded, and not cut off: a count over an estimate, times the estimate, may fall short of the count by a hair, and a whole block
    of a cache may hang on that.
    """
    return round(tokens * scale)


def tokens_read(transcript: Transcript, visit: Visit) -> int:
    """Estimated tokens of `transcript` that were read at `visit`; 0 when the history was rewritten below it."""
    prefix = _prefix_of(transcript, visit)
    return 0 if prefix is None else prefix.tokens


def came_in_since(transcript: Transcript, visits: Iterable[Visit]) -> tuple[Step, ...] | None:
    """Return the steps behind what was read at one of `visits`, the farthest; `None` when the history was rewritten below all of them."""
    read = max([visit.steps for visit in visits if _prefix_of(transcript, visit) is not None], default=None)
    return None if read is None else transcript.steps[read:]


def _prefix_of(transcript: Transcript, visit: Visit) -> Prefix | None:
    prefix = transcript.prefix_at(visit.steps)
    return prefix if prefix is not None and prefix.digest == visit.digest else None
