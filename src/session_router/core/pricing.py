"""Prices -> dollars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from session_router.core.checking import check_number

USD = NewType("USD", float)
"""US dollars."""

TOKENS_PER_PRICE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a model costs, in US dollars per 1,000,000 tokens.

    Attributes:
        input: Reading what is not cached.
        output: Writing.
        cached_input: Reading what the provider still caches; `None` means the same as `input`.
        cache_write: Reading and putting into the cache; `None` means the same as `input`.

    Raises:
        ConfigurationError: A price is negative or not finite.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("input", "output", "cached_input", "cache_write"):
            value = getattr(self, name)
            if value is None and name.startswith("cache"):
                continue
            check_number(value, key=f"prices.{name}", rule="give US dollars per 1,000,000 tokens, >= 0.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call, as the provider counted them.

    Attributes:
        input: All input tokens, cached ones included.
        cached: Of `input`, those read from the provider's cache.
        written: Of `input`, those written to the provider's cache.
        output: Output tokens, reasoning included.
    """

    input: int
    cached: int = 0
    written: int = 0
    output: int = 0


def call_cost(prices: Prices, usage: Usage) -> USD:
    """Dollars of one call."""
    cached_price = prices.input if prices.cached_input is None else prices.cached_input
    write_price = prices.input if prices.cache_write is None else prices.cache_write
    plain = max(0, usage.input - usage.cached - usage.written)
    total = plain * prices.input + usage.cached * cached_price + usage.written * write_price + usage.output * prices.output
    return USD(total / TOKENS_PER_PRICE)
