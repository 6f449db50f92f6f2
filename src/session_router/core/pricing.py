"""Prices -> dollars: of a call, of a segment, of a cold start."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NewType

from session_router.core.checking import LARGEST_DOLLARS, check_number, is_count, own_numbers
from session_router.core.value import maker, value

if TYPE_CHECKING:
    from session_router.core.prefix import PromptCache
    from session_router.core.segment import Forecast

USD = NewType("USD", float)
"""US dollars."""

NOTHING = USD(0.0)

TOKENS_PER_PRICE = 1_000_000

PRICES_RULE = "give `session_router.Prices(input=..., output=...)`."
"""With the package: the simulators of `session_router.testing` have `Prices` of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a model costs, in US dollars per 1,000,000 tokens.

    Attributes:
        input: Reading what is not cached.
        output: Writing.
        cached_input: Reading what the provider still caches; `None` means the same as `input`: no discount.
        cache_write: Reading and putting into the cache; `None` means the same as `input`: no surcharge.
        read: Of reading a token fresh where prompts are cached, and of reading it cached; follows from the others.

    Raises:
        ConfigurationError: A price is negative or not finite.
    """

    input: float
    output: float
    cached_input: float | None = None
    cache_write: float | None = None
    read: tuple[float, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the values."""
        for name in ("input", "output", "cached_input", "cache_write"):
            value = getattr(self, name)
            if value is None and name.startswith("cache"):
                continue
            rule = f"give US dollars per 1,000,000 tokens, >= 0 and at most {LARGEST_DOLLARS:g}."
            check_number(value, key=f"prices.{name}", rule=rule, high=LARGEST_DOLLARS)
        own_numbers(self, "input", "output", "cached_input", "cache_write")
        fresh = self.input if self.cache_write is None else self.cache_write
        object.__setattr__(self, "read", (fresh, self.input if self.cached_input is None else self.cached_input))

    def expected(self, held: float) -> Prices:
        """Return these prices for a provider that was seen to have cached only a share of `held` of what it should.

        What is not found again is read fresh, and was not written.
        """
        cached_input = self.input if self.cached_input is None else self.cached_input
        return Prices(
            input=self.input,
            output=self.output,
            # From the plain price: where there is no discount this is that price, to the last digit.
            cached_input=self.input + held * (cached_input - self.input),
            cache_write=None if self.cache_write is None else self.input + held * (self.cache_write - self.input),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens of one call: as the provider counted them, or as estimated.

    Every input token has one price: `cached` of them that of cached input, `written` of them that of writing, and what is left
    of `input` the plain one. A price of writing is the whole price of such a token and comes on top of nothing; OpenAI and
    Anthropic bill so.

    Attributes:
        input: All input tokens, cached and written ones included.
        cached: Of `input`, those read from the provider's cache.
        written: Of `input`, those written to the provider's cache; 0 where writing has no price of its own.
        output: Output tokens, reasoning included.
    """

    input: int
    cached: int = 0
    written: int = 0
    output: int = 0

    @property
    def is_plausible(self) -> bool:
        """Whether these can be counts: whole numbers, 0 or more, and no more tokens cached and written than there are."""
        counts = (self.input, self.cached, self.written, self.output)
        return all(map(is_count, counts)) and self.cached + self.written <= self.input


def billed(usage: Usage, prices: Prices, cache: PromptCache) -> Usage:
    """Return an estimated `usage` with what its provider would bill as written.

    Where writing has a price, what a request adds to the cache is billed at it: all of it that is cacheable and was not cached.
    This assumes that requests are cached to their end, as OpenAI does unasked since GPT-5.6 and as Anthropic does with a mark
    on the last message.

    Args:
        usage: The estimate; its `written` is not read. What a provider reported needs no filling in.
        prices: Of the model.
        cache: How the model's provider caches.
    """
    written = 0 if prices.cache_write is None else _written(cache, tokens=usage.input, cached=usage.cached)
    if written == usage.written:
        return usage
    return Usage(input=usage.input, cached=usage.cached, written=written, output=usage.output)


def call_cost(prices: Prices, usage: Usage) -> USD:
    """Dollars of one call."""
    return _dollars(prices, usage.input, usage.cached, usage.written, usage.output)


def estimated_cost(prices: Prices, cache: PromptCache, *, tokens: int, cached: int, output: int) -> USD:
    """Dollars of one call of an estimated `tokens`, with what its provider would bill as written.

    Args:
        prices: Of the model.
        cache: How its provider caches.
        tokens: Of the request.
        cached: Of these, those that the provider should still hold.
        output: Tokens of the answer.
    """
    # Without a `Usage` in between: every decision prices the call on every model.
    written = 0 if prices.cache_write is None else _written(cache, tokens=tokens, cached=cached)
    return _dollars(prices, tokens, cached, written, output)


def _written(cache: PromptCache, *, tokens: int, cached: int) -> int:
    return max(0, cache.cacheable(tokens) - cached)


def _dollars(prices: Prices, tokens: int, cached: int, written: int, output: int) -> USD:
    write_price, cached_price = prices.read
    total = max(0, tokens - cached - written) * prices.input + cached * cached_price + written * write_price + output * prices.output
    return USD(total / TOKENS_PER_PRICE)


@value
class SegmentPrice:
    """US dollars of a segment on one model.

    Attributes:
        ingest: Reading, at the first call, what the model has not cached, over reading it cached.
        loop: All the rest: cached input, what the loop adds, output.
    """

    ingest: USD
    loop: USD


new_segment_price = maker(SegmentPrice)


def segment_price(
    prices: Prices, cache: PromptCache, forecast: Forecast, *, tokens: float, cached: float, scale: float = 1.0
) -> SegmentPrice:
    """Price a segment.

    With r = E[n] - 1 calls after the first and q = E[n (n - 1) / 2], the later requests hold r * tokens + q * growth
    tokens, of which r * growth are new: linear in what is forecast, so that means suffice.

    Args:
        prices: Of the model.
        cache: How its provider caches.
        forecast: The segment.
        tokens: Of its first request.
        cached: Of these, those that the provider should still hold.
        scale: Tokens that the provider counts for one of the forecast's growth; output is as providers counted it.
    """
    caches = tokens >= cache.minimum_tokens and cache.seconds_to_live > 0
    fresh_price, cached_price = prices.read if caches else (prices.input, prices.input)
    calls, growth = forecast.calls, forecast.growth * scale
    later = calls - 1
    new = later * growth
    reread = later * tokens + forecast.pairs * growth - new
    loop = tokens * cached_price + new * fresh_price + reread * cached_price + calls * forecast.output * prices.output
    ingest = (tokens - cached) * (fresh_price - cached_price) if caches else 0.0
    return new_segment_price(ingest=USD(ingest / TOKENS_PER_PRICE), loop=USD(loop / TOKENS_PER_PRICE))


def ingest_price(prices: Prices, cache: PromptCache, *, tokens: float, cached: float) -> USD:
    """Dollars of reading, of `tokens`, what is not `cached`, over reading it cached: none where nothing is ever cached."""
    if tokens < cache.minimum_tokens or not cache.seconds_to_live:
        return NOTHING
    fresh_price, cached_price = prices.read
    return USD((tokens - cached) * (fresh_price - cached_price) / TOKENS_PER_PRICE)


def cold_price(prices: Prices, cache: PromptCache, tokens: float) -> USD:
    """Dollars of reading `tokens` fresh over reading them cached; not below 0, and none where they would not be cached anyway."""
    return USD(max(0.0, ingest_price(prices, cache, tokens=tokens, cached=0)))


def cold_premium(prices: Prices, tokens: float) -> USD:
    """Dollars of reading `tokens` fresh over reading them cached; not below 0."""
    fresh_price, cached_price = prices.read
    return USD(max(0.0, tokens * (fresh_price - cached_price)) / TOKENS_PER_PRICE)
